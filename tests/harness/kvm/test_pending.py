# SPDX-License-Identifier: GPL-2.0-only
"""Events by their fields' names, and what a nested state says of itself."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest

from harness.host import obstacles
from harness.kvm.guest import Guest, create
from harness.kvm.system import System

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or obstacles.preflight() is not None,
    reason="there is no KVM whose events this could set",
)


@pytest.fixture
def guest() -> Iterator[Guest]:
    with System() as system, create(system) as made:
        made.load("exceptions", "long")
        yield made


def test_a_field_is_set_by_its_path_and_the_others_stay(guest: Guest) -> None:
    from harness.kvm.arch.x86_64 import pending

    pending.change_events(guest.vcpu, {"nmi.masked": 1})
    fields = {"exception.injected": 1, "exception.nr": 13, "exception.error_code": 0x58}
    pending.change_events(guest.vcpu, fields)
    found = pending.events(guest.vcpu)
    assert {name: found[name] for name in fields} == fields
    assert found["nmi.masked"] == 1
    with pytest.raises(AttributeError):
        pending.change_events(guest.vcpu, {"exception.none": 1})


def test_what_waits_has_events_and_payload_registers(guest: Guest) -> None:
    from harness.kvm.arch.x86_64 import ioctls, pending

    before = pending.waiting(guest.vcpu)
    sregs = ioctls.get_sregs(guest.vcpu)
    sregs.cr2 = 0x1234000
    ioctls.set_sregs(guest.vcpu, sregs)
    pending.change_events(guest.vcpu, {"nmi.injected": 1})
    assert before.differences(pending.waiting(guest.vcpu)) == [
        "cr2 went from 0x0 to 0x1234000 (5 bits, lowest 14)",
        "events nmi.injected went from 0x0 to 0x1 (bit 0)",
    ]


def test_a_nested_state_says_where_the_vcpu_is() -> None:
    from harness.kvm.arch.x86_64.nested import NestedState
    from harness.native import lib

    inside = lib.KVM_STATE_NESTED_GUEST_MODE | lib.KVM_STATE_NESTED_GIF_SET
    found = [
        (NestedState(flags, b"").in_guest, NestedState(flags, b"").run_pending)
        for flags in (0, inside, inside | lib.KVM_STATE_NESTED_RUN_PENDING)
    ]
    assert found == [(False, False), (True, False), (True, True)]
