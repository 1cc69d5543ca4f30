# SPDX-License-Identifier: GPL-2.0-only
"""All that comes with an event is kept by immediate runs and by a signal, and the guest gets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, pending
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import Blocked, CountingHandler
from harness.require import require_left, require_runs_on, require_signal_exit
from suites.dimensions import (
    KICK,
    every_guest_mode,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
    pin_irqchip,
)
from suites.interrupts import require_ticks
from suites.vcpu_states.x86_64.kept import require_kept

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("exceptions"),
]

NMIS, VECTOR, CODE, CR2, DR6, EXCEPTIONS = 2, 3, 4, 5, 6, 7  # the program's data words
NO_CODE = 0xFFFFFFFF
FAULT_ADDRESS = 0xCAFE_B000
LATE_TURNS = 100_000  # an event is there at the entry, a second NMI behind the first one's return
DR6_CAUSES = 0xE00F  # of DR6: the breakpoints, BD, BS and BT
SINGLE_STEP = 0x4000
MOV_SS, STI = 1, 2  # KVM_X86_SHADOW_INT_*


@dataclass(frozen=True)
class QueuedException:
    """An exception that userspace queues: what it sets, and what the guest must find."""

    name: str
    vector: int
    code: int | None = None
    payload: int | None = None
    is_pending: bool = False
    told: Mapping[int, int] = field(default_factory=dict)

    @property
    def fields(self) -> Mapping[str, int]:
        """Of struct kvm_vcpu_events."""
        return {
            "exception.pending": int(self.is_pending),
            "exception.injected": int(not self.is_pending),
            "exception.nr": self.vector,
            "exception.has_error_code": int(self.code is not None),
            "exception.error_code": self.code or 0,
            "exception_has_payload": int(self.payload is not None),
            "exception_payload": self.payload or 0,
        }


EXCEPTIONS_QUEUED = (
    QueuedException("ud_injected", 6),
    QueuedException("df_injected", 8, 0),
    QueuedException("np_injected", 11, 0x5A8),
    QueuedException("ss_injected", 12, 0x1238),
    QueuedException("gp_injected", 13, 0xABC8),
    QueuedException("pf_injected", 14, 2, told={CR2: FAULT_ADDRESS}),
    QueuedException("ac_injected", 17, 0),
    QueuedException("ud_pending", 6, is_pending=True),
    QueuedException("gp_pending", 13, 0xABC8, is_pending=True),
    QueuedException("pf_pending", 14, 2, FAULT_ADDRESS, is_pending=True, told={CR2: FAULT_ADDRESS}),
    QueuedException("db_pending", 1, None, SINGLE_STEP, is_pending=True, told={DR6: SINGLE_STEP}),
)
each_exception = pytest.mark.parametrize(
    "queued", EXCEPTIONS_QUEUED, ids=[each.name for each in EXCEPTIONS_QUEUED]
)


@pytest.fixture
def looping(loaded: Guest) -> Guest:
    """The program counts in its loop, with interrupts on, and was stopped there."""
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    warm_up(loaded)
    return loaded


def interrupt_at_entry(guest: Guest, what: str, taken: Callable[[], int]) -> Mapping[str, int]:
    """A KVM_RUN that meets a signal: EINTR, and the guest has taken nothing. The events then."""
    __tracebackhide__ = True
    turns = guest.heartbeat
    with CountingHandler(KICK), Blocked(KICK) as blocked:
        guest.vcpu.set_signal_mask(set())
        blocked.send(KICK)
        result = guest.vcpu.run_raw(progress_forbidden=True)
        guest.vcpu.set_signal_mask(None)
    circumstance = f"With {what} and a signal pending"
    require_signal_exit(result, circumstance)
    assert taken() == 0, f"{circumstance}, the guest must execute nothing, but it took the event"
    assert guest.heartbeat == turns, f"{circumstance}, the guest must execute nothing, but it ran"
    return pending.events(guest.vcpu)


def run_to_the_end(guest: Guest, what: str, taken: Callable[[], int], wanted: int = 1) -> None:
    """A normal run delivers the event so often, and the guest runs on and leaves."""
    __tracebackhide__ = True
    turns = guest.heartbeat
    with Running(guest) as running:
        running.wait_until(
            lambda: running.over() or taken() >= wanted or guest.heartbeat - turns > LATE_TURNS,
            f"the guest to take {what}",
        )
        if not running.over():
            running.wait_for_progress()
            guest.stop()
        result = running.outcome()
    require_left(result, f"After {what}")
    assert taken() == wanted, (
        f"The guest must take {what} {'once' if wanted == 1 else f'{wanted} times'}, "
        f"but it took {taken()}"
    )


@pytest.mark.claim("states.events_survive")
@each_exception
def test_exception(looping: Guest, queued: QueuedException) -> None:
    """svm_complete_interrupts(), __vmx_complete_interrupts(): what is cancelled is queued again.

    A signal may turn a pending exception into an injected one, whose payload is then in its
    register (kvm_deliver_exception_payload()). Vector and error code are the same in each form.
    """
    if queued.is_pending and not ioctls.enable_exception_payload(looping.vm):
        pytest.skip(reason("no_exception_payload"))
    if queued.told.get(CR2) and queued.payload is None:
        sregs = ioctls.get_sregs(looping.vcpu)
        sregs.cr2 = FAULT_ADDRESS
        ioctls.set_sregs(looping.vcpu, sregs)
    pending.change_events(looping.vcpu, queued.fields)
    what = f"an exception of vector {queued.vector}"
    require_kept(looping, f"{what} {'pending' if queued.is_pending else 'injected'}")
    now = interrupt_at_entry(looping, what, lambda: looping.data(EXCEPTIONS))
    require_queued(queued, now, f"After a signal with {what}")
    require_kept(looping, f"{what} that a signal kept back")
    run_to_the_end(looping, what, lambda: looping.data(EXCEPTIONS))
    require_told(looping, queued)


def require_queued(queued: QueuedException, now: Mapping[str, int], circumstance: str) -> None:
    """The exception is there, injected or pending, with vector and error code."""
    __tracebackhide__ = True
    names = ("exception.nr", "exception.has_error_code", "exception.error_code")
    wanted = {name: queued.fields[name] for name in names if name != names[2] or queued.code}
    found = {name: now[name] for name in wanted}
    assert now["exception.injected"] or now["exception.pending"], (
        f"{circumstance}, the exception must still be injected or pending, but it is neither"
    )
    assert found == wanted, (
        f"{circumstance}, KVM_GET_VCPU_EVENTS must say {wanted}, but it says {found}"
    )


def require_told(guest: Guest, queued: QueuedException) -> None:
    """What the guest's handler found: vector, error code, CR2, DR6."""
    __tracebackhide__ = True
    code = NO_CODE if queued.code is None else queued.code
    wanted = {VECTOR: queued.vector, CODE: code, **queued.told}
    found = {word: guest.data(word) for word in wanted}
    if DR6 in found:
        found[DR6] &= DR6_CAUSES
    names = {VECTOR: "vector", CODE: "error code (all ones: none)", CR2: "CR2", DR6: "DR6"}
    wrong = [
        f"{names[word]} must be {wanted[word]:#x}, but is {value:#x}"
        for word, value in found.items()
        if value != wanted[word]
    ]
    assert not wrong, f"In the guest's handler, {'; '.join(wrong)}"


@pytest.mark.claim("states.events_survive")
@every_guest_mode
def test_exception_in_each_mode(looping: Guest, guest_mode: str) -> None:
    """kvm_inject_exception(): real mode pushes no error code, the others do."""
    queued = QueuedException("gp", 13, 0xABC8)
    pending.change_events(looping.vcpu, queued.fields)
    require_kept(looping, "a general-protection exception injected")
    run_to_the_end(looping, "the exception", lambda: looping.data(EXCEPTIONS))
    require_told(looping, queued if guest_mode != "real" else QueuedException("gp", 13))


@pytest.mark.claim("states.events_survive")
def test_injected_nmi(looping: Guest) -> None:
    """nmi.injected: one that is on its way into the guest."""
    pending.change_events(looping.vcpu, {"nmi.injected": 1})
    require_kept(looping, "an injected NMI")
    now = interrupt_at_entry(looping, "an injected NMI", lambda: looping.data(NMIS))
    assert now["nmi.injected"] or now["nmi.pending"], "A signal at entry must not lose an NMI"
    require_kept(looping, "an NMI that a signal kept back")
    run_to_the_end(looping, "the NMI", lambda: looping.data(NMIS))


@pytest.mark.claim("states.events_survive")
def test_two_nmis(looping: Guest) -> None:
    """process_nmi(): one may wait behind another. KVM_GET_VCPU_EVENTS counts them from 6.4 on."""
    ioctls.nmi(looping.vcpu)
    ioctls.nmi(looping.vcpu)
    require_kept(looping, "two NMIs pending")
    interrupt_at_entry(looping, "two NMIs", lambda: looping.data(NMIS))
    require_kept(looping, "two NMIs that a signal kept back")
    run_to_the_end(looping, "two NMIs", lambda: looping.data(NMIS), 2)


@pytest.mark.claim("states.events_survive")
def test_masked_nmi(looping: Guest) -> None:
    """An NMI waits for the end of the mask, across immediate runs, a signal and a normal run."""
    pending.change_events(looping.vcpu, {"nmi.masked": 1})
    ioctls.nmi(looping.vcpu)
    require_kept(looping, "an NMI pending and NMIs masked")
    interrupt_at_entry(looping, "an NMI behind its mask", lambda: looping.data(NMIS))
    warm_up(looping)
    require_kept(looping, "an NMI still masked")
    now = pending.events(looping.vcpu)
    assert (now["nmi.masked"], now["nmi.pending"], looping.data(NMIS)) == (1, 1, 0), (
        "Until the mask ends an NMI must stay pending, but masked, pending and taken are "
        f"{now['nmi.masked']}, {now['nmi.pending']}, {looping.data(NMIS)}"
    )
    pending.change_events(looping.vcpu, {"nmi.masked": 0})
    require_kept(looping, "an NMI no longer masked")
    run_to_the_end(looping, "the NMI", lambda: looping.data(NMIS))


@pytest.mark.claim("states.events_survive")
@pytest.mark.parametrize("shadow", [0, MOV_SS, STI], ids=["none", "mov_ss", "sti"])
@pin_irqchip("split")
def test_interrupt_shadow(looping: Guest, shadow: int) -> None:
    """interrupt.shadow neither ends nor begins, with an interrupt waiting behind it.

    SVM does not tell the two shadows apart.
    """
    pending.change_events(looping.vcpu, {"interrupt.shadow": shadow})
    looping.architecture.deliver_interrupt(looping.vm, looping.vcpu)
    what = "an interrupt behind a shadow" if shadow else "an interrupt and no shadow"
    before = pending.events(looping.vcpu)["interrupt.shadow"]
    assert bool(before) == bool(shadow), f"KVM_SET_VCPU_EVENTS took the shadow {shadow}: {before}"
    require_kept(looping, what)
    now = interrupt_at_entry(looping, what, lambda: looping.ticks)
    assert now["interrupt.shadow"] == before, (
        f"With {what} and a signal pending, the shadow must stay {before}, but it is "
        f"{now['interrupt.shadow']}"
    )
    require_kept(looping, f"{what} that a signal kept back")
    turns = looping.heartbeat
    with Running(looping) as running:
        running.wait_until(
            lambda: looping.ticks > 0 or looping.heartbeat - turns > LATE_TURNS,
            "the guest to take the interrupt",
        )
        running.wait_for_progress()
        looping.stop()
        result = running.outcome()
    require_left(result, "After the interrupt")
    require_ticks(looping, 1, f"After immediate runs with {what}")


@pytest.mark.claim("states.events_survive")
@irqchip_in_kernel
def test_system_management_mode(looping: Guest) -> None:
    """In SMM, within an NMI, with a second SMI and an INIT waiting for its end: all of it stays."""
    if not looping.vm.check_extension("KVM_CAP_X86_SMM"):
        pytest.skip(reason("no_smm"))
    looping.vm.add_memory_to(ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    fields = ("smi.smm", "smi.pending", "smi.smm_inside_nmi", "smi.latched_init")
    pending.change_events(looping.vcpu, dict.fromkeys(fields, 1))
    now = pending.events(looping.vcpu)
    assert all(now[name] for name in fields), f"KVM_SET_VCPU_EVENTS took not all of {fields}: {now}"
    require_kept(looping, "an SMI and an INIT pending in system management mode")
    pending.change_events(looping.vcpu, dict.fromkeys(fields, 0))
    require_kept(looping, "system management mode left")
    require_runs_on(looping, "After system management mode was left by userspace")
