# SPDX-License-Identifier: GPL-2.0-only
"""What userspace raises between an exit and the re-entry that finishes its operation.

A device that answers a read may well raise an event by the same token. Where the event is delivered
is for states.events_survive: here the programs take none, and none runs on with one.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.devices import Device
from harness.kvm.arch.x86_64 import pending, waiting
from harness.require import require_ended
from harness.ways import WayOut
from suites.dimensions import every_device, every_way, only_on, pin_guest_mode

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

# kvm_inject_smi() puts the guest into its handler before the signal is seen.
DELIVERED_BEFORE_A_SIGNAL = ("an SMI",)
# To move the program counter KVM may emulate the instruction anew (a host without NRIPS), and that
# clears the exceptions. A load from memory is not decoded twice (EMULTYPE_NO_DECODE).
ONLY_BESIDE_MMIO = ("an injected exception", "a pending exception")
WAITING = ("exception.pending", "exception.injected", "interrupt.injected")
WAITING += ("nmi.pending", "nmi.injected", "smi.pending")
QUIET = dict.fromkeys((*WAITING, "nmi.masked"), 0)


def events(device: Device, way: WayOut) -> Mapping[str, int]:
    """What waits, and its vector. A signal may make injected what was pending (and that NMI masks
    others)."""
    found = pending.events(device.guest.vcpu)
    kept = {name: found[name] for name in WAITING}
    if way.signal:
        for event in ("exception", "nmi"):
            kept[event] = kept.pop(f"{event}.pending") | kept.pop(f"{event}.injected")
    vectors = {f"{event}.nr": found[f"{event}.nr"] for event in ("exception", "interrupt")}
    waits = {name.split(".")[0] for name, value in kept.items() if value}
    return kept | {name: value for name, value in vectors.items() if name.split(".")[0] in waits}


@pytest.mark.claim("completion.exactly_once")
@every_device
@pin_guest_mode("protected", "long")
@every_way
def test_event_raised_meanwhile(device: Device, way: WayOut) -> None:
    """x86_emulate_instruction() clears exceptions only where it decodes an instruction; the others
    no completion looks at."""
    vcpu, vm = device.guest.vcpu, device.guest.vm
    for name, put in waiting.raisers(vm).items():
        if way.signal and name in DELIVERED_BEFORE_A_SIGNAL:
            continue
        if name in ONLY_BESIDE_MMIO and device.channel.program != "mmio":
            continue
        said = f"After a read beside {name}"
        value = device.answer(device.run_to_read(f"{said}, at the read"))
        pending.change_events(vcpu, QUIET)
        put(vcpu, vm)
        before = events(device, way)
        require_ended(way.run(device.guest), way, f"{said} and a re-entry")
        after = events(device, way)
        assert after == before, (
            f"{said} and a re-entry{way.said}, {name} that was raised before it must wait as it "
            f"did, but KVM_GET_VCPU_EVENTS went from {before} to {after}"
        )
        pending.change_events(vcpu, QUIET)
        device.run_past_read(f"{said} and a re-entry{way.said}, in a normal run")
        device.require_stored(value, f"{said} and a normal run")
