# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log: new alarms in it belong to the test during which they came."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import TracebackType

DEVICE = Path("/dev/kmsg")
_RECORD = 8192  # CONSOLE_EXT_LOG_MAX, the longest record (Documentation/ABI/testing/dev-kmsg)

# Texts that the kernel prints when it finds itself broken: lib/bug.c, kernel/panic.c,
# kernel/locking/lockdep.c, kernel/rcu/tree_stall.h, kernel/watchdog.c, kernel/hung_task.c,
# mm/kasan/report.c, kernel/kcsan/report.c, lib/ubsan.c.
_ALARM = re.compile(
    r"WARNING: |BUG: |kernel BUG at |Oops[: ]|general protection fault|"
    r"possible (?:circular|recursive|irq lock inversion|deadlock)|inconsistent lock state|"
    r"INFO: rcu_\w+ (?:self-)?detected|rcu: INFO: |soft lockup|hard LOCKUP|"
    r"INFO: task .* blocked for more than|UBSAN: |suspicious RCU usage|"
    r"bad unlock balance|sleeping function called from invalid context"
)


class KernelLog:
    """A position in the kernel's log, at first its end.

    `why_not` is empty, or says why the log may not be read; then there is never anything new.
    """

    def __init__(self, device: Path = DEVICE) -> None:
        self.why_not = ""
        self._fd = -1
        try:
            self._fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.why_not = (
                f"{device} cannot be read ({error.strerror}); "
                "run as root, or set kernel.dmesg_restrict=0"
            )

    def new_lines(self) -> list[str]:
        """What came since the last call, a line a record, as dmesg prints them."""
        lines = []
        while self._fd >= 0:
            try:
                record = os.read(self._fd, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records were overwritten: the next read goes on behind the gap
            except OSError:
                break
            if not record:
                break
            text = record.decode("utf-8", "replace")
            if _from_kernel(text):
                lines.append(_as_dmesg(text))
        return lines

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> KernelLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def alarms(lines: list[str], context: int = 20) -> list[str]:
    """From the first alarm on, up to `context` lines; empty when there is none."""
    for index, line in enumerate(lines):
        if _ALARM.search(line):
            return lines[index : index + context]
    return []


def _from_kernel(record: str) -> bool:
    """Whether the kernel wrote it: facility 0. Daemons may write to /dev/kmsg as well."""
    priority = record.partition(",")[0]
    return not priority.isdigit() or int(priority) >> 3 == 0


def _as_dmesg(record: str) -> str:
    """`6,1234,5678901,-;text` (level, sequence, microseconds, flags) as `[    5.678901] text`."""
    prefix, _, text = record.partition(";")
    fields = prefix.split(",")
    first = text.split("\n", 1)[0]
    if len(fields) < 3 or not fields[2].isdigit():
        return first
    seconds, rest = divmod(int(fields[2]), 1_000_000)
    return f"[{seconds:5d}.{rest:06d}] {first}"
