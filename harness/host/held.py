# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel holds: memory by kind, and what it says of this process and thread.

The memory is the whole host's, on which others work too. So growth counts only where it comes with
each of several spans of what is judged, and not with as long a span of something else beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_KINDS = ("SUnreclaim", "KernelStack", "PageTables", "VmallocUsed", "Percpu")
#: What of /proc/meminfo somebody holds by a name of its own; the rest are pages without one.
_NAMED = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "SReclaimable", *_KINDS)
_PAGES = "pages without a name"
_SLABS = Path("/sys/kernel/slab")
_OF_A_THREAD = ("pid", "pid_2", "task_struct", "cred", "cred_jar", "signal_cache", "sighand_cache")
SPANS = 6
#: Bytes of a turn that are seen: nearly the smallest that a slab has; half a page.
LEAST, _LEAST_PAGE = 16, 2048
_TIMES_OTHERS = 3
_LOOKS, _LOOK_S = 200, 0.01
_LOOKS_BACK = 1000

# In these a thread cannot be different after a system call that is not about them.
_STATUS = (
    *("FDSize", "VmLck", "VmPin", "SigPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm"),
    *("CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("Speculation_Store_Bypass", "SpeculationIndirectBranch"),
)
_FIELDS = {"flags": 9, "nice": 19, "policy": 41}  # of /proc/self/stat, proc(5)
# PF_SUPERPRIV, PF_NPROC_EXCEEDED, and the bit that PF_USED_ASYNC had: set for reasons of any call.
_PF_OF_ANY_CALL = 1 << 8 | 1 << 12 | 1 << 14
#: What no test changes in the thread that it runs in, from the first test to the last.
LASTING = (*_FIELDS, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
# mm/vmstat.c, vmstat_refresh(): a read by root adds up what each processor counted for itself.
_ADD_UP = Path("/proc/sys/vm/stat_refresh")


def memory() -> Mapping[str, int]:
    """Bytes by kind. Raises OSError."""
    with suppress(OSError):
        _ADD_UP.read_bytes()
    found: dict[str, int] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    kinds = {name: found[name] for name in _KINDS if name in found}
    return {**kinds, _PAGES: found["MemTotal"] - sum(found.get(name, 0) for name in _NAMED)}


def growing(
    work: Callable[[], None], other: Callable[[], None], turns: int, least: int = LEAST
) -> Mapping[str, int]:
    """Kinds of memory that grow with `work`, which takes so many turns: bytes a turn, by kind.

    Only `least` bytes of a turn count. `other` is repeated for as long as the work took. One span
    without growth shows that there is none: on a sound kernel it is the first or second. So does
    memory that is given back when all spans are over: the kernel frees much of it a grace period of
    RCU later, and under load that is long.
    """
    growth: dict[str, int] = {}
    at_first = memory()
    suspects = set(at_first)
    for _ in range(SPANS):
        before, begin = memory(), time.monotonic()
        work()
        between, end = memory(), time.monotonic()
        while time.monotonic() - end < end - begin:
            other()
        after = memory()
        for name in list(suspects):
            grew, others = between[name] - before[name], after[name] - between[name]
            if grew < turns * _least(name, least) or grew < _TIMES_OTHERS * others:
                suspects.discard(name)
            growth[name] = min(grew // turns, growth.get(name, grew // turns))
        if not suspects:
            break
    kept = {name: at_first[name] + SPANS * turns * _least(name, least) for name in suspects}
    return {name: growth[name] for name in _not_given_back(memory, kept)}


def slab_objects() -> Mapping[str, int]:
    """How many objects the kernel has of what a thread consists of, by slab cache.

    SLUB tells root only; empty otherwise. One cache may stand for several, and what a processor
    keeps at hand counts, some hundred at most.
    """
    found = {}
    for name in _OF_A_THREAD:
        with suppress(OSError, ValueError):
            found[name] = int((_SLABS / name / "objects").read_text().split()[0])
    return found


def objects_kept(work: Callable[[], None], turns: int) -> list[str]:
    """Caches of `slab_objects()` that have more with each of several spans of `work`.

    Of each second turn at least, for as many come and go with nothing else; and not given back.
    """
    at_first = now = slab_objects()
    suspects = set(at_first)
    for _ in range(SPANS):
        before = now
        work()
        now = slab_objects()
        suspects = {name for name in suspects if now[name] - before[name] >= turns // 2}
        if not suspects:
            return []
    kept = {name: at_first[name] + SPANS * turns // 2 for name in suspects}
    return _not_given_back(slab_objects, kept)


def _not_given_back(look: Callable[[], Mapping[str, int]], kept: Mapping[str, int]) -> list[str]:
    """Names of what stays at `kept` or above, sorted. What is given back late, is not kept."""
    suspects = set(kept)
    for _ in range(_LOOKS_BACK):
        now = look()
        suspects = {name for name in suspects if now[name] >= kept[name]}
        if not suspects:
            break
        time.sleep(_LOOK_S)
    return sorted(suspects)


def _least(name: str, least: int) -> int:
    return max(least, _LEAST_PAGE if name == _PAGES else 0)


def of_this_thread() -> Mapping[str, str]:
    """What the kernel tells of the calling thread that only the thread itself would change."""
    place = Path("/proc/thread-self")
    found: dict[str, str] = {}
    for line in (place / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in _STATUS:
            found[name] = value.strip()
    # Fields are counted from 1; the name, which may hold any character, is the second.
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    found |= {name: fields[number - 3] for name, number in _FIELDS.items()}
    found["flags"] = hex(int(found["flags"]) & ~_PF_OF_ANY_CALL)
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not as it was, a text each."""
    return [
        f"{name} went from {value} to {now[name]}"
        for name, value in before.items()
        if now[name] != value
    ]


def of_this_process() -> Mapping[str, frozenset[str]]:
    """Its descriptors and threads."""
    found = {}
    for name, folder in (("descriptors", "fd"), ("threads", "task")):
        paths = list(Path("/proc/self", folder).iterdir())
        # Less the one that was open to read the folder.
        found[name] = frozenset(path.name for path in paths if os.path.lexists(path))
    return found


def more_than(before: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """What this process has in addition. A thread that was joined may be seen a moment longer."""
    for _ in range(_LOOKS):
        now = of_this_process()
        more = {name: now[name] - those for name, those in before.items() if now[name] - those}
        if not more:
            break
        time.sleep(_LOOK_S)
    return more
