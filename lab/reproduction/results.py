# SPDX-License-Identifier: GPL-2.0-only
"""What failed in a folder of results, or in a file, and can be told: sequences, and tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness import files
from harness.claims import catalogue
from harness.kvm.arch import current
from harness.kvm.call_log import ToldCalls
from harness.plain_text import plain
from harness.reporting import journal
from harness.reporting.results import CALLS, Result, TestOutcome
from harness.reporting.verdict_text import SEQUENCE
from harness.sequences.sequence import Recorded
from harness.shapes import from_json
from lab.exploration.files import SEQUENCES, KeptSequence
from lab.reproduction import calls, program
from lab.reproduction.arch import UntoldError

_MOST = 4 * files.MEGABYTE
_DOES_NOT_HOLD = " does not hold: "


class NothingToTellError(ValueError):
    """Nothing is there of which a program could be made; the text says why."""


@dataclass(frozen=True)
class ToldFailure:
    """A sequence, or what it or a test asked of KVM, what it broke, and on which kernel.

    `mode` is the guest's, where it is a test, `test` the id of its result, if it is one of a run.
    """

    recorded: Recorded | None
    claim: str
    sentence: str
    kernel: str
    calls: ToldCalls | None = None
    mode: str = ""
    test: str = ""

    def program(self) -> str:
        """As one C file: by the sequence's operations if C is known of all, else call by call.

        Raises `UntoldError`, `AssemblerError`, `UnsupportedArchitectureError`.
        """
        words = (self.claim, self.sentence, self.source, self.kernel)
        untold = UntoldError("nothing of it is known")
        if self.recorded:
            try:
                return program.write(self.recorded, *words)
            except UntoldError as error:
                untold = error
        if self.calls is None:
            raise untold
        return calls.write(self.calls, *words, self.mode)

    @property
    def source(self) -> str:
        """What holds KVM to the claim."""
        known = catalogue().get(self.claim)
        return f"{known.sentence} ({known.source})" if known else "No claim names it."


def failures(path: Path) -> list[ToldFailure]:
    """All of them, in their order. Raises `NothingToTellError` and OSError."""
    if not path.is_dir():
        return [_of_file(path)]
    kept = sorted(path.glob(SEQUENCES))
    if kept:
        return [_of_file(each) for each in kept]
    if (path / journal.NAME).is_file():
        if found := of_run(_read(path / journal.NAME), path / journal.NAME):
            return found
        raise NothingToTellError(
            f"nothing that failed in {path / journal.NAME} can be told as a program: neither a "
            "random sequence, nor a test that asked of KVM_RUN what a program can ask"
        )
    raise NothingToTellError(f"{path} holds neither {journal.NAME} nor a sequence")


def _of_file(path: Path) -> ToldFailure:
    text = files.read_regular(path, _MOST)
    try:
        recorded = Recorded.of_json(text)
        said = from_json(text, KeptSequence, others=True)
        told = ToldCalls.of_json(said.calls.encode()) if said.calls else None
    except ValueError as error:
        raise NothingToTellError(f"{path} is no sequence: {error}") from None
    return ToldFailure(recorded, plain(said.claim), plain(said.sentence), plain(said.kernel), told)


def _read(path: Path) -> journal.Journal:
    try:
        return journal.read(path)
    except journal.JournalError as error:
        raise NothingToTellError(str(error)) from None


def of_run(run: journal.Journal, path: Path) -> list[ToldFailure]:
    """Those of a run, perhaps none. Raises `NothingToTellError`, which names the `path`."""
    kernel = str(run.environment.get("kernel", ""))
    named = f"Linux {kernel}" if kernel else ""
    found = []
    for each in run.results:
        if each.outcome is TestOutcome.FAILED and {SEQUENCE, CALLS} & each.properties.keys():
            try:
                found.append(_of_result(each, named))
            except ValueError as error:
                raise NothingToTellError(f"{path}: {each.id} cannot be read: {error}") from None
    return found


def _of_result(result: Result, kernel: str) -> ToldFailure:
    given = str(result.properties.get(CALLS, ""))
    told = ToldCalls.of_json(given.encode()) if given else None
    if SEQUENCE in result.properties:
        claim, _, sentence = result.message.partition(_DOES_NOT_HOLD)
        recorded = Recorded.of_json(str(result.properties[SEQUENCE]).encode())
        known = claim if sentence else result.claim
        said = sentence or result.message
        return ToldFailure(recorded, known, said, kernel, told, test=result.id)
    modes = current().MODES
    named = [each for each in modes if each in re.split(r"[.\-]", result.id)]
    mode = (*modes, *named)[-1]
    return ToldFailure(None, result.claim, result.message, kernel, told, mode, result.id)
