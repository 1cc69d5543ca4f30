# SPDX-License-Identifier: GPL-2.0-only
"""A mask of KVM_SET_SIGNAL_MASK is its vCPU's own, and stays until it is replaced or cleared."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator

import pytest

from harness.host.features import reason
from harness.kvm import arch
from harness.kvm.guest import Guest
from harness.kvm.other_process import run_raw_in_child
from harness.kvm.running import warm_up
from harness.kvm.signals import Blocked, CountingHandler
from harness.kvm.vcpu import KERNEL_SIGSET_BYTES
from harness.kvm.vm import Vm
from harness.require import require_eintr, require_errno, require_left
from harness.ways import BYTE
from suites.dimensions import KICK
from suites.signals.masks import require_keeps_out, require_lets_in

OTHER = KICK + 1  # a second signal that nothing else uses
MASK = {OTHER}  # with it the kick is let in; the thread blocks both
IMMEDIATE_RUNS = 20
LENGTH_BYTES = 4

# A function of the guest, and its docstring the beginning of a sentence.
Happening = Callable[[Guest], None]


@pytest.fixture
def both_blocked() -> Iterator[Blocked]:
    """This thread blocks both signals; handlers are there for a kernel that delivers them."""
    with CountingHandler(KICK), CountingHandler(OTHER), Blocked(KICK, OTHER) as held:
        yield held


# ---- what may happen to a vCPU, after which its mask is the same


def immediate_run(guest: Guest) -> None:
    """after an immediate run"""
    require_eintr(guest.run_immediate(), "With immediate_exit=1")


def immediate_runs(guest: Guest) -> None:
    """after twenty immediate runs"""
    result = BYTE.run_many(guest.vcpu, IMMEDIATE_RUNS)
    require_eintr(result, f"In {IMMEDIATE_RUNS} immediate runs")


def run_and_signal(guest: Guest) -> None:
    """after a run on another thread that a signal ended"""
    warm_up(guest)


def run_and_exit(guest: Guest) -> None:
    """after a run that the guest ended, and one that a signal ended"""
    guest.stop()
    require_left(guest.vcpu.run_raw(), "With the stop word set")
    finish_exit(guest)


def finish_exit(guest: Guest) -> None:
    """What the guest left by is finished in the next run, which is not to be the judged one."""
    guest.clear_stop()
    warm_up(guest)


def run_refused(guest: Guest) -> None:
    """after a KVM_RUN that was refused"""
    require_errno(guest.vcpu.run_raw(argument=1), errno.EINVAL, "With the argument 1")


def run_of_another_process(guest: Guest) -> None:
    """after a KVM_RUN of another process, which is refused"""
    value = run_raw_in_child(guest.vcpu)
    assert value == -errno.EIO, f"KVM_RUN of another process must give EIO, but gave {value}"


def mask_of_wrong_length(guest: Guest) -> None:
    """after a KVM_SET_SIGNAL_MASK with a wrong length"""
    _refused(guest.vcpu.set_signal_mask_raw((), KERNEL_SIGSET_BYTES // 2), errno.EINVAL)


def mask_unreadable(guest: Guest) -> None:
    """after a KVM_SET_SIGNAL_MASK of memory that cannot be read"""
    _refused(guest.vcpu.set_signal_mask_torn_raw(0), errno.EFAULT)


def mask_of_length_only(guest: Guest) -> None:
    """after a KVM_SET_SIGNAL_MASK of which the length can be read and no signal"""
    _refused(guest.vcpu.set_signal_mask_torn_raw(LENGTH_BYTES), errno.EFAULT)


def mask_half_readable(guest: Guest) -> None:
    """after a KVM_SET_SIGNAL_MASK of which the first half can be read"""
    half = LENGTH_BYTES + KERNEL_SIGSET_BYTES // 2
    _refused(guest.vcpu.set_signal_mask_torn_raw(half), errno.EFAULT)


def _refused(value: int, wanted: int) -> None:
    assert value == -wanted, (
        f"This KVM_SET_SIGNAL_MASK must fail with {errno.errorcode[wanted]}, but gave {value}"
    )


BY_THE_BYTE = (immediate_run, immediate_runs)
HAPPENINGS = (
    *(run_and_signal, run_and_exit, run_refused, run_of_another_process, mask_of_wrong_length),
    *(mask_unreadable, mask_of_length_only, mask_half_readable),
)


def each(happenings: Iterable[Happening]) -> pytest.MarkDecorator:
    """The test runs once for each."""
    return pytest.mark.parametrize("happening", happenings, ids=lambda each: each.__name__)


# ---- the tests


@pytest.mark.claim("signals.mask_stays")
@pytest.mark.usefixtures("capability")
@each(BY_THE_BYTE)
def test_mask_is_kept_by_the_byte(
    ready: Guest, both_blocked: Blocked, happening: Happening
) -> None:
    """kvm_sigset_deactivate() takes the mask back from the thread, and not from the vCPU."""
    require_kept(ready, both_blocked, happening)


@pytest.mark.claim("signals.mask_stays")
@each(HAPPENINGS)
def test_mask_is_kept(ready: Guest, both_blocked: Blocked, happening: Happening) -> None:
    """kvm_vcpu_ioctl_set_sigmask() alone writes vcpu->sigset, and a call that fails does not."""
    require_kept(ready, both_blocked, happening)


@pytest.mark.claim("signals.mask_stays")
@pytest.mark.parametrize("number", [0, 1], ids=["first_vcpu", "second_vcpu"])
def test_mask_is_its_vcpus(vm: Vm, guest_mode: str, both_blocked: Blocked, number: int) -> None:
    """api.rst 4.21, KVM_SET_SIGNAL_MASK, "Type: vcpu ioctl": one vCPU's mask is not another's."""
    if vm.check_extension("KVM_CAP_MAX_VCPUS") < 2:
        pytest.skip(reason("no_second_vcpu"))
    before = [vm.create_vcpu(each) for each in range(number)]
    with Guest(vm, arch.current(), number) as guest:
        guest.load("heartbeat", guest_mode)
        other = before[0] if before else vm.create_vcpu(1 - number)
        for blocked in (None, (), {KICK}, {OTHER}):
            other.set_signal_mask(blocked)
            said = f"and a mask of another vCPU that blocks {sorted(blocked or ()) or 'nothing'}"
            finish_exit(guest)  # of the round before
            guest.vcpu.set_signal_mask(MASK)
            require_masked(guest, both_blocked, f"with a mask {said}")
            guest.vcpu.set_signal_mask(None)
            require_unmasked(guest, both_blocked, f"with no mask {said}")


def require_kept(guest: Guest, blocked: Blocked, happening: Happening) -> None:
    """With a mask, of which the thread's own would show neither half, and without one."""
    __tracebackhide__ = True
    happened = " ".join((happening.__doc__ or "").split())
    guest.vcpu.set_signal_mask(MASK)
    happening(guest)
    require_masked(guest, blocked, f"{happened}, and the mask from before")
    guest.clear_stop()
    guest.vcpu.set_signal_mask(None)
    happening(guest)
    require_unmasked(guest, blocked, f"{happened}, and no mask as before")


def require_masked(guest: Guest, blocked: Blocked, circumstance: str) -> None:
    """KVM_RUN lets the one signal in and keeps the other out."""
    __tracebackhide__ = True
    require_lets_in(guest, blocked, KICK, circumstance)
    require_keeps_out(guest, blocked, OTHER, circumstance)


def require_unmasked(guest: Guest, blocked: Blocked, circumstance: str) -> None:
    """KVM_RUN keeps both out, as the thread's own mask does."""
    __tracebackhide__ = True
    for number in (KICK, OTHER):
        require_keeps_out(guest, blocked, number, circumstance)
