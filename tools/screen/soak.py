# SPDX-License-Identifier: GPL-2.0-only
"""What a soak shows: the live table, the plain lines, and the report at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from harness.signs import Signs
from lab.launch.duration import clock
from lab.soak.plan import Combination
from lab.soak.tally import LANDING_WORDS, Tally
from tools.screen.live import Picture

#: As many losses are told in the report. The journal holds all.
MOST_TOLD = 20


@dataclass
class SoakState:
    """A soak's sums. Memory does not grow with its length."""

    tallies: dict[str, Tally]
    controls: dict[str, Tally]
    slices: int = 0
    told: list[str] = field(default_factory=list)
    lost_slices: Counter[str] = field(default_factory=Counter)
    late_slices: Counter[str] = field(default_factory=Counter)
    waited_s: float = 0.0

    def tell(self, text: str) -> None:
        """Keeps the text of a loss for the report, unless there are enough."""
        if len(self.told) < MOST_TOLD:
            self.told.append(text)

    def gap(self, protocol: str) -> str:
        """Why nothing is known about a protocol, or an empty text."""
        tally, control = self.tallies[protocol], self.controls[protocol]
        if not tally.kicks:
            return "no kick was made"
        if not control.kicks:
            return (
                "no control could run: the soak was too short, or its guests leave KVM_RUN by "
                "themselves (then add --guest spin)"
            )
        if not control.losses:
            return (
                f"the control, which must lose kicks, lost none of {control.kicks:,}: "
                "the harness could not have seen a loss"
            )
        window, entry, _ = LANDING_WORDS[1:4]
        if not tally.landings[window] + tally.landings[entry]:
            return "no kick landed in the window or in the entry"
        return ""

    def word(self, protocol: str) -> str:
        """lost, late, inconclusive, or held."""
        if self.lost_slices[protocol]:
            return "lost"
        if self.late_slices[protocol]:
            return "late"
        return "inconclusive" if self.gap(protocol) else "held"

    @property
    def broken(self) -> int:
        """Slices in which something was wrong."""
        return self.lost_slices.total() + self.late_slices.total()

    def words(self) -> dict[str, str]:
        """`word` of each protocol."""
        return {protocol: self.word(protocol) for protocol in self.tallies}


def percent(share: float) -> str:
    """A bound, short: 0.00012 %."""
    return f"{share * 100:.2g} %" if share < 1 else "-"


def table(state: SoakState, *, words: bool) -> Table:
    """A column a protocol: three of them fit on a terminal of 80 columns, whatever they count."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column("", no_wrap=True)
    for protocol in state.tallies:
        made.add_column(protocol, justify="right", no_wrap=True)
    columns = [_cells(state, protocol, words=words) for protocol in state.tallies]
    for name in columns[0]:
        made.add_row(name, *(cells[name] for cells in columns))
    return made


def _cells(state: SoakState, protocol: str, *, words: bool) -> dict[str, str]:
    """A protocol's column, by the names of the rows."""
    tally, control = state.tallies[protocol], state.controls[protocol]
    cells = {"kicks": f"{tally.kicks:,}", "kicks/s": f"{tally.rate:,.0f}"}
    cells |= {word: f"{tally.landings[word]:,}" for word in LANDING_WORDS}
    cells |= {
        "lost": f"{tally.losses:,}",
        "late": f"{sum(tally.late.values()):,}",
        "bound 95 %": percent(tally.bound),
        "control's kicks": f"{control.kicks:,}",
        "control lost": f"{control.losses:,}",
    }
    return {**cells, "verdict": state.word(protocol)} if words else cells


class SoakProgress(Picture):
    """Shows how far a soak is, between its slices: on a terminal a table, else signs of life."""

    def __init__(self, state: SoakState, total_s: float) -> None:
        super().__init__()
        self._state = state
        self._total = total_s
        self._left = ""
        self._signs = Signs(self.say, lambda: f"{line(state)}; {self._left} left")

    def say(self, text: str) -> None:
        """A line that stays. In a log it is one, however long."""
        self.console.print(text, soft_wrap=not self.is_live)
        self._signs.said()

    def show(self, elapsed_s: float, doing: Combination | None, ahead_s: float) -> None:
        """The state now, before a slice of `ahead_s`."""
        left = self._left = clock(self._total - elapsed_s)
        if self.is_live:
            head = f"{clock(elapsed_s)} of {clock(self._total)}, {left} left"
            now = f"now {doing.describe()}" if doing else ""
            self.draw(Group(Text(head), Text(now), table(self._state, words=False)))
        else:
            self._signs.look(ahead_s)


def line(state: SoakState) -> str:
    """All protocols in a line."""
    tallies = state.tallies.values()
    whole = Tally()
    for tally in tallies:
        whole.kicks += tally.kicks
        whole.seconds += tally.seconds
        whole.landings.update(tally.landings)
        whole.lost.update(tally.lost)
        whole.late.update(tally.late)
    places = ", ".join(f"{whole.landings[word]:,} {word}" for word in LANDING_WORDS)
    return (
        f"{whole.kicks:,} kicks ({whole.rate:,.0f}/s: {places}), {whole.losses:,} lost, "
        f"{sum(whole.late.values()):,} late, bound {percent(whole.bound)}"
    )


def report(state: SoakState, elapsed_s: float, headline: str, why: str) -> str:
    """The text at the end."""
    # The report is a file as well: no colours, whatever the terminal's width.
    console = Console(width=200, color_system=None)
    with console.capture() as caught:
        console.print(table(state, words=True), soft_wrap=True)
    head = f"soak of {clock(elapsed_s)} in {state.slices:,} slices{why}"
    if state.waited_s >= 1:
        head += f" ({clock(state.waited_s)} of it waiting for processors that other races held)"
    drawn = "\n".join(row.rstrip() for row in caught.get().splitlines())
    parts = [f"{head}\n{headline}\n", drawn]
    parts += [_sentence(state, protocol) for protocol in state.tallies]
    if state.told:
        parts.append("\n".join(state.told))
    if state.broken > len(state.told):
        parts.append(f"{state.broken} slices went wrong; the journal holds all of them.")
    return "\n".join(parts)


def _sentence(state: SoakState, protocol: str) -> str:
    tally = state.tallies[protocol]
    word = state.word(protocol)
    if word == "inconclusive":
        return f"{protocol}: inconclusive: {state.gap(protocol)}."
    bound = f"with 95 % confidence no more than {percent(tally.bound)} of kicks are"
    if word == "held":
        return f"{protocol}: held: none of {tally.kicks:,} kicks was lost; {bound}."
    if word == "late":
        return (
            f"{protocol}: late: in {state.late_slices[protocol]:,} slices kicks sent before the "
            "guest made progress waited for something else to end the run."
        )
    counts: Mapping[str, int] = {
        "kicks lost": tally.losses,
        "returns that nothing explains": tally.unexpected,
        "masked signals swallowed": tally.swallowed,
        "slices with evidence below": state.lost_slices[protocol],
    }
    found = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{protocol}: lost: {found}, in {tally.kicks:,} kicks; {bound}."
