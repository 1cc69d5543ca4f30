# SPDX-License-Identifier: GPL-2.0-only
"""A hypercall of Xen's interface, which leaves to userspace: finished by a re-entry, once."""

from __future__ import annotations

import pytest

from harness.devices import ParavirtualCalls
from harness.host.features import reason
from harness.kvm import answers, exits
from harness.kvm.arch.x86_64 import hypervisors
from harness.kvm.guest import Guest, create
from harness.kvm.speech import Channel
from harness.kvm.system import System
from harness.ways import WayOut
from suites.completion.completed import (
    Accesses,
    require_read_completed,
    require_read_once,
    require_read_saved,
)
from suites.dimensions import every_guest_mode, every_way, first_and_later_turn, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), every_guest_mode]

CALL = Accesses("hypercall of Xen's", "a hypercall of Xen's")
XEN = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, exits.XenHypercall),
    is_write=lambda found: False,
    give=answers.answer_xen,
    written=lambda told: 0,
    writes=False,
)


def offer(guest: Guest) -> dict[int, int]:
    """Its hypercalls leave; the program's data words."""
    if not hypervisors.intercept_xen_hypercalls(guest.vm):
        pytest.skip(reason("no_xen_hypercalls"))
    return dict(hypervisors.xen_call())


@pytest.fixture
def calls(kvm: System, guest: Guest, guest_mode: str) -> ParavirtualCalls:
    """A guest that calls."""
    with create(kvm) as other:
        if not ParavirtualCalls(other, guest_mode, XEN, offer).comes():
            pytest.skip(reason("no_xen_hypercalls", "KVM_CAP_XEN_HVM is offered, but none comes"))
    made = ParavirtualCalls(guest, guest_mode, XEN, offer)
    guest.fill()
    return made


@pytest.mark.claim("completion.xen")
@first_and_later_turn
def test_hypercall(calls: ParavirtualCalls, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO, which names KVM_EXIT_XEN; what userspace leaves in
    kvm_run.xen.u.hcall.result is what the guest gets."""
    require_read_completed(calls, turns, CALL)


@pytest.mark.claim("completion.xen")
@every_way
def test_hypercall_once(calls: ParavirtualCalls, way: WayOut) -> None:
    """Further re-entries, and what userspace leaves in kvm_run, change nothing more."""
    require_read_once(calls, CALL, way)


@pytest.mark.claim("completion.xen")
def test_hypercall_then_saved(calls: ParavirtualCalls, kvm: System) -> None:
    """Registers and memory taken now are the whole of it elsewhere: the call is not made again."""
    require_read_saved(calls, kvm, CALL)
