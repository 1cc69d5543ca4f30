# SPDX-License-Identifier: GPL-2.0-only
"""The whole state of a vCPU: what is told of a change, and that the real KVM gives it twice."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host import obstacles
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.whole import MOST_TOLD, WholeState, told

X86_KVM = pytest.mark.skipif(
    platform.machine() != "x86_64" or obstacles.preflight() is not None,
    reason="there is no KVM whose state this could read",
)


def test_a_difference_is_told_by_name_and_bit() -> None:
    before = WholeState({"pat": 0b1000, "gone": 1, "same": 7}, b"\0\0")
    after = WholeState({"pat": 0b1001, "new": 2, "same": 7}, b"\0\1")
    assert before.differences(after) == [
        "gone can be read no longer, it was 0x1",
        "new can be read now, 0x2",
        "pat went from 0x8 to 0x9 (bit 0)",
        "the guest's memory changed, first at 0x1",
    ]
    assert before.differences(after, without=["gone", "new"])[0].startswith("pat ")
    assert WholeState({"a": 0}, b"").differences(WholeState({"a": 6}, b"")) == [
        "a went from 0x0 to 0x6 (2 bits, lowest 1)"
    ]


def test_of_many_differences_some_are_told() -> None:
    many = [f"name{number} went" for number in range(MOST_TOLD + 3)]
    assert told(many).endswith(f"name{MOST_TOLD - 1} went; and 3 more")
    assert told(many[:MOST_TOLD]).count("; ") == MOST_TOLD - 1


@pytest.fixture
def guest() -> Iterator[Guest]:
    with System() as system, create(system, "full") as made:
        made.load("heartbeat", "long")
        yield made


@X86_KVM
def test_every_pattern_is_read_back(guest: Guest) -> None:
    """A pattern that KVM drops would show no loss of what it stands for."""
    from harness.kvm.arch.x86_64 import patterns

    before = guest.whole()
    patterns.fill(guest.vcpu, guest.vm)
    changed = {name for name, value in guest.whole().values.items() if before.values[name] != value}
    wanted = {"xsave xmm15", "fpu xmm.15.15", "xsave st7", "xsave mxcsr", "debugregs db.3"}
    wanted |= {"events nmi.masked", "events interrupt.shadow", "sregs cr2", "sregs gs.base"}
    wanted |= {"lapic 0x130", "lapic 0x210", "msr 0x277", "msr 0xc0000082"}
    wanted |= {"xcrs xcr0"}
    assert wanted - changed == set()
    assert guest.whole().differences(guest.whole()) == []


@X86_KVM
def test_it_has_each_chip_and_the_whole_memory(guest: Guest) -> None:
    found = guest.whole()
    parts = {name.split(" ")[0] for name in found.values}
    assert {"regs", "sregs", "fpu", "xsave", "xcrs", "debugregs", "msr", "lapic"} <= parts
    assert {"events", "mp_state", "chip"} <= parts
    assert len(found.memory) == guest.ram.size
    assert not found.values.keys() & guest.architecture.COUNTS_TIME.keys()


def test_the_documentation_names_each_exception() -> None:
    """What is not compared is data, and told to whoever asks what the claims leave out."""
    from harness.kvm.arch.x86_64 import readable

    root = Path(readable.__file__).parents[4]
    told_there = (root / "docs/what-an-immediate-run-may-change.md").read_text().lower()
    for names in (
        readable.NOT_READ,
        readable.COMPLETION_CHANGES,
        readable.COUNTS_SIGNALS,
        readable.COUNTS_TIME,
        readable.COUNTS_RUNS,
    ):
        words = [name.replace("lapic", "local apic").lower() for name in names]
        assert [word for word in words if word.split(" ", 1)[-1] not in told_there] == []
