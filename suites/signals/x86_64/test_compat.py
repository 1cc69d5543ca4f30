# SPDX-License-Identifier: GPL-2.0-only
"""KVM_SET_SIGNAL_MASK and KVM_RUN of a 32-bit program: kvm_vcpu_compat_ioctl()."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

import pytest

from harness.host.features import reason
from harness.kvm.arch.x86_64.compat import INTERRUPTED, CompatGuest, No32BitError
from harness.kvm.guest import Guest
from harness.kvm.raw_mask import NUMBERS
from harness.undisturbed import MOST_RUNS
from suites.dimensions import KICK, only_on, pin_guest_mode

pytestmark = [only_on("x86_64"), pin_guest_mode("protected")]

LEFT = 0, "KVM_EXIT_IO"  # the program's last exit, when it saw the stop word


@pytest.fixture
def compat(loaded: Guest, guest_mode: str) -> Iterator[CompatGuest]:
    """A guest of a 32-bit program. `loaded` has shown that the mode can be had."""
    try:
        with CompatGuest() as made:
            made.load("heartbeat", guest_mode)
            yield made
    except No32BitError as error:
        pytest.skip(reason("no_32_bit", str(error)))


def told(answer: tuple[int, str]) -> str:
    """What KVM_RUN returned, as a sentence has it."""
    value, exit_reason = answer
    if value < 0:
        return f"-1 with {errno.errorcode.get(-value, -value)} (exit_reason {exit_reason})"
    return f"{value} with {exit_reason}"


def require_mask_set(compat: CompatGuest, blocked: Iterable[int] | None) -> None:
    """KVM_SET_SIGNAL_MASK takes the mask."""
    __tracebackhide__ = True
    value = compat.set_signal_mask_raw(blocked)
    assert value == 0, f"A 32-bit program's KVM_SET_SIGNAL_MASK must return 0, but gave {value}"


def require_run(compat: CompatGuest, wanted: tuple[int, str], circumstance: str) -> None:
    """A 32-bit program's KVM_RUN gives this; one that ends by a signal runs nothing.

    The stop word is set, so that each run has an end.
    """
    __tracebackhide__ = True
    compat.stop()
    before = compat.heartbeat
    found = compat.run()
    for _ in range(MOST_RUNS):
        if wanted == INTERRUPTED or found != INTERRUPTED:
            break
        found = compat.run()  # EINTR for nothing is legal, and no defect ends each run so
    assert found == wanted, (
        f"{circumstance}, a 32-bit program's KVM_RUN must return {told(wanted)}, but it returned "
        f"{told(found)}"
    )
    turns = compat.heartbeat - before
    assert wanted == LEFT or not turns, f"{circumstance}, the guest ran {turns} turns of its loop"


def require_pending(compat: CompatGuest, number: int, circumstance: str) -> None:
    """The signal, and no other, is pending; it is taken away."""
    __tracebackhide__ = True
    found = compat.pending()
    assert found == {number}, f"{circumstance}, signal {number} must be pending, but: {found}"
    compat.take(number)


@pytest.mark.claim("signals.compat")
def test_mask_lets_in_what_it_does_not_name(compat: CompatGuest) -> None:
    """api.rst 4.21, of each number: get_compat_sigset() takes two words of 32 bits."""
    for number in NUMBERS:
        require_mask_set(compat, set(NUMBERS) - {number})
        compat.send(number)
        said = f"With signal {number} pending, that alone the mask lets in"
        require_run(compat, INTERRUPTED, said)
        require_pending(compat, number, said)


@pytest.mark.claim("signals.compat")
def test_mask_keeps_out_what_it_names(compat: CompatGuest) -> None:
    """The same of a mask that names one number, and of one that names all."""
    for number in NUMBERS:
        for name, mask in (("one", {number}), ("full", NUMBERS)):
            require_mask_set(compat, mask)
            compat.send(number)
            said = f"With signal {number} pending, and a mask that names it ({name})"
            require_run(compat, LEFT, said)
            require_pending(compat, number, said)


@pytest.mark.claim("signals.compat")
def test_mask_arguments(compat: CompatGuest) -> None:
    """Only the size of compat_sigset_t is right, and a refused mask changes nothing; a null pointer
    clears the mask."""
    require_mask_set(compat, ())
    for length in (0, 4, 16):
        value = compat.set_signal_mask_raw(NUMBERS, length)
        assert value == -errno.EINVAL, (
            f"A 32-bit program's KVM_SET_SIGNAL_MASK with the length {length} must fail with "
            f"EINVAL, but gave {value}"
        )
    compat.send(KICK)
    require_run(compat, INTERRUPTED, "With a signal pending and the mask as before a refused one")
    require_mask_set(compat, None)
    require_run(compat, LEFT, "With a signal pending that the thread blocks, and no mask")


@pytest.mark.claim("signals.compat")
def test_kick_of_a_running_guest(compat: CompatGuest) -> None:
    """A signal that comes from outside while the guest runs."""
    require_mask_set(compat, set(NUMBERS) - {KICK})
    start = compat.heartbeat
    compat.begin_run()
    compat.wait_until(lambda: compat.heartbeat > start, "guest progress")
    os.kill(compat.pid, KICK)  # where the run ended for nothing meanwhile, it is let go now
    found = compat.end_run()
    assert found == INTERRUPTED, (
        f"On a kick, a 32-bit program's KVM_RUN must return {told(INTERRUPTED)}, but it returned "
        f"{told(found)}"
    )
    require_pending(compat, KICK, "After the kick")


@pytest.mark.claim("signals.compat")
def test_byte(capability: int, compat: CompatGuest) -> None:
    """The byte is a 32-bit program's too."""
    for number in range(20):
        said = f"With immediate_exit=1, on run {number}"
        compat.stop()
        before = compat.heartbeat
        found, _ = compat.run(1)
        assert found == -errno.EINTR, (
            f"{said}, a 32-bit program's KVM_RUN gave {found} and not EINTR"
        )
        assert compat.heartbeat == before, f"{said}, the guest ran"
    require_run(compat, LEFT, "With the byte cleared, after immediate runs")
