# SPDX-License-Identifier: GPL-2.0-only
"""What a sweep found, and whether it can be judged."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import files
from harness.kick.plan import Protocol
from harness.shapes import ShapeError, from_json
from lab.launch.exit_codes import Exit
from lab.sweep.verdict import SweepVerdict

NAME = "sweep.json"
_FARTHEST = 1_000_000_000  # instructions; no way into a guest is as long


def read(path: Path) -> Report:
    """What `Report.as_json` gave. Raises `ShapeError` and OSError."""
    report = from_json(files.read_regular(path), Report)
    if not {"zero", "one", "other", "missed"} <= report.steps.keys():
        raise ShapeError("it tells no steps of the calibration")
    if any(abs(place) > _FARTHEST for each in report.verdicts for place in each.positions):
        raise ShapeError(f"it has a position beyond {_FARTHEST:,} instructions")
    return report


@dataclass(frozen=True)
class Report:
    """A whole sweep.

    `steps`: how many of the calibration's steps were of zero, one and other numbers of
    instructions; `cost`: instructions a call, by the benchmark's case.
    """

    kernel: str
    release: str
    steps: dict[str, int]
    cost: dict[str, float]
    verdicts: tuple[SweepVerdict, ...]

    def of(self, way: str) -> list[SweepVerdict]:
        """The verdicts on one way."""
        return [each for each in self.verdicts if each.way == way]

    def as_json(self) -> str:
        """Everything, boundary by boundary."""
        found = asdict(self)
        for each in found["verdicts"]:
            each["protocol"] = each["protocol"].value
        return json.dumps(found, indent=1)

    @property
    def windows(self) -> list[SweepVerdict]:
        """Verdicts of protocols that must lose none, and have."""
        return [each for each in self.verdicts if each.protocol.keeps_its_promise and each.windows]

    @property
    def gaps(self) -> list[str]:
        """Why it is not judged: no clock of instructions, a dead control, boundaries unkicked."""
        found = []
        if self.steps["one"] * 2 <= self.all_steps:
            found.append(
                f"the clock must count instructions, but of {self.all_steps:,} steps on a slide "
                f"of NOPs only {self.steps['one']:,} were of one ({self.steps['missed']:,} kicks "
                "missed it)"
            )
        for each in self.verdicts:
            if each.protocol is Protocol.CONTROL and not each.control_fired:
                found.append(
                    f"{each.way}: the control must lose every kick between the check and the "
                    f"system call and no other; it lost {each.overtaken_in_window} of "
                    f"{each.in_window} there and {each.overtaken_elsewhere} elsewhere"
                )
            if each.protocol.keeps_its_promise and (each.unknown or not each.boundaries):
                found.append(f"{each.way}, {each.protocol.value}: {each.coverage()}")
        return found

    @property
    def all_steps(self) -> int:
        """Steps of the calibration."""
        return sum(self.steps[each] for each in ("zero", "one", "other"))

    def exit_code(self) -> Exit:
        """0 nothing waited, 1 a kick did, 70 it is not known."""
        if self.windows:
            return Exit.FAILED
        return Exit.SUITE_ERROR if self.gaps else Exit.HELD

    def verdict(self) -> str:
        """One sentence."""
        if self.windows:
            each = self.windows[0]
            places = "; ".join(str(stretch) for stretch in each.windows)
            return (
                f"FAILED. A kick that comes before the guest's entry at instruction {places} is "
                f"overtaken: the vCPU enters the guest with the signal pending, and the guest runs "
                f"on for up to {each.most_turns:,} turns ({each.way}, {each.protocol.value})."
            )
        if self.gaps:
            return f"not judged. {self.gaps[0]}."
        total = sum(each.kicks for each in self.verdicts if each.protocol.keeps_its_promise)
        return (
            f"held. On {self.kernel} no kick waited, at whichever instruction of the way into the "
            f"guest it came: {total:,} kicks."
        )
