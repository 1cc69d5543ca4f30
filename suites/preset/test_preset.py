# SPDX-License-Identifier: GPL-2.0-only
"""The byte set before KVM_RUN."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from statistics import median

import pytest

from harness.kvm import exits
from harness.kvm.guest import Guest, create
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import CountingHandler
from harness.kvm.system import System
from harness.require import (
    require_eintr,
    require_immediate,
    require_left,
    require_no_progress,
    require_runs_on,
    require_same_state,
    require_signal_exit,
    require_untouched,
)
from harness.undisturbed import Tried, kicked_run, undisturbed
from harness.ways import BYTE
from suites.dimensions import KICK, every_guest_mode, every_irqchip, pin_other_vcpus

pytestmark = pytest.mark.usefixtures("capability")

SENTINEL = 0xDEADBEEF
REPEATS = 1000
ENTRIES = 20  # one alone may turn back before the guest, where the host has other work
BATCHES = 100  # of so many repeats: 100,000 runs
SAMPLES = 200
TICKS_NS = 30_000_000  # three ticks at 100 Hz, the slowest that kernels are built with


@pytest.mark.claim("preset.returns_eintr")
@every_guest_mode
@every_irqchip
def test_first_run(loaded: Guest) -> None:
    """api.rst, immediate_exit: "if non-zero, KVM_RUN exits immediately, returning -EINTR"."""
    require_eintr(loaded.run_immediate(), "On a first run with immediate_exit=1")


@pytest.mark.claim("preset.returns_eintr")
@every_guest_mode
@every_irqchip
def test_later_run(ready: Guest) -> None:
    """The same for a guest that has run before."""
    require_eintr(ready.run_immediate(), "On a later run with immediate_exit=1")


@pytest.mark.claim("preset.returns_eintr")
def test_on_another_thread(ready: Guest) -> None:
    """The same when KVM_RUN comes from a thread that never ran this vCPU."""
    ready.vcpu.immediate_exit = 1
    with Running(ready) as running:
        result = running.outcome()
    require_eintr(result, "On a fresh thread with immediate_exit=1")


@pytest.mark.claim("preset.no_guest_progress")
@every_guest_mode
@every_irqchip
def test_first_run_executes_nothing(loaded: Guest) -> None:
    """Not one guest instruction, by the guest's counter, its registers and KVM's statistics."""
    for number in range(1, ENTRIES + 1):
        require_immediate(loaded, f"On immediate run {number} before the first run of the guest")
    require_untouched(loaded, "Before the first run of the guest", times=ENTRIES)
    require_runs_on(loaded, "After an immediate first run, with the byte cleared")


@pytest.mark.claim("preset.no_guest_progress")
@every_guest_mode
@every_irqchip
def test_later_run_executes_nothing(ready: Guest) -> None:
    """The same for a guest that was interrupted in its loop."""
    for number in range(1, ENTRIES + 1):
        require_immediate(ready, f"On immediate run {number} in a row after the guest has run")
    require_untouched(ready, "After the guest has run", times=ENTRIES)
    require_runs_on(ready, "After an immediate later run, with the byte cleared")


@pytest.mark.claim("preset.any_nonzero_value")
@every_guest_mode
def test_each_value(ready: Guest) -> None:
    """ "Non-zero" means each of 1 to 255: a kernel that tests one bit, or for 1, fails."""
    before = ready.whole()
    for value in range(1, 256):
        require_immediate(ready, "On a later run", value)
    counted = ready.architecture.COUNTS_RUNS
    require_same_state(before, ready.whole(), "After each value of the byte", counted)


@pytest.mark.claim("preset.any_nonzero_value")
@every_guest_mode
def test_zero_runs_the_guest(loaded: Guest) -> None:
    """With 0 the guest runs."""
    loaded.vcpu.immediate_exit = 0
    require_runs_on(loaded, "With immediate_exit=0")


@pytest.mark.claim("preset.repeats")
@every_guest_mode
def test_many_in_a_row(ready: Guest) -> None:
    """Sticky: the kernel never clears the byte, however often it is seen."""
    whole, before = ready.whole(), ready.witness()
    ready.vcpu.immediate_exit = 1
    result = ready.vcpu.run_many_raw(REPEATS)
    require_eintr(result, f"On run {result.runs:,} in a row with immediate_exit=1 left set")
    ready.vcpu.immediate_exit = 0
    said = f"In {REPEATS} runs with immediate_exit=1"
    require_no_progress(before, ready.witness(), said)
    require_same_state(whole, ready.whole(), said, BYTE.counts(ready.architecture))
    require_runs_on(ready, f"After {REPEATS} immediate runs, with the byte cleared")


@pytest.mark.claim("preset.repeats")
def test_rare_loss(ready: Guest) -> None:
    """The same so often that a kernel which overlooks the byte once in 100,000 runs is found."""
    whole, before = ready.whole(), ready.witness()
    ready.vcpu.immediate_exit = 1
    for batch in range(BATCHES):
        result = ready.vcpu.run_many_raw(REPEATS)
        number = batch * REPEATS + result.runs
        require_eintr(result, f"On run {number:,} in a row with immediate_exit=1 left set")
    ready.vcpu.immediate_exit = 0
    said = f"In {BATCHES * REPEATS:,} runs with immediate_exit=1"
    require_no_progress(before, ready.witness(), said)
    require_same_state(whole, ready.whole(), said, BYTE.counts(ready.architecture))


@pytest.mark.claim("preset.not_written")
@every_irqchip
def test_bytes_are_left_alone(ready: Guest) -> None:
    """KVM only reads the field, and touches neither padding1 nor request_interrupt_window."""
    with closing(ready.vcpu.map_again()) as raw:
        for value, neighbour in ((1, 0), (1, 0x55), (1, 255)):
            raw[1] = value
            raw[2:8] = bytes([neighbour]) * 6
            kept = raw[0:8]
            result = ready.vcpu.run_raw(progress_forbidden=True)
            said = f"With immediate_exit={value} and padding1 filled with {neighbour}"
            require_eintr(result, said)
            assert raw[0:8] == kept, (
                f"{said}, KVM_RUN must write none of the first 8 bytes of kvm_run, "
                f"but {kept.hex(' ')} became {raw[0:8].hex(' ')}"
            )
        raw[1:8] = bytes(7)


@pytest.mark.claim("preset.not_written")
@pytest.mark.parametrize("neighbour", [1, 255], ids=["one", "all_bits"])
def test_window_request_does_not_matter(ready: Guest, neighbour: int) -> None:
    """request_interrupt_window, at any value, neither hides the byte nor is written."""
    ready.vcpu.run_page.request_interrupt_window = neighbour
    require_untouched(ready, f"On a run with request_interrupt_window={neighbour}")
    found = int(ready.vcpu.run_page.request_interrupt_window)
    assert found == neighbour, (
        f"KVM_RUN must not write request_interrupt_window, but {neighbour} became {found}"
    )


@pytest.mark.claim("preset.not_written")
def test_byte_survives_a_normal_run(ready: Guest) -> None:
    """A byte set while the guest runs is still there when KVM_RUN has ended by a signal."""
    result, _ = kicked_run(ready, KICK, 0xA5, lambda running: None)
    require_signal_exit(result, "On a kick with the byte set")
    found = ready.vcpu.immediate_exit
    assert found == 0xA5, f"KVM_RUN must not write the byte, but 165 became {found}"


@pytest.mark.claim("preset.per_vcpu")
@every_irqchip
@pin_other_vcpus(1)
def test_other_vcpu_of_the_vm(ready: Guest) -> None:
    """Each vCPU has a kvm_run of its own: the byte of one says nothing to another."""
    (other,) = ready.others
    other.immediate_exit = 1
    require_eintr(
        other.run_raw(), "On the second vCPU of a VM with its immediate_exit=1, the first's 0"
    )
    require_runs_on(ready, "On the first vCPU with immediate_exit=0, the second's 1")


@pytest.mark.claim("preset.per_vcpu")
def test_vcpu_of_another_vm(kvm: System, ready: Guest) -> None:
    """The same for a vCPU of another VM, which starts and runs while this one's byte is set."""
    with create(kvm) as other:
        other.load("heartbeat", ready.mode)
        ready.vcpu.immediate_exit = 1
        with Running(other) as running:
            running.wait_for_progress()
            require_immediate(ready, "While another VM's vCPU runs")
            running.wait_for_progress()
            other.stop()
            result = running.outcome()
    require_left(result, "On a vCPU with immediate_exit=0, another VM's being 1")
    require_runs_on(ready, "After that, with its own byte cleared")


@pytest.mark.claim("preset.polled_once")
@every_guest_mode
def test_set_while_the_guest_runs(ready: Guest) -> None:
    """ "This field is polled once when KVM_RUN starts": later it is not looked at.

    The guest is watched over several host ticks, after each of which the kernel enters it anew.
    """

    def watch(running: Running) -> None:
        running.wait_for_processor_time(TICKS_NS)
        running.wait_for_progress()

    result, taken = kicked_run(ready, KICK, 1, watch)
    require_signal_exit(result, "On a kick, with the byte set while the guest ran,")
    assert taken == 1, f"one kick was sent, but its handler ran {taken} times"
    require_untouched(ready, "On the next run after the byte was set")


@pytest.mark.claim("preset.polled_once")
@every_guest_mode
def test_set_and_cleared_before(ready: Guest) -> None:
    """A byte that is 0 again when KVM_RUN starts was never seen."""
    ready.vcpu.immediate_exit = 1
    ready.vcpu.immediate_exit = 0
    require_runs_on(ready, "With the byte set and cleared before KVM_RUN")


@pytest.mark.claim("preset.polled_once")
def test_nothing_is_left_of_a_cleared_byte(ready: Guest) -> None:
    """The run after an immediate exit is one like every other: no signal seems to end it."""

    def run(byte: int) -> Tried:
        if byte:  # it may complete the last exit of the run before, so registers may move
            require_eintr(ready.run_immediate(byte), f"On a run with immediate_exit={byte}")
        with Running(ready) as running:
            running.wait_for_progress()
            ready.stop()
            result = running.outcome()
        require_left(result, "On a run after the byte was cleared")
        ready.clear_stop()
        return Tried(result, result.describe() if result.spurious else "")

    undisturbed(lambda: run(1), lambda: run(0), "After an immediate exit, with the byte at 0 again")


@pytest.mark.claim("preset.exit_reason_untouched")
@every_guest_mode
@every_irqchip
def test_sentinel(ready: Guest) -> None:
    """An immediate exit returns before any architecture writes exit_reason."""
    ready.vcpu.run_page.exit_reason = SENTINEL
    result = ready.run_immediate()
    require_eintr(result, "With immediate_exit=1")
    assert result.exit_reason == SENTINEL, (
        f"an immediate exit must leave exit_reason alone, but {SENTINEL:#x} became "
        f"{exits.reason_name(result.exit_reason)}"
    )


@pytest.mark.claim("preset.exit_reason_untouched")
def test_after_a_signal_exit(ready: Guest) -> None:
    """The reason of the run before stays: here KVM_EXIT_INTR of the signal that stopped it."""
    with CountingHandler(KICK), Running(ready) as running:
        running.wait_for_progress()
        running.kick(KICK)
        require_signal_exit(running.outcome(), "On a kick")
    require_signal_exit(ready.run_immediate(), "On an immediate run after a signal exit")


@pytest.mark.claim("preset.every_guest_mode")
@pytest.mark.keeps("guest_mode")
@every_guest_mode
@every_irqchip
def test_first_and_later_run(loaded: Guest) -> None:
    """The check comes before KVM looks at the guest's state, so no mode can be special."""
    require_untouched(loaded, f"On a first run in {loaded.mode} mode")
    warm_up(loaded)
    require_untouched(loaded, f"On a later run in {loaded.mode} mode")
    require_runs_on(loaded, f"In {loaded.mode} mode with the byte cleared")


@pytest.mark.claim("preset.fast")
def test_cost_is_reported(ready: Guest, record_property: Callable[[str, object], None]) -> None:
    """What it costs stands in the results; `kvm-conformance bench` measures it well."""
    ready.vcpu.immediate_exit = 1
    costs = []
    for _ in range(SAMPLES):
        result = ready.vcpu.run_raw(progress_forbidden=True)
        require_eintr(result, "With immediate_exit=1")
        costs.append(result.elapsed_ns)
    record_property("immediate_run_ns_median", round(median(costs)))
