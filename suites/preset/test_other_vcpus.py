# SPDX-License-Identifier: GPL-2.0-only
"""One vCPU's KVM_RUN that gives EINTR, and all that userspace sees of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

import pytest

from harness.devices import Device, make
from harness.kvm.guest import Guest, create
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.whole import WholeState
from harness.require import (
    require_completion,
    require_ended,
    require_runs_on,
    require_same_state,
)
from harness.ways import WayOut
from suites.dimensions import every_irqchip, every_way, pin_other_vcpus

pytestmark = pytest.mark.usefixtures("capability")

TIMES = 21  # an odd number: what toggles shows
VCPUS = 3
#: The VM's: a run that a signal ends may bring it up to date first (KVM_REQ_MASTERCLOCK_UPDATE).
CLOCK = ("clock",)


@pytest.mark.claim("preset.per_vcpu")
@every_irqchip
@every_way
@pin_other_vcpus(VCPUS - 1)
def test_others_are_left_alone(kvm: System, ready: Guest, way: WayOut) -> None:
    """Each vCPU has a kvm_run and a state of its own, and none of another's runs writes there.

    Of a VM's first, its second and its last, and of another VM's. Each byte of the others' kvm_run
    has a value that no run of theirs has left.
    """
    with ExitStack() as at_the_end:
        apart = at_the_end.enter_context(create(kvm, ready.vm.irqchip))
        apart.load("heartbeat", ready.mode)
        vcpus = {"the first vCPU": ready.vcpu}
        vcpus |= {f"vCPU {number}": each for number, each in enumerate(ready.others, 1)}
        vcpus["another VM's vCPU"] = apart.vcpu
        before = states(vcpus, ready, apart)
        for name, vcpu in vcpus.items():
            said = f"In {TIMES} runs of {name}"
            others = {other: each for other, each in vcpus.items() if other != name}
            with ExitStack() as watched:
                for other, each in others.items():
                    seen = f"{said}{way.said}, kvm_run of {other}"
                    watched.enter_context(left_alone(each, seen))
                require_ended(way.run_many(vcpu, TIMES), way, said)
            after = states(vcpus, ready, apart)
            for other in others:
                seen = f"{said}{way.said}, seen on {other}"
                require_same_state(before[other], after[other], seen, may_change=CLOCK)
            before = after
        require_runs_on(ready, "After runs of each vCPU that gave EINTR")
        require_runs_on(apart, "After such runs of another VM's vCPUs")


@pytest.mark.claim("preset.per_vcpu")
@every_way
@pin_other_vcpus(1)
def test_what_is_pending_is_left_alone(
    kvm: System, device: Device, guest_mode: str, way: WayOut
) -> None:
    """What a vCPU has to finish is its own: no run of another takes it, finishes it or drops it.

    Of another vCPU of the VM, with nothing pending, and of another VM's, with a read of its own.
    """
    (other,) = device.guest.others
    with create(kvm, device.guest.vm.irqchip) as beside:
        apart = make(beside, "mmio", guest_mode)
        apart.turns(1)
        waiting = [(each, each.answer(each.run_to_read("At the read"))) for each in (device, apart)]
        said = f"In {TIMES} runs of another vCPU, while one is at a read"
        require_ended(way.run_many(other, TIMES), way, said)
        for turns, (each, value) in reversed([*enumerate(waiting)]):
            said = f"After a read and runs of other vCPUs{way.said}"
            require_completion(each.guest, said, each.destination, way)
            each.run_past_read(said)
            each.require_stored(value, said)
            each.require_in_step(turns + 1, turns, said)


def states(vcpus: Mapping[str, Vcpu], guest: Guest, apart: Guest) -> Mapping[str, WholeState]:
    """All that KVM lets userspace read of each vCPU."""
    found = {}
    for name, vcpu in vcpus.items():
        owner = apart if vcpu is apart.vcpu else guest
        values = owner.architecture.whole(vcpu, owner.vm)
        lasting = values.keys() - owner.architecture.COUNTS_TIME.keys()
        memory = owner.ram.read(0, owner.ram.size)
        found[name] = WholeState({each: values[each] for each in lasting}, memory)
    return found


@contextmanager
def left_alone(vcpu: Vcpu, what: str) -> Iterator[None]:
    """Nothing of this kvm_run changes meanwhile. It is filled, and then as before."""
    __tracebackhide__ = True
    with closing(vcpu.map_again()) as page:
        kept = page[:]
        page[:PAGE_BYTES] = bytes(1 + each % 251 for each in range(PAGE_BYTES))
        before = page[:]
        try:
            yield
            after = page[:]
        finally:
            page[:PAGE_BYTES] = kept[:PAGE_BYTES]
    changed = [place for place, byte in enumerate(before) if after[place] != byte]
    assert not changed, (
        f"{what} must stay as it is, but {len(changed)} of its bytes changed, the first at "
        f"{changed[0]}: {before[changed[0]]:#x} became {after[changed[0]]:#x}"
    )
