# SPDX-License-Identifier: GPL-2.0-only
"""The sequences that failed in a folder of results, or in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness import files
from harness.claims import catalogue
from harness.plain_text import plain
from harness.reporting import journal
from harness.reporting.results import TestOutcome
from harness.reporting.verdict_text import SEQUENCE
from harness.sequences.sequence import Recorded
from harness.shapes import from_json
from lab.exploration.files import SEQUENCES, KeptSequence

_MOST = 4 * files.MEGABYTE
_DOES_NOT_HOLD = " does not hold: "


class NoSequenceError(ValueError):
    """No sequence is there of which a program could be made; the text says why."""


@dataclass(frozen=True)
class ToldFailure:
    """A sequence, what it broke, and on which kernel."""

    recorded: Recorded
    claim: str
    sentence: str
    kernel: str

    @property
    def source(self) -> str:
        """What holds KVM to the claim."""
        known = catalogue().get(self.claim)
        return f"{known.sentence} ({known.source})" if known else "No claim names it."


def failures(path: Path) -> list[ToldFailure]:
    """All of them, in their order. Raises `NoSequenceError` and OSError."""
    if not path.is_dir():
        return [_of_file(path)]
    kept = sorted(path.glob(SEQUENCES))
    if kept:
        return [_of_file(each) for each in kept]
    if (path / journal.NAME).is_file():
        return _of_run(path / journal.NAME)
    raise NoSequenceError(f"{path} holds neither {journal.NAME} nor a sequence")


def _of_file(path: Path) -> ToldFailure:
    text = files.read_regular(path, _MOST)
    try:
        recorded = Recorded.of_json(text)
        said = from_json(text, KeptSequence, others=True)
    except ValueError as error:
        raise NoSequenceError(f"{path} is no sequence: {error}") from None
    return ToldFailure(recorded, plain(said.claim), plain(said.sentence), plain(said.kernel))


def _of_run(path: Path) -> list[ToldFailure]:
    try:
        read = journal.read(path)
    except journal.JournalError as error:
        raise NoSequenceError(str(error)) from None
    kernel = str(read.environment.get("kernel", ""))
    named = f"Linux {kernel}" if kernel else ""
    found = []
    for each in read.results:
        told = each.properties.get(SEQUENCE)
        if each.outcome is not TestOutcome.FAILED or not isinstance(told, str):
            continue
        claim, _, sentence = each.message.partition(_DOES_NOT_HOLD)
        try:
            recorded = Recorded.of_json(told.encode())
        except ValueError as error:
            raise NoSequenceError(f"{path}: {each.id} is no sequence: {error}") from None
        known = claim if sentence else each.claim
        found.append(ToldFailure(recorded, known, sentence or each.message, named))
    if not found:
        raise NoSequenceError(
            f"no random sequence failed in {path}: programs are made of those only, which the "
            "chapter explored and `kvm-conformance explore` play"
        )
    return found
