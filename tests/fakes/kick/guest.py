# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the kick engine share: stand-ins for KVM_RUN, and for the guest."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cffi import FFI

from harness.kick import engine
from harness.kick.plan import Delays, Landing, Plan, Protocol
from harness.kick.slots import Slot, pairs
from harness.kick.summary import Summary
from harness.kvm.run import Bounds
from harness.native import ffi

HERE = Path(__file__).resolve().parent

FAKES = (
    "sound",
    "sound_halted",
    "exits",
    "ignores_byte",
    "loses_some",
    "polls_byte_late",
    "misses_pending",
    "misses_pending_preempted",
    "swallows",
    "swallows_answers",
    "wrong_exit",
    "wrong_exit_once",
    "wrong_error",
    "wrong_interrupt",
    "ends_for_nothing",
    "loses_and_ends",
    "byte_unclaimed",
    "sleeps",
    "deaf",
    "is_stopped",
)


class Fakes:
    """tests/fakes/kick/fakes.c as a library: functions by name, and the sound guest's speed."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            pytest.skip("no C compiler")
        library = folder / "kick_fakes.so"
        self.folder = folder
        command = [compiler, "-std=gnu11", "-shared", "-fPIC", "-O2", "-pthread", "-o", library]
        if not library.exists():  # it does in a program that got the folder of its caller
            subprocess.run([*command, HERE / "fakes.c"], check=True)
        self._ffi = FFI()
        self._ffi.cdef("\n".join(f"extern char fake_{name}[];" for name in FAKES))
        self._ffi.cdef("uint64_t fake_speed(void);")
        self._library: Any = self._ffi.dlopen(str(library))
        # The limits follow from the speed: too fast a guess only makes them wider.
        self.speed = int(self._library.fake_speed() * 1.5)

    def __getitem__(self, name: str) -> Any:
        """A `ke_run_function`, as `engine.run()` takes it."""
        found = self._ffi.cast("uintptr_t", self._ffi.addressof(self._library, f"fake_{name}"))
        return ffi.cast("void *", int(found))


class FakeVcpu:
    """The attributes of a vCPU that the engine uses. The page is memory of this process."""

    def __init__(self) -> None:
        self.fd = -1
        # Shared memory: a kicker may be a process of its own.
        self._map = mmap.mmap(-1, 0x3000)
        self._view: Any = ffi.from_buffer("uint8_t[]", self._map, require_writable=True)
        self.run_page = ffi.cast("struct kvm_run *", self._view)
        words = ffi.cast("uint32_t *", self._view + 0x2000)
        self.bounds = Bounds(heartbeat=words, stop=words + 1)
        self.masks: list[Any] = []

    def set_signal_mask(self, mask: Any) -> None:
        """A stand-in has no KVM_SET_SIGNAL_MASK; what it was asked for is kept."""
        self.masks.append(mask)


def stand_in() -> Any:
    """A guest without /dev/kvm."""
    return SimpleNamespace(vcpu=FakeVcpu())


def place() -> Slot:
    """The first slot, without its lock: these races measure nothing."""
    return pairs(sorted(os.sched_getaffinity(0)))[0]


def race(fakes: Fakes, name: str, plan: Plan, lanes: int = 1, **more: Any) -> list[Summary]:
    """The plan on so many stand-ins."""
    return engine.run(
        [stand_in() for _ in range(lanes)],
        [replace(plan, seed=plan.seed + number) for number in range(lanes)],
        slot=place(),
        speed=fakes.speed,
        function=fakes[name],
        **more,
    )


def short(protocol: Protocol, kicks: int, **more: Any) -> Plan:
    """A plan for stand-ins, whose rounds are short."""
    return replace(Plan(protocol, kicks, delays=Delays(0, 8_000, 10)), **more)


def landed(summary: Summary, counts: str, *places: Landing) -> int:
    """A count of a summary ("lost", "late", "landings") at these landings."""
    return sum(getattr(summary, counts)[each] for each in places)
