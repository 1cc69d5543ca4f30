# SPDX-License-Identifier: GPL-2.0-only
"""The C program under way: its lines, the blocks that they need, and the model of the vCPU.

What each KVM_RUN must answer the model says, as for a real vCPU; where it leaves KVM a choice, the
program expects what a processor does: all of a string at once, no end without a signal.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from harness.kvm.exits import Mmio
from harness.model.answers import Circumstances, ModelVcpu, answers
from harness.model.program import Events, Exchange, GuestState, Step
from harness.sequences import arch as sequences_arch
from harness.sequences.dirty_log import DirtyLog
from harness.sequences.operation import Operation
from harness.sequences.subject import made_of
from lab.reproduction.arch import UntoldError, here


class Telling:
    """A sequence is told operation by operation; `scripts` are those of the guest, in order."""

    def __init__(self, *, tables: bool = False, changed: str = "") -> None:
        """With `tables` the guest takes exceptions, interrupts and NMIs. `changed` is the sentence
        that says what changed."""
        program = sequences_arch.current().PROGRAM
        first = (Step("end"),)
        self.model = ModelVcpu(program.steps, first, state=program.first_state)
        self.scripts: list[Sequence[Step]] = [first]
        self.blocks: set[str] = set()
        self._lines: list[str] = []
        more = (each for word, each in here().MORE_LOOKS.items() if word in changed)
        self._looks = {"whole_state": "state", **{each: each for each in more}}
        self._log, self._results = here().LOG, here().results(tables=tables)
        #: Events that the guest must have taken, by kind.
        self._least = dict.fromkeys(here().COUNTED, 0)
        self.log: DirtyLog | None = None

    # ---- lines

    def say(self, *lines: str, needs: Sequence[str] = ()) -> None:
        """Lines of the program, and the blocks of the skeleton that they call."""
        self._lines += lines
        self.blocks |= set(needs)

    def look(self, *, first: bool) -> None:
        """All state is kept in mind, or compared; and what else was seen to change."""
        for call, block in self._looks.items():
            self.say(f"{call}({int(first)});", needs=(block,))

    def begin(self, number: int, name: str, words: str) -> None:
        """An operation: what goes wrong from here on is told as `doing` says."""
        self.say("", f"/* {number}. {name}{f': {words}' if words else ''} */")

    def doing(self, what: str) -> None:
        """What a sentence about a wrong answer begins with."""
        self.say(f'doing = "{what[0].upper()}{what[1:]}";')

    def text(self) -> str:
        """All lines, indented."""
        return textwrap.indent(
            "\n".join(self._lines).strip("\n"), "\t", lambda line: bool(line.strip())
        )

    # ---- runs

    def where(self) -> str:
        """Where the guest is, for the beginning of a sentence."""
        step = self.model.step
        pending = ", which KVM has yet to complete" if self.model.pending else ""
        return f"at the guest's step {self.model.total} ({step.name}){pending}"

    def run(
        self, entry: Circumstances, how: str = "", answer: int = 0, *, refuse: bool = False
    ) -> bool:
        """A KVM_RUN by the expression `how`, and what must come of it; whether that is EINTR.

        An exit that reads gets bytes made of `answer`, as in the sequence.
        """
        expected = answers(self.model, entry)[-1]
        early = entry.byte or entry.signal
        following = self.model.next_exchange() if self.model.pending else None
        at_once = following is not None and following.at_once
        self.doing(f"{self.where()}, {entry.said}")
        if early and not at_once:
            self.ends_early(how or f"enter({entry.byte})", entry)
            self._settle(self.model.completed())
            return True
        if at_once and following is not None:
            self.blocks.add("enter")
            self._exchange(following, how or f"enter({entry.byte})", self.model, answer, refuse)
            return False
        if expected.exchange is None:
            raise UntoldError("a run that need not end")
        if not how:
            self.blocks.add("go")
        self._exchange(expected.exchange, how or "go()", expected.after, answer, refuse)
        return False

    def ends_early(self, how: str, entry: Circumstances, before: str = "") -> None:
        """A run that must end before the guest executes anything."""
        why = "SIGNAL" if not entry.byte else "COMPLETED" if self.model.pending else "BYTE"
        self.say(f"{before}ends_early({how}, {why});", needs=("eintr",))

    def has_done(self) -> None:
        """The guest stands where the model does."""
        self.say(f"has_done({self.model.total});", needs=("done",))

    def kick(self, call: str) -> None:
        """A run of a guest that comes to wait, which a kick ends: `call` makes it, and judges."""
        self.doing(f"{self.where()}, with a kick once the guest waits")
        self.say(call, needs=("kick",))
        self._settle(self.model.completed().at_exit())

    def possible(self, operation: Operation) -> bool:
        """Whether it is now; of events that were sent the guest may have taken all, or none."""
        state = self.model.state
        taken = {kind: Events(each.taken + each.to_come) for kind, each in state.events.items()}
        settled = replace(self.model, state=replace(state, events=taken))
        return operation.possible(self.model) or operation.possible(settled)

    def moved(self) -> None:
        """The guest goes on in another VM."""
        self.log = None
        self.model = replace(self.model, masked=False)

    def will_take(self, kinds: Sequence[str]) -> None:
        """In the next run, which waits for it, the guest must take one of each of these kinds."""
        state = self.model.state
        for kind in kinds:
            self._least[kind] += 1
            events = {**state.events, kind: replace(state.events[kind], certain=False)}
            state = replace(state, events=events)
        self.change(state)
        self.say(*(f"await({here().COUNTED[kind]}, {self._least[kind]});" for kind in kinds))
        self.blocks.add("kick")

    def change(self, state: GuestState) -> None:
        """Userspace has changed what the program goes on with."""
        self.model = replace(self.model, state=state)

    def _exchange(
        self, exchange: Exchange, how: str, after: ModelVcpu, answer: int, refuse: bool
    ) -> None:
        wanted = exchange.exit
        if isinstance(wanted, Mmio):
            store = int(wanted.is_write)
            passed = wanted.data if store else made_of(answer, wanted.length)
            call = f"mmio({how}, {store}, {wanted.address:#x}, {wanted.length})"
            self.pass_bytes(call, "mmio", passed, told=wanted.is_write)
        else:
            passed = here().other_exit(self, wanted, how, answer, refuse=refuse)
        self._settle(after)
        self.model = self.model.exchanged(passed)

    def pass_bytes(self, call: str, block: str, data: bytes, *, told: bool) -> None:
        """What the guest has told, by a call that gives where it stands; or what it is given."""
        value, length = int.from_bytes(data, sys.byteorder), len(data)
        if told:
            self.say(f"tells({call}, {value:#x}, {length});", needs=(block, "told"))
        else:
            self.say(f"memcpy({call}, &(uint64_t){{{value:#x}}}, {length});", needs=(block,))

    def _settle(self, after: ModelVcpu) -> None:
        """The steps that are done now, and the results that they have logged."""
        before, self.model = self.model, after
        if self.log:
            self.log.note(before, after)
        if after.total != before.total or not after.pending:
            self.has_done()
        first = len(before.results) if after.script == before.script else 0
        for place in range(first, len(after.results)):
            if after.script[place].name in self._results:
                result = after.results[place]
                self.say(f"gave({self._log + 8 * place:#x}, {result:#x});", needs=("log",))
        for kind, events in after.state.events.items():
            if most := events.taken + events.to_come:
                shape = f"{here().COUNTED[kind]}, {self._least[kind]}, {most}"
                self.say(f"took({shape});", needs=("took",))
