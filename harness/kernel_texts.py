# SPDX-License-Identifier: GPL-2.0-only
"""The texts with which a kernel says that it is broken, as they begin.

A record of the kernel's log may hold a process's own name, up to 15 characters that anybody
chooses: `WARNING: KVM[77]: segfault at 0 ip ...`. So a text counts only in the form in which the
kernel prints it, from the record's first character on. What begins with a process's name is none.
"""

from __future__ import annotations

import re

from harness.host import arch

# kernel/panic.c
_PANIC = re.compile(r"Kernel panic - not syncing|---\[ end Kernel panic")
# What a process's name begins: arch/*/mm/fault.c and others (NAME[7]: segfault ...), mm/oom_kill.c,
# mm/page_alloc.c (warn_alloc), fs/drop_caches.c, kernel/exit.c (NAME (7) used ...), and so on.
_OF_A_PROCESS = re.compile(
    r".{0,15}(?:\[\d+\]:? | ?\(\d+\):? | invoked oom-killer| used greatest stack depth"
    r"|: page allocation |: [^\n]*, mode:0x|/\d+: potentially unexpected )"
)
# lib/bug.c, arch/*/kernel/traps.c and fault.c, mm, kernel/watchdog.c, kernel/rcu/tree_stall.h,
# kernel/hung_task.c, mm/kasan/report.c, kernel/kcsan/report.c.
_GRAVE = re.compile(
    r"(?:watchdog: )?BUG: |kernel BUG at \S+:\d+|(?:Internal error: )?Oops: "
    r"|[Uu]nable to handle kernel "
    r"|(?:NMI )?(?:watchdog: )?Watchdog detected hard LOCKUP on cpu "
    r"|(?:rcu: )?(?:INFO: )?rcu_\w+ (?:self-)?detected (?:expedited )?stall"
    r"|INFO: task .{0,15}:\d+ blocked for more than \d+ seconds"
    + "".join(f"|{fault}" for words in arch.known().values() for fault in words.faults)
)
# kernel/panic.c (__warn, before and since it names no processor), kernel/locking/lockdep.c,
# lib/ubsan.c, kernel/rcu/update.c.
_COMPLAINT = re.compile(
    r"WARNING: CPU: \d+ PID: \d+ at \S+"
    r"|WARNING: (?:\S+:\d+ )?at [\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+"
    r"|(?:WARNING: |\[ INFO: )(?:possible \S.* detected|inconsistent lock state"
    r"|suspicious RCU usage|bad unlock balance detected|bad contention detected|held lock freed"
    r"|lock held (?:when|at) |Nested lock was not taken|\S+-safe -> \S+-unsafe lock order detected)"
    r"|\[ BUG: .+ \]$|UBSAN: \S+ in \S+:\d+"
)
_CUT_HERE = "------------[ cut here ]------------"  # lib/bug.c, above each warning
_TIME = re.compile(r"^\[ *[0-9.]+\](?:\[ *[CT][0-9]+\])? *")


def without_time(line: str) -> str:
    """A line of a console or of dmesg without the time, and the task, before it."""
    return _TIME.sub("", line).strip()


def has_time(line: str) -> bool:
    """Whether a line begins as the kernel's own do."""
    return bool(_TIME.match(line))


def is_panic(text: str) -> bool:
    """Whether the kernel ends with it."""
    return bool(_PANIC.match(text))


def is_grave(text: str) -> bool:
    """Whether the kernel is broken, if it goes on."""
    return _of_the_kernel(_GRAVE, text)


def is_alarm(text: str) -> bool:
    """Whether the kernel found itself broken, or complains of itself."""
    return is_panic(text) or is_grave(text) or _of_the_kernel(_COMPLAINT, text)


def _of_the_kernel(form: re.Pattern[str], text: str) -> bool:
    return bool(form.match(text)) and not _OF_A_PROCESS.match(text)


def complains(line: str) -> bool:
    """Whether a line of a console is an alarm, or the line above one."""
    text = without_time(line)
    return _CUT_HERE in text or is_alarm(text)
