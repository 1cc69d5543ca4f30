# SPDX-License-Identifier: GPL-2.0-only
"""The thread that calls KVM_RUN has its own state back on each way out of it.

A way that is missing here is a function more in WAYS.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm.exits import Debug
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.kicked_here import run_kicked, until_asleep, until_progress
from harness.kvm.running import Processor
from harness.kvm.senders import SENDERS
from harness.require import (
    require_ended,
    require_errno,
    require_exit,
    require_left,
    require_signal_exit,
)
from harness.ways import BYTE, SIGNAL
from suites.dimensions import (
    an_irqchip_that_halts,
    every_device,
    only_on,
    pin_guest_program,
)
from suites.preset.looking import require_same_thread
from suites.preset.x86_64.looking import looking_quietly
from suites.vcpu_states.x86_64.woken import run_woken

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

# Each ends one KVM_RUN in its way; its docstring goes on behind "In".
Way = Callable[[Guest], None]


def run_by_the_byte(processor: Processor) -> None:
    """a run that the byte ends"""
    require_ended(BYTE.run_many(processor.vcpu, 1), BYTE, "On a run")


def run_by_a_pending_signal(processor: Processor) -> None:
    """a run that a signal ends which was pending"""
    require_ended(SIGNAL.run_many(processor.vcpu, 1), SIGNAL, "On a run")


def run_by_a_kick(guest: Guest) -> None:
    """a run that a signal ends while the guest runs"""
    kick = SENDERS["a real-time signal to the thread"]
    result, _ = run_kicked(guest, lambda: until_progress(guest), kick)
    require_signal_exit(result, "On a kick")


def run_to_the_exit(guest: Guest) -> None:
    """a run that the guest ends"""
    guest.stop()
    require_left(guest.vcpu.run_raw(), "With the stop word set")


def run_of_one_step(guest: Guest) -> None:
    """a run of a single step"""
    if not guest.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        pytest.skip(reason("no_guest_debug"))
    guest.vcpu.set_guest_debug(single_step=True)
    require_exit(guest.vcpu.run_raw(), Debug, "With single-stepping on")
    guest.vcpu.set_guest_debug(single_step=False)


def run_with_an_argument(guest: Guest) -> None:
    """a KVM_RUN that its argument refuses"""
    require_errno(guest.vcpu.run_raw(argument=1), errno.EINVAL, "With the argument 1")


def run_with_unknown_registers(guest: Guest) -> None:
    """a KVM_RUN that unknown registers refuse"""
    known = guest.vm.check_extension("KVM_CAP_SYNC_REGS")
    if not known:
        pytest.skip(reason("no_sync_regs"))
    guest.vcpu.run_page.kvm_valid_regs = (known + 1) & ~known
    result = guest.vcpu.run_raw()
    guest.vcpu.run_page.kvm_valid_regs = 0
    require_errno(result, errno.EINVAL, "With an unknown bit in kvm_valid_regs")


WAYS = (
    *(run_by_the_byte, run_by_a_pending_signal, run_by_a_kick, run_to_the_exit, run_of_one_step),
    *(run_with_an_argument, run_with_unknown_registers),
)
OF_A_WAITING_ONE = (run_by_the_byte, run_by_a_pending_signal)
TIMES = 3


def each(ways: tuple[Callable[..., None], ...]) -> pytest.MarkDecorator:
    """The test runs once for each."""
    return pytest.mark.parametrize("way", ways, ids=lambda way: way.__name__.removeprefix("run_"))


@pytest.mark.claim("preset.host_untouched")
@each(WAYS)
def test_thread_on_the_way_out_by(ready: Guest, way: Way) -> None:
    """kvm_put_guest_fpu() and vcpu_put() follow each way out of kvm_arch_vcpu_ioctl_run()."""
    with looking_quietly(ready) as look:
        for _ in range(TIMES):
            way(ready)
            ready.clear_stop()
    require_same_thread(look, f"In {way.__doc__}")


@pytest.mark.claim("preset.host_untouched")
@every_device
def test_thread_between_exits(device: Device) -> None:
    """The same where a run finishes an operation that was handed to userspace: by the byte, by a
    signal, and on to the next exit."""
    guest = device.guest
    with looking_quietly(guest) as look:
        for way in (run_by_the_byte, run_by_a_pending_signal, lambda _: None):
            device.answer(device.run_to_read("At a read"))
            way(guest)
            device.run_past_read("After a read")
    require_same_thread(look, "In runs that finish a read of a device")


@pytest.fixture
def waiting(guest: Guest, guest_mode: str) -> SecondProcessor:
    """A processor that nobody starts. An INIT would not find it if the first one came before it."""
    if guest.vm.check_extension("KVM_CAP_MAX_VCPUS") == 1:
        pytest.skip(reason("no_second_vcpu"))
    processor = guest.add_processor()
    guest.load("heartbeat", guest_mode)
    return processor


@pytest.mark.claim("preset.host_untouched")
@an_irqchip_that_halts
def test_thread_of_an_unstarted_processor(guest: Guest, waiting: SecondProcessor) -> None:
    """The same where KVM_RUN waits for INIT: by the byte, by signals, and by the INIT."""
    with looking_quietly(guest, waiting) as look:
        for way in OF_A_WAITING_ONE:
            way(waiting)
        kick_asleep(waiting)
        result = run_woken(guest.vm, waiting.vcpu, waiting.number)
    require_same_thread(look, "In runs of a processor that waits to be started")
    require_errno(result, errno.EAGAIN, "With an INIT pending")


@pytest.mark.claim("preset.host_untouched")
@pin_guest_program("halt")
@an_irqchip_that_halts
def test_thread_of_a_halted_vcpu(loaded: Guest) -> None:
    """The same where the vCPU is halted, and its thread slept."""
    loaded.set_data(0, 1)
    with looking_quietly(loaded) as look:
        kick_asleep(loaded)
        for way in OF_A_WAITING_ONE:
            way(loaded)
    require_same_thread(look, "In runs of a halted vCPU")


def kick_asleep(processor: Processor) -> None:
    """A run that a signal ends while its thread sleeps."""
    kick = SENDERS["a real-time signal to the thread"]
    result, _ = run_kicked(processor, lambda: until_asleep(processor), kick)
    require_signal_exit(result, "On a kick of a vCPU that waits")


@pytest.mark.claim("preset.host_untouched")
def test_thread_keeps_a_breakpoint(ready: Guest) -> None:
    """The processor has switched the host's breakpoints off when the guest is left, and KVM has
    lent the registers: hw_breakpoint_restore() puts them back (commit 24f1e32c60c4)."""
    with looking_quietly(ready) as look:
        for _ in range(TIMES):
            run_to_the_exit(ready)
    require_same_thread(look, "In runs that the guest ends")
    if not look.watched:
        pytest.skip(reason("no_watchpoint"))
