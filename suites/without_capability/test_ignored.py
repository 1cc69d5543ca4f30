# SPDX-License-Identifier: GPL-2.0-only
"""A KVM without the capability does not know the byte: it neither obeys it nor writes it."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_left, require_signal_exit
from suites.dimensions import KICK, every_guest_mode, every_irqchip

pytestmark = pytest.mark.usefixtures("without_capability")


EVERY_VALUE = range(1, 256)
any_value = pytest.mark.parametrize("value", [1, 0x80, 0xFF], ids=["one", "high_bit", "all_bits"])


def require_untouched(guest: Guest, value: int, circumstance: str) -> None:
    """The byte holds what userspace put there."""
    __tracebackhide__ = True
    found = guest.vcpu.immediate_exit
    if found != value:
        raise AssertionError(
            f"{circumstance}, byte 1 of kvm_run must still hold {value}, but it holds {found}"
        )


def require_runs_to_the_end(guest: Guest, circumstance: str) -> None:
    """KVM_RUN runs the guest, which sees the stop word and leaves by itself."""
    __tracebackhide__ = True
    guest.stop()
    require_left(guest.vcpu.run_raw(), circumstance)


def run_to_a_signal(guest: Guest) -> RunResult:
    """KVM_RUN of a guest that counts until a signal ends the run."""
    with CountingHandler(KICK) as handler, Running(guest) as running:
        running.wait_for_progress()
        running.kick(handler.signo)
        return running.outcome()


@pytest.mark.claim("absent.ignored")
@every_guest_mode
@every_irqchip
@any_value
def test_first_run_runs_the_guest(loaded: Guest, value: int) -> None:
    """api.rst, immediate_exit: "This field is ignored if KVM_CAP_IMMEDIATE_EXIT is not
    available."."""
    loaded.vcpu.immediate_exit = value
    require_runs_to_the_end(loaded, f"With byte 1 of kvm_run at {value}, on a first run")


@pytest.mark.claim("absent.ignored")
@every_guest_mode
@any_value
def test_later_run_runs_the_guest(ready: Guest, value: int) -> None:
    """The same for a guest that has run before."""
    ready.vcpu.immediate_exit = value
    require_runs_to_the_end(ready, f"With byte 1 of kvm_run at {value}, on a later run")


@pytest.mark.claim("absent.ignored")
@every_guest_mode
def test_every_value_after_an_exit(device: Device) -> None:
    """Nor is it obeyed when an operation is pending: the run goes on to the next exit."""
    for value in EVERY_VALUE:
        said = f"With byte 1 of kvm_run at {value}"
        device.guest.vcpu.immediate_exit = value
        device.answer(device.run_to_read(said))
        device.run_to_write(said)


@pytest.mark.claim("absent.ignored")
@every_guest_mode
def test_only_a_signal_ends_the_run(ready: Guest) -> None:
    """With the byte set the guest runs on until a signal comes."""
    ready.vcpu.immediate_exit = 1
    require_signal_exit(run_to_a_signal(ready), "With byte 1 of kvm_run at 1 and a signal")


@pytest.mark.claim("absent.not_written")
@every_guest_mode
def test_after_exits(device: Device) -> None:
    """The byte is the monitor's: no KVM_RUN that ends with an exit changes it, at any value."""
    for value in EVERY_VALUE:
        device.guest.vcpu.immediate_exit = value
        device.answer(device.run_to_read(f"With byte 1 of kvm_run at {value}"))
        require_untouched(device.guest, value, "After KVM_RUN with the exit of a read")
        device.run_to_write(f"With byte 1 of kvm_run at {value}")
        require_untouched(device.guest, value, "After KVM_RUN with the exit of a write")


@pytest.mark.claim("absent.not_written")
@every_guest_mode
@any_value
def test_after_a_signal(ready: Guest, value: int) -> None:
    """Nor does a run that a signal ends."""
    ready.vcpu.immediate_exit = value
    require_signal_exit(run_to_a_signal(ready), f"With byte 1 of kvm_run at {value} and a signal")
    require_untouched(ready, value, "After KVM_RUN that a signal ended")


@pytest.mark.claim("absent.not_written")
def test_zero_stays_zero(device: Device) -> None:
    """Zero is a value like the others."""
    device.turns(1)
    require_untouched(device.guest, 0, "After KVM_RUN with an exit")
