# SPDX-License-Identifier: GPL-2.0-only
"""The handles, on the real /dev/kvm of this host; skipped where there is none to use."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.host.obstacles import preflight
from harness.kvm import abi, arch, exits
from harness.kvm.arch import x86_64
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.arch.x86_64.devices import PORT_DONE
from harness.kvm.guest import Guest, create
from harness.kvm.memory import Memory
from harness.kvm.running import NotSeenError, Running, warm_up
from harness.kvm.signals import CountingHandler, ThreadTimer, send
from harness.kvm.speech import Word
from harness.kvm.system import System
from harness.kvm.vcpu import all_signals_but
from harness.undisturbed import kicked_run

OBSTACLE = preflight()
pytestmark = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
KICK = 41


@pytest.fixture
def system() -> Iterator[System]:
    with System() as opened:
        yield opened


@pytest.fixture
def guest(system: System) -> Iterator[Guest]:
    with create(system) as made:
        made.load("heartbeat", made.architecture.MODES[-1])
        yield made


def kvm_descriptors() -> list[str]:
    links = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return [str(link.readlink()) for link in links if "kvm" in str(link.readlink())]


def test_everything_is_closed_at_the_end(system: System) -> None:
    before = kvm_descriptors()
    with create(system) as made:
        made.load("heartbeat", made.architecture.MODES[-1])
        assert len(kvm_descriptors()) > len(before)
    assert kvm_descriptors() == before


def test_everything_is_closed_after_an_error(system: System) -> None:
    before = kvm_descriptors()
    with pytest.raises(ValueError, match="one of none, split, full"):
        create(system, "no such controller")
    assert kvm_descriptors() == before


def test_closing_twice_does_nothing(system: System) -> None:
    made = create(system)
    made.close()
    made.close()
    made.vcpu.close()


def test_raw_gives_the_errno_and_the_other_raises(guest: Guest) -> None:
    assert guest.vcpu.set_signal_mask_raw({1}, length=5) == -errno.EINVAL
    assert guest.vcpu.run_raw(argument=1).errno == errno.EINVAL
    guest.vcpu.immediate_exit = 1
    with pytest.raises(abi.KvmError, match=r"KVM_RUN failed with EINTR"):
        guest.vcpu.run()


def test_a_program_runs_and_leaves(guest: Guest) -> None:
    guest.stop()
    result = guest.vcpu.run()
    assert result.exit == exits.Io(PORT_DONE, 1, 1, True, bytes([at.DONE_STOPPED]))
    assert guest.heartbeat == 1


def test_a_run_that_nobody_ends_is_rescued(guest: Guest) -> None:
    guest.vcpu.bounds.patience_s = 0.1
    result = guest.vcpu.run_raw()
    assert result.rescue is not None
    assert result.rescue.by == "stop word"
    assert "the guest ran on" in result.describe()


def test_forbidden_progress_ends_the_run(guest: Guest) -> None:
    """The byte is 0, so the guest runs, which this caller said it must not."""
    result = guest.vcpu.run_raw(progress_forbidden=True)
    assert result.rescue is not None
    assert result.rescue.heartbeat_at_rescue > 0


def test_a_witness_sees_a_guest_that_ran(guest: Guest) -> None:
    before = guest.witness()
    warm_up(guest)
    found = before.differences(guest.witness())
    assert any("counter went from 0" in clause for clause in found)


def test_waiting_ends_when_the_run_does(guest: Guest) -> None:
    guest.vcpu.immediate_exit = 1
    with (
        pytest.raises(NotSeenError, match="waiting for guest progress, but KVM_RUN returned -1"),
        Running(guest) as running,
    ):
        running.wait_for_progress()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="words of x86")
def test_waiting_in_vain_tells_what_the_vcpu_waits_in(guest: Guest) -> None:
    guest.vcpu.bounds.patience_s = 0.5
    with (
        pytest.raises(
            NotSeenError,
            match=r"in vain: guest in phase \d+, heartbeat [1-9]\d*, ticks 0, thread in state \w.*"
            r"KVM_RUN returned -1 with EINTR.*rip 0x8.*interrupts off, MP state RUNNABLE",
        ),
        Running(guest) as running,
    ):
        running.wait_until(lambda: False, "what never comes")
    assert running.over()


def test_what_comes_with_the_end_of_a_run_is_no_want(guest: Guest) -> None:
    """It is not there at one look, and at the next both it and the run's end are."""
    looks = 0

    def comes(running: Running) -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            guest.stop()
            running.outcome()
            return False
        return True

    with Running(guest) as running:
        running.wait_until(lambda: comes(running), "what comes last")
    assert looks == 2


def test_a_kick_from_another_thread(guest: Guest) -> None:
    with CountingHandler(KICK) as handler, Running(guest) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    assert result.errno == errno.EINTR
    assert handler.count() == 1


def test_a_handler_may_set_the_byte(guest: Guest) -> None:
    with CountingHandler(KICK) as handler:
        handler.sets_immediate_exit(guest)
        os.kill(os.getpid(), KICK)
        assert guest.vcpu.immediate_exit == 1
    assert signal.getsignal(KICK) == signal.SIG_DFL


def test_a_timer_signals_the_thread(guest: Guest) -> None:
    with (
        CountingHandler(KICK) as handler,
        Running(guest) as running,
        ThreadTimer(KICK, running.tid, 1_000_000),
    ):
        result = running.outcome()
    assert result.errno == errno.EINTR
    assert handler.count() == 1


def test_binary_statistics(guest: Guest) -> None:
    stats = guest.vm.stats_of(guest.vcpu)
    if stats is None:
        pytest.skip("no_stats: this KVM has no binary statistics")
    try:
        assert "exits" in stats.names()
        before = stats.read("exits")
        warm_up(guest)
        after = stats.read("exits")
        assert before is not None
        assert after is not None
        assert after > before
        assert stats.read("no such statistic") is None
    finally:
        stats.close()


def test_dirty_log(system: System) -> None:
    with create(system) as made:
        memory = made.vm.add_memory(1, at.EXTRA_RAM, 0x10000, log_dirty=True)
        made.load("pages", made.architecture.MODES[-1], {0: at.EXTRA_RAM, 1: 4})
        assert made.vm.dirty_pages(1) == set()
        warm_up(made)
        assert made.vm.dirty_pages(1) == {0, 1, 2, 3}
        assert memory.read32(0) > 0


def test_an_irqchip_by_how_much_is_in_the_kernel(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds, halting = arch.current().IRQCHIPS, arch.current().HALTS_IN_KERNEL
    least = next(kind for kind in kinds if kind in halting)
    for word, kind in (("none", kinds[0]), ("least", least), ("usual", halting[-1])):
        try:
            with create(system, word) as made:
                assert made.vm.irqchip == kind
        except arch.NoIrqchipError:
            pytest.skip(reason("no_irqchip", kind))
    monkeypatch.setattr(arch.current(), "IRQCHIPS", ("none",))
    monkeypatch.setattr(arch.current(), "HALTS_IN_KERNEL", ())
    with pytest.raises(arch.NoIrqchipError, match="in-kernel irqchip"):
        create(system, "least")


def test_the_mask_leaves_the_rescue_open() -> None:
    mask = all_signals_but(KICK)
    assert KICK not in mask
    assert signal.SIGKILL not in mask
    assert signal.SIGRTMAX - 3 not in mask
    assert signal.SIGUSR1 in mask


def test_memory_refuses_what_is_outside() -> None:
    memory = Memory(0x1000)
    try:
        memory.write64(8, 0x1122334455667788)
        assert memory.read32(8) == 0x55667788
        assert memory.read(8, 8) == (0x1122334455667788).to_bytes(8, sys.byteorder)
        memory.write32(8, 1)
        assert memory.read(8, 8) == (0x1122334400000001).to_bytes(8, sys.byteorder)
        for offset in (0x1000, -8):
            with pytest.raises(ValueError, match="outside"):
                memory.read32(offset)
        with pytest.raises(ValueError, match="multiple of 8"):
            memory.read32(4)
    finally:
        memory.close()


def test_registers_come_back_as_they_were_set(guest: Guest) -> None:
    guest.architecture.set_scratch(guest.vcpu, 0x123456789)
    assert guest.architecture.scratch(guest.vcpu) == 0x123456789
    assert 0x123456789 in guest.architecture.registers(guest.vcpu).values()
    assert guest.architecture.program_counter(guest.vcpu) == at.PROGRAM


X86_MODES = pytest.mark.parametrize("mode", x86_64.MODES)
X86_ONLY = pytest.mark.skipif(platform.machine() != "x86_64", reason="programs of x86 only")
IRR_OF_VECTOR_0X20 = 0x210  # its bit 0: KVM_GET_LAPIC has 32 vectors in each 16 bytes from 0x200


def run_leave_and_run_again(guest: Guest) -> None:
    """The program counts, leaves when it is asked, and begins anew; twice."""
    for _ in range(2):
        guest.clear_stop()
        with Running(guest) as running:
            running.wait_for_progress(turns=100)
            guest.stop()
            result = running.outcome()
        assert result.exit == exits.Io(PORT_DONE, 1, 1, True, bytes([at.DONE_STOPPED]))
        result.raise_if_rescued()
        assert guest.phase == 2


@pytest.fixture(params=["split", "full"])
def with_apic(request: pytest.FixtureRequest, system: System) -> Iterator[Guest]:
    try:
        made = create(system, request.param)
    except abi.KvmError as error:
        pytest.skip(str(error))
    with made:
        yield made


@X86_ONLY
@X86_MODES
@pytest.mark.parametrize("cycles", [pytest.param(0, id="farthest"), 0x8000_0000])
def test_the_deadline_writer(with_apic: Guest, mode: str, cycles: int) -> None:
    if not with_apic.vm.check_extension("KVM_CAP_TSC_DEADLINE_TIMER"):
        pytest.skip("no_tsc_deadline: this KVM has no TSC-deadline timer")
    with_apic.load("deadline_writer", mode, {0: cycles})
    ioctls.offer_tsc_deadline(with_apic.vcpu)
    before = ioctls.get_msr(with_apic.vcpu, ioctls.TSC)
    run_leave_and_run_again(with_apic)
    last = with_apic.data(1) | with_apic.data(2) << 32
    ahead = cycles or 1 << 32
    now = ioctls.get_msr(with_apic.vcpu, ioctls.TSC)
    assert before + ahead < last < now + ahead
    # Still armed if it lies ahead: a timer that expired reads as 0.
    armed = ioctls.get_msr(with_apic.vcpu, ioctls.TSC_DEADLINE)
    assert armed == last or (armed == 0 and ioctls.get_msr(with_apic.vcpu, ioctls.TSC) > last)
    assert with_apic.ticks == 0


@X86_ONLY
@X86_MODES
@pytest.mark.parametrize(("apic_id", "pending"), [(0, 1), (1, 0)], ids=["self", "nobody"])
def test_the_icr_writer(with_apic: Guest, mode: str, apic_id: int, pending: int) -> None:
    with_apic.load("icr_writer", mode, {0: apic_id})
    run_leave_and_run_again(with_apic)
    icr = ioctls.get_msr(with_apic.vcpu, 0x830)
    assert icr == apic_id << 32 | 1 << 14 | ioctls.INTERRUPT_VECTOR
    lapic = ioctls.get_lapic(with_apic.vcpu)
    assert lapic.regs[IRR_OF_VECTOR_0X20][0] & 1 == pending
    assert with_apic.ticks == 0


@X86_ONLY
@pytest.mark.parametrize("program", ["heartbeat", "port_io", "mmio"])
def test_a_program_that_left_begins_anew(system: System, program: str) -> None:
    """A host that does no more than run it again gets there: an exit carries no obligation."""
    for mode in arch.current().MODES:
        with create(system) as made:
            made.load(program, mode)
            for turn in range(1, 4):
                made.stop()
                for _ in range(3):  # an in or a load, an out or a store, PORT_DONE
                    result = made.vcpu.run()
                    if arch.word_of(result.exit) is Word.DONE:
                        break
                assert arch.word_of(result.exit) is Word.DONE, f"{mode}: {result.describe()}"
                assert made.heartbeat == turn
                made.clear_stop()


def test_a_run_that_ended_for_nothing_is_made_anew(system: System) -> None:
    """And begins as the first one did: what gave up a run has asked the guest to leave."""
    others = signal.SIGUSR1  # by a handler that the library does not know of
    begun = 0

    def disturb_the_first(running: Running) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            send(running.tid, others)
            running.wait_until(lambda: False, "the end of this run")

    before = signal.signal(others, lambda *_: None)
    try:
        with create(system) as made:
            made.load("heartbeat", arch.current().MODES[-1])
            warm_up(made)
            result, taken = kicked_run(made, 40, 1, disturb_the_first)
    finally:
        signal.signal(others, before)
    assert begun > 1
    assert (taken, result.interrupted, result.rescue) == (1, True, None)
