# SPDX-License-Identifier: GPL-2.0-only
"""What a KVM_RUN may answer, as a pure function of what userspace did before.

The order is api.rst's: what is pending is finished first (note under KVM_EXIT_MMIO), then the byte
is looked at, then signals, and only then does the guest run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.model.program import Exchange, GuestState, Passed, Step, StepKind


@dataclass(frozen=True)
class ModelVcpu:
    """A vCPU in its script, as userspace knows it.

    `kinds` are the steps that there are. `number` steps of the script are done, and `results` is
    what the log has of them; `total` are those of all scripts. `passed` is what has passed of the
    step under way, and `pending` whether KVM has yet to complete the last of it. `released` is the
    word that `wait` looks at; `next_script` what begins when this one is over. The program
    is `ready` for interrupts from its first exit on. `masked`: a KVM_SET_SIGNAL_MASK lets kicks in
    that the thread blocks.
    """

    kinds: Mapping[str, StepKind]
    script: Sequence[Step] = ()
    number: int = 0
    results: tuple[int, ...] = ()
    total: int = 0
    passed: Passed = ()
    pending: bool = False
    state: GuestState = field(default_factory=GuestState)
    released: int = 0
    next_script: Sequence[Step] | None = None
    ready: bool = False
    masked: bool = False

    @property
    def step(self) -> Step:
        """The one under way."""
        return self.script[self.number]

    def next_exchange(self) -> Exchange | None:
        """The step's next exit; None when it has no more."""
        return self.kinds[self.step.name].exchange(self.state, self.step, self.passed)

    def waits(self) -> bool:
        """Whether the step under way goes on only when it is released."""
        return self.kinds[self.step.name].waits and self.released < self.step.operand

    def sleeps(self) -> bool:
        """Whether it waits halted, for interrupts."""
        return self.waits() and self.kinds[self.step.name].sleeps

    def wakes(self) -> bool:
        """Whether it is let go on from a sleep, before its next exit."""
        here = self
        while not (here.waits() or here.next_exchange()):
            if self.kinds[here.step.name].sleeps:
                return True
            here = here.after_step()
        return False

    def takes_interrupts(self) -> bool:
        """Whether they may come in now, or in the step under way."""
        return self.state.interrupts_on or self.kinds[self.step.name].interruptible

    def may_take_interrupts(self) -> bool:
        """Whether they may come in now, or before the next exit."""
        here = self
        while not (here.takes_interrupts() or here.waits() or here.next_exchange()):
            here = here.after_step()
        return here.takes_interrupts()

    def refused(self) -> bool:
        """Whether userspace refused the last of it: nothing passed."""
        return bool(self.passed) and not self.passed[-1]

    def raises(self) -> bool:
        """Whether an exception is on its way to the guest, or comes with the completion."""
        return self.refused() or (bool(self.passed) and self.kinds[self.step.name].traps)

    def settled(self) -> bool:
        """Whether nothing is pending, and no exception on its way."""
        return not self.pending and not self.raises()

    def is_divided(self) -> bool:
        """Whether what is pending brings another exit of the same instruction."""
        return self.pending and self.next_exchange() is not None

    def is_over(self) -> bool:
        """Whether the script has said its end, and no other was written yet."""
        return self.kinds[self.step.name].last and bool(self.passed) and self.next_script is None

    def begins_anew(self) -> bool:
        """Whether the script is over, and nothing of it is pending: another may have begun."""
        return self.kinds[self.step.name].last and bool(self.passed) and not self.pending

    def completed(self) -> ModelVcpu:
        """KVM has finished what was pending."""
        return replace(self, pending=False)

    def exchanged(self, data: bytes) -> ModelVcpu:
        """An exit has come, and userspace has answered it: KVM has yet to complete it."""
        return replace(self, passed=(*self.passed, data), pending=True, ready=True)

    def after_step(self) -> ModelVcpu:
        """The step under way is done; behind a script's last one it begins anew."""
        kind = self.kinds[self.step.name]
        if kind.last:
            script = self.script if self.next_script is None else self.next_script
            state = replace(self.state, accumulator=0)
            return replace(
                self,
                script=script,
                next_script=None,
                number=0,
                results=(),
                passed=(),
                state=state,
            )
        state, result = kind.end(self.state, self.step, self.passed)
        return replace(
            self,
            number=self.number + 1,
            results=(*self.results, result),
            total=self.total + 1,
            passed=(),
            state=state,
        )

    def at_exit(self) -> ModelVcpu:
        """The guest has run up to its next exit, or to where it waits."""
        return self._there

    @functools.cached_property
    def _there(self) -> ModelVcpu:
        here = self
        while not here.waits() and here.next_exchange() is None:
            here = here.after_step()
        return here

    def at(self, total: int) -> ModelVcpu | None:
        """The guest has run until so many steps were done; None if it cannot have."""
        here, most = self, self.at_exit().total
        while here.total < total <= most:
            here = here.after_step()
        return here if here.total == total else None


@dataclass(frozen=True)
class Circumstances:
    """What is so when KVM_RUN is called, and what comes while it is in it.

    `byte` is immediate_exit; `signal` whether one is pending and let in; `kicked` whether one comes
    once the guest runs, or is on its way; `sets_byte`: the byte is set meanwhile. `held`: a signal
    is pending that nothing lets in, so that it has no part in the run. `window`: userspace asks to
    be told when an interrupt can come in.
    """

    byte: int = 0
    signal: bool = False
    kicked: bool = False
    sets_byte: bool = False
    held: bool = False
    window: bool = False

    @property
    def said(self) -> str:
        """The end of a circumstance."""
        if self.byte:
            return f"with immediate_exit={self.byte}"
        if self.signal:
            return "with a signal pending at entry"
        if self.held:
            return "with a signal pending that is blocked"
        if self.window:
            return "with request_interrupt_window=1"
        return "with a kick once the guest ran" if self.kicked else "with the byte at 0"


@dataclass(frozen=True)
class AllowedAnswer:
    """One that is allowed: an exit (`exchange`), the `window` for interrupts, or EINTR.

    `after` is the vCPU then; with `runs` the guest may stand anywhere from there to its next exit.
    `claim` holds KVM to it; `hangs` does where the run does not end at all.
    """

    claim: str
    after: ModelVcpu
    exchange: Exchange | None = None
    runs: bool = False
    window: bool = False
    hangs: str = ""

    @property
    def said(self) -> str:
        """What KVM_RUN then does, in a sentence."""
        if self.window:
            return "return 0 with the window for interrupts"
        return f"return 0 with {self.exchange.said}" if self.exchange else "return -1 with EINTR"


def answers(vcpu: ModelVcpu, entry: Circumstances) -> list[AllowedAnswer]:
    """All that are allowed; the first is what a failure is told against.

    None where the run would never end by itself: it must not be made.
    """
    found: list[AllowedAnswer] = []
    completion = ""
    if vcpu.pending:
        completion = _claim_of_last(vcpu)
        following = vcpu.next_exchange()
        if following and following.at_once is not False:
            found.append(AllowedAnswer(following.claim, vcpu, following))
            if following.at_once:
                return found
        vcpu = vcpu.completed()
    if entry.byte:
        return [*found, AllowedAnswer(completion or "preset.returns_eintr", vcpu)]
    if entry.signal:
        return [*found, AllowedAnswer(completion or "signals.pending_at_entry", vcpu)]
    there = vcpu.at_exit()
    if entry.window and vcpu.may_take_interrupts():
        found.append(AllowedAnswer("states.window", vcpu, runs=True, window=True))
    if entry.kicked:
        found.append(AllowedAnswer("signals.interrupts_guest", vcpu, runs=True))
    if not there.waits():
        following = there.next_exchange()
        if following is None:
            raise ValueError("a guest that neither waits nor comes to an exit")
        claim = "signals.mask_stays" if entry.held else following.claim
        hangs = "states.woken" if vcpu.wakes() else claim
        found.append(AllowedAnswer(claim, there, following, hangs=hangs))
    return found


def _claim_of_last(vcpu: ModelVcpu) -> str:
    """The claim of the exchange that is pending."""
    kind = vcpu.kinds[vcpu.step.name]
    last = kind.exchange(vcpu.state, vcpu.step, vcpu.passed[:-1])
    return last.claim if last else ""
