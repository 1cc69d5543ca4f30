# SPDX-License-Identifier: GPL-2.0-only
"""Parameters of KVM's modules and of the kernel that change its way into the guest, as in force.

What a command line or modprobe.d asks for is not what a kernel does: a parameter may be unknown to
it, or the processor may lack what it turns on. /sys tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.host import arch

#: Of every architecture; those of one are in harness/host/arch.
_EVERYWHERE = ("kvm.halt_poll_ns",)
#: How the kernel preempts itself, where that is chosen at boot (CONFIG_PREEMPT_DYNAMIC).
PREEMPT = "preempt"
#: Of debugfs' sched/preempt, `none voluntary (full) lazy`; or the version, `#1 SMP PREEMPT(lazy)`.
_CHOSEN = re.compile(r"\(([a-z]+)\)")
_LONGEST = 64
_YES, _NO = {"y", "1", "on"}, {"n", "0", "off"}


def known() -> tuple[str, ...]:
    """The names that are looked at, MODULE.PARAMETER, and PREEMPT."""
    theirs = [name for words in arch.known().values() for name in words.parameters]
    return (*_EVERYWHERE, *theirs, PREEMPT)


def in_force(
    version: str, sys: Path = Path("/sys"), command_line: Path = Path("/proc/cmdline")
) -> dict[str, str]:
    """By name, those that this kernel has and lets this user read; `version` is `uname -v`.

    With those of KVM's modules that its command line asks for.
    """
    asked = map(_name, _read(command_line).split())
    found = dict(_modules(sys, [*known(), *(name for name in asked if _is_judged(name))]))
    chosen = _CHOSEN.search(_read(sys / "kernel/debug/sched/preempt"))
    chosen = chosen or re.search(rf"PREEMPT{_CHOSEN.pattern}", version)
    if chosen:
        found[PREEMPT] = chosen[1]
    return found


def _name(word: str) -> str:
    """As /sys has it: for the kernel a hyphen is an underscore."""
    return word.partition("=")[0].replace("-", "_")


def _is_judged(name: str) -> bool:
    """Whether /sys tells it: one of KVM's modules, or PREEMPT."""
    modules = {each.partition(".")[0] for each in known() if "." in each}
    module, _, parameter = name.partition(".")
    return name == PREEMPT or bool(module in modules and re.fullmatch("[a-z0-9_]+", parameter))


def _modules(sys: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        module, _, parameter = name.partition(".")
        value = _read(sys / "module" / module / "parameters" / parameter) if parameter else ""
        if value and not re.search(r"\s", value):
            yield name, value[:_LONGEST]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def as_text(values: Mapping[str, str]) -> str:
    """One line, as a command line has it."""
    return " ".join(f"{name}={value}" for name, value in values.items())


def unmet(words: Sequence[str], told: str) -> list[str]:
    """What is wrong: a sentence for each of a command line's `words` that is not in force.

    `told` is the line of `as_text`. Only those of KVM's modules, and PREEMPT, can be judged. As for
    the kernel, the last word on a parameter counts, and no value turns it on.
    """
    values = dict(word.split("=", 1) for word in told.split() if "=" in word)
    found = []
    for name, word in {_name(word): word for word in words}.items():
        if not _is_judged(name):
            continue
        wanted = word.partition("=")[2] if "=" in word else "1"
        if name not in values:
            found.append(f"{word} is not in force: there is no such parameter")
        elif _meaning(values[name]) != _meaning(wanted):
            found.append(f"{word} is not in force: it is {values[name]}")
    return found


def _meaning(value: str) -> str:
    """Y of a boolean parameter is 1 of an integer."""
    lower = value.lower()
    return "1" if lower in _YES else "0" if lower in _NO else value
