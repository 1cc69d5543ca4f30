# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel did, held against what it must do: each failure is a sentence for a bug report.

Every function raises AssertionError with such a sentence, or returns what was asked for.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from typing import TypeVar

from harness.kvm import exits
from harness.kvm.abi import constant
from harness.kvm.arch import current, word_of
from harness.kvm.guest import Guest, Witness
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.kvm.signals import thread_mask
from harness.kvm.speech import Word
from harness.kvm.unmet import UnmetError, kind_of_exit
from harness.kvm.whole import WholeState, told
from harness.ways import BYTE, SIGNAL, WayOut, byte

E = TypeVar("E")


def unmet_exit(circumstance: str, text: str, result: RunResult, wanted: int) -> UnmetError:
    """KVM_RUN had to give 0 with the exit of this number, or ANY_EXIT, and its content."""
    return UnmetError(circumstance, text, kind_of_exit(result, wanted), result, value=wanted)


def _reason_of_words() -> int:
    return constant(current().SPEECH.exit_reason)


def require_eintr(result: RunResult, circumstance: str) -> None:
    """KVM_RUN gave -1 and EINTR by itself. `circumstance` says with what it was called."""
    __tracebackhide__ = True
    if not result.gave_eintr:
        text = f"KVM_RUN must return -1 with EINTR, but {result.describe()}"
        raise UnmetError(circumstance, text, "errno", result, value=errno.EINTR)


def require_errno(result: RunResult, wanted: int, circumstance: str) -> None:
    """KVM_RUN gave -1 and this errno by itself."""
    __tracebackhide__ = True
    if result.value != -1 or result.errno != wanted or result.rescue:
        name = errno.errorcode[wanted]
        text = f"KVM_RUN must return -1 with {name}, but {result.describe()}"
        raise UnmetError(circumstance, text, "errno", result, value=wanted)


def require_exit(result: RunResult, kind: type[E], circumstance: str) -> E:
    """KVM_RUN gave 0 and an exit of this kind by itself; the exit."""
    __tracebackhide__ = True
    if result.value != 0 or result.rescue or not isinstance(result.exit, kind):
        text = f"KVM_RUN must return 0 with the exit {kind.__name__}, but {result.describe()}"
        raise unmet_exit(circumstance, text, result, exits.reason_of(kind))
    return result.exit


def require_said(result: RunResult, wanted: Word, circumstance: str) -> exits.VcpuExit:
    """KVM_RUN gave 0 and the exit by which the program says this word; the exit."""
    __tracebackhide__ = True
    found = result.exit
    if result.value != 0 or result.rescue or found is None or word_of(found) is not wanted:
        text = f"KVM_RUN must return 0 with the program's {wanted.value}, but {result.describe()}"
        raise unmet_exit(circumstance, text, result, _reason_of_words())
    return found


def require_left(result: RunResult, circumstance: str) -> None:
    """KVM_RUN gave 0 and the program's last exit: it saw the stop word, and left by itself."""
    __tracebackhide__ = True
    if result.value != 0 or result.rescue or word_of(result.exit) is not Word.DONE:
        text = f"the program must see the stop word and leave, but {result.describe()}"
        raise unmet_exit(circumstance, text, result, _reason_of_words())


def require_signal_exit(result: RunResult, circumstance: str) -> None:
    """KVM_RUN gave -1, EINTR and KVM_EXIT_INTR: it was a signal that ended it."""
    __tracebackhide__ = True
    require_eintr(result, circumstance)
    wanted = exits.reason_name(result.exit_reason)
    if wanted != "KVM_EXIT_INTR":
        text = f"exit_reason must be KVM_EXIT_INTR, but it is {wanted}"
        raise UnmetError(circumstance, text, "signal", result)


def require_mask(before: set[int], circumstance: str) -> None:
    """The calling thread blocks the signals that it blocked before KVM_RUN."""
    __tracebackhide__ = True
    now = thread_mask()
    if now != before:
        text = (
            f"the thread's signal mask must be as before KVM_RUN, but it blocks "
            f"{sorted(now - before)} in addition and {sorted(before - now)} no longer"
        )
        raise UnmetError(circumstance, text, "mask")


def require_no_progress(before: Witness, after: Witness, circumstance: str) -> None:
    """The guest executed nothing between the two witnesses."""
    __tracebackhide__ = True
    found = before.differences(after)
    if found:
        text = f"the guest must not execute anything, but {'; '.join(found)}"
        raise UnmetError(circumstance, text, "same", before, names=before.changed(after))


def require_same_state(
    before: WholeState, after: WholeState, circumstance: str, may_change: Collection[str] = ()
) -> None:
    """Nothing that KVM lets userspace read has changed between the two, but these names."""
    __tracebackhide__ = True
    found = before.differences(after, without=may_change)
    if found:
        text = f"the vCPU's state must stay, but {told(found)}"
        changed = before.changed(after, may_change)
        raise UnmetError(circumstance, text, "same", before, names=changed)


def require_ended(result: RunResult, way: WayOut, circumstance: str) -> None:
    """KVM_RUN ended as this way ends it: -1 and EINTR, for a signal with KVM_EXIT_INTR."""
    __tracebackhide__ = True
    (require_signal_exit if way.signal else require_eintr)(result, circumstance + way.said)


def require_stopped(guest: Guest, circumstance: str, way: WayOut) -> RunResult:
    """A KVM_RUN that ends by this way, and nothing ran. The result.

    For a vCPU with nothing pending to complete. What it asks of KVM moves nothing there: for loops,
    and for what KVM still owes the vCPU; `require_untouched` sees more.
    """
    __tracebackhide__ = True
    before = guest.witness()
    result = way.run(guest)
    require_ended(result, way, circumstance)
    after = way.uncounted(before, guest.witness())
    require_no_progress(before, after, circumstance + way.said)
    return result


def require_immediate(guest: Guest, circumstance: str, value: int = 1) -> RunResult:
    """`require_stopped` by the byte, preset to `value`."""
    __tracebackhide__ = True
    return require_stopped(guest, circumstance, byte(value))


def require_signal_at_entry(guest: Guest, circumstance: str) -> RunResult:
    """A KVM_RUN that meets a signal which the caller made pending, and let in.

    `require_stopped` with SIGNAL brings its own; this is for the tests of signals and of masks.
    """
    __tracebackhide__ = True
    whole, before = guest.whole(), guest.witness()
    result = guest.vcpu.run_raw(progress_forbidden=True)
    require_signal_exit(result, circumstance)
    require_no_progress(before, SIGNAL.uncounted(before, guest.witness()), circumstance)
    require_same_state(whole, guest.whole(), circumstance, SIGNAL.counts(guest.architecture))
    return result


def require_untouched(
    guest: Guest,
    circumstance: str,
    way: WayOut = BYTE,
    times: int = 1,
    may_change: Collection[str] = (),
) -> None:
    """So many runs that end by this way, and the whole state is as before.

    It is compared after the first, for what toggles is as before after an even number, and after
    the last. For a vCPU with nothing pending to complete. To ask for the whole state moves some of
    it within KVM (KVM_GET_VCPU_EVENTS, KVM_GET_MP_STATE), never for the guest.
    """
    __tracebackhide__ = True
    passed = {*may_change, *way.counts(guest.architecture)}
    before, at_first = guest.whole(), guest.witness()
    for number in range(1, times + 1):
        result = way.run(guest)
        said = f"{circumstance}, on run {number:,} in a row," if times > 1 else circumstance
        require_ended(result, way, said)
        if number in (1, times):
            after = way.uncounted(at_first, guest.witness())
            require_no_progress(at_first, after, said + way.said)
            require_same_state(before, guest.whole(), said + way.said, passed)


def require_completion(
    guest: Guest, circumstance: str, also: Collection[str] = (), way: WayOut = BYTE
) -> RunResult:
    """A KVM_RUN that ends what is pending, and then by this way: nothing more. The result.

    Only the registers that the end of one operation may change may differ afterwards, what is in
    `also` (registers, and names of the whole state), and COMPLETION_CHANGES. What they then hold is
    for the test to say, and what is in the guest's memory where the operation ends there.
    """
    __tracebackhide__ = True
    before, whole = guest.witness(), guest.whole()
    result = way.run(guest)
    said = f"{circumstance} and a re-entry"
    require_ended(result, way, said)
    require_only_completed(before, guest, said, way, also)
    require_same_state(whole, guest.whole(), said + way.said, may_complete(guest, way, also))
    return result


def require_only_completed(
    before: Witness, guest: Guest, circumstance: str, way: WayOut, also: Collection[str] = ()
) -> None:
    """Since then a run of this way has ended an operation, and the guest executed nothing more."""
    __tracebackhide__ = True
    architecture = guest.architecture
    after = way.uncounted(before, guest.witness())
    require_no_progress(
        before.before_completion(architecture, also),
        after.before_completion(architecture, also),
        circumstance + way.said,
    )


def may_complete(guest: Guest, way: WayOut, also: Collection[str] = ()) -> Collection[str]:
    """Names of `Guest.whole()` that may change where a run of this way ends one operation.

    `also` has registers, and names of the whole state.
    """
    architecture = guest.architecture
    registers = (*architecture.COMPLETION_REGISTERS, *architecture.COMPLETION_BITS, *also)
    of_registers = (f"regs {each}" for each in registers)
    return {*way.counts(architecture), *architecture.COMPLETION_CHANGES, *also, *of_registers}


def require_accumulator(guest: Guest, value: int, circumstance: str) -> None:
    """The register that the I/O programs read into holds this value, all of it."""
    __tracebackhide__ = True
    found = guest.architecture.accumulator(guest.vcpu)
    if found != value:
        text = f"the destination register must hold {value:#x}, but it holds {found:#x}"
        name = f"regs {guest.architecture.COMPLETION_REGISTERS[0]}"
        raise UnmetError(circumstance, text, "is", guest.vcpu, value=value, names=(name,))


def require_runs_on(guest: Guest, circumstance: str) -> None:
    """With the byte cleared the guest runs: it makes progress, sees the stop word and leaves.

    It is the last run of a guest, for its program has then ended. For programs with a loop that
    needs nothing from the host (heartbeat, events, pages). NotSeenError without progress.
    """
    __tracebackhide__ = True
    with Running(guest) as running:
        running.wait_for_progress(1)
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance)
