# SPDX-License-Identifier: GPL-2.0-only
"""What `preset.everywhere` asks of a KVM under each condition.

Behind the byte's runs comes one with a signal pending, for the check of it is another one, of which
the same can be thought; and a kick that is overlooked is lost.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from harness.conditions.condition import (
    NOTHING_BEFORE,
    Before,
    Condition,
    circumstance,
    done_before,
)
from harness.host.features import reason
from harness.kvm import arch
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.guest import Guest
from harness.kvm.running import warm_up
from harness.kvm.vm import Vm
from harness.require import (
    require_eintr,
    require_ended,
    require_exit,
    require_no_progress,
    require_runs_on,
    require_same_state,
)
from harness.ways import SIGNAL, byte

RUNS = (1, 20)  # a defect that toggles cancels out over an even number
VALUE = 0x81  # neither 1 nor a single bit


def each(conditions: Iterable[Condition]) -> pytest.MarkDecorator:
    """The test runs once under each."""
    return pytest.mark.parametrize("condition", conditions, ids=lambda each: each.__name__)


def require_obeyed(guest: Guest, condition: Condition) -> None:
    """The byte is obeyed in each state of the condition, and the guest runs on afterwards."""
    __tracebackhide__ = True
    require_immediate_runs(guest, condition)
    require_runs_on(guest, f"{circumstance(condition)} or just was, with the byte cleared")


def require_obeyed_by_new(vm: Vm, guest_mode: str, condition: Callable[[Vm], int]) -> None:
    """The byte is obeyed by a vCPU that is made now, before its first run and after.

    The condition makes something of the VM so, and gives the vCPU's number.
    """
    __tracebackhide__ = True
    with skipped_where_lacking(condition.__name__):
        number = condition(vm)
    with Guest(vm, arch.current(), number) as guest:
        guest.load("heartbeat", guest_mode)
        require_held(guest, f"{circumstance(condition)}, before the guest has run")
        warm_up(guest)
        require_held(guest, circumstance(condition))
        require_runs_on(guest, f"{circumstance(condition)}, with the byte cleared")


def require_immediate_runs(guest: Guest, condition: Condition) -> None:
    """The byte is obeyed in each state of the condition, and a signal that is pending."""
    __tracebackhide__ = True
    before = done_before(condition)
    with skipped_where_lacking(condition.__name__):
        for number, _ in enumerate(condition(guest)):
            require_obeyed_now(guest, circumstance(condition), whole=number == 0)
            # The whole state is thirty times as dear as a witness: in the second, third, fifth,
            # ninth ... of the states, once a first look has moved what looking moves.
            if number and number & (number - 1) == 0 and guest.vm.fd >= 0:
                guest.whole()
                require_obeyed_now(guest, circumstance(condition))
            if not before.breaks:
                require_signal_seen(guest, circumstance(condition), before)


def require_held(guest: Guest, said: str) -> None:
    """`require_obeyed_now()`, and so is a signal that is pending."""
    __tracebackhide__ = True
    require_obeyed_now(guest, said)
    require_signal_seen(guest, said)


def require_signal_seen(guest: Guest, said: str, before: Before = NOTHING_BEFORE) -> None:
    """A signal pending at entry ends the run, or what KVM does before; nothing is executed.

    The vCPU has no signal mask of its own afterwards.
    """
    __tracebackhide__ = True
    witness = guest.witness()
    result = SIGNAL.run(guest)
    if before.leaves and result.value == 0:
        require_exit(result, before.leaves, f"{said}{SIGNAL.said}")
    else:
        require_ended(result, SIGNAL, said)
    if not before.moves:
        after = SIGNAL.uncounted(witness, guest.witness())
        require_no_progress(witness, after, f"{said}{SIGNAL.said}")


def require_obeyed_now(guest: Guest, said: str, *, whole: bool = True) -> None:
    """After one immediate run and after twenty more: EINTR each time, and nothing has changed."""
    __tracebackhide__ = True
    state = guest.whole() if whole and guest.vm.fd >= 0 else None
    before = guest.witness()
    for times in RUNS:
        result = byte(VALUE).run_many(guest.vcpu, times)
        require_eintr(
            result, f"{said}, on run {result.runs} of {times} with immediate_exit={VALUE}"
        )
        require_no_progress(before, guest.witness(), f"{said}, with immediate_exit={VALUE}")
    if state is not None:
        counted = guest.architecture.COUNTS_RUNS
        runs = f"{said}, in {sum(RUNS)} immediate runs"
        require_same_state(state, guest.whole(), runs, may_change=counted)


@contextmanager
def skipped_where_lacking(detail: str) -> Iterator[None]:
    """Skips where KVM says that it has not what makes the condition so, or may not have it."""
    try:
        yield
    except LackingError as error:
        pytest.skip(reason("no_setting", f"{detail}: no {error.ioctl}"))
    except KvmError as error:
        if error.errno != errno.EPERM:
            raise
        pytest.skip(reason("no_setting", f"{detail}: {error}"))
    except PermissionError as error:
        pytest.skip(reason("no_setting", f"{detail}: {error.strerror}"))
