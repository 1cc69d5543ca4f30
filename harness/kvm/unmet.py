# SPDX-License-Identifier: GPL-2.0-only
"""A requirement that KVM did not meet, as an error that says what it asked for."""

from __future__ import annotations

from collections.abc import Collection

from harness.kvm import call_log
from harness.kvm.call_log import CallLog, Expected, ToldCalls
from harness.kvm.run import RunResult

#: The kind of what no program is made of: an exit with the right number and the wrong content.
CONTENT = "content"
#: A run must not come back by itself; with the value 1 the guest must make progress in it.
GOES_ON = "goes_on"


class UnmetError(AssertionError):
    """The kernel did not do what it must; for a program that looks for the same.

    `kind` is a kind of `harness.kvm.call_log.Expected`, `of` the result, the witness or the vCPU
    that it is about, `value` a number that belongs to the kind, `names` what has changed. `calls`
    is what was asked of KVM, if it is not what the log has that is open.
    """

    calls: ToldCalls | None = None

    def __init__(
        self,
        circumstance: str,
        text: str,
        kind: str,
        of: object = None,
        *,
        value: int = 0,
        names: Collection[str] = (),
    ) -> None:
        super().__init__(f"{circumstance}, {text}" if circumstance else text)
        self.of_name = ""
        if call_log.current:
            call_log.current.mark()
            self.of_name = call_log.current.name_of(getattr(of, "fd", -1))
        self.circumstance, self.kind, self.of = circumstance, kind, of
        self.value, self.names = value, names


def kind_of_exit(result: RunResult, wanted: int) -> str:
    """Of a run that had to give 0 with the exit of this number, or ANY_EXIT, and its content.

    Where the number is right the content is wrong, of which no program is made.
    """
    right = result.value == 0 and wanted in (result.exit_reason, call_log.ANY_EXIT)
    return CONTENT if right else "exit"


def word(address: int) -> str:
    """The name of 32 bits of the guest's memory."""
    return f"word {address:#x}"


def told(log: CallLog, error: UnmetError) -> ToldCalls | None:
    """What was asked of KVM up to there, and for what at last; None where it is not all known."""
    if error.kind == CONTENT:
        return None
    expected = Expected(
        error.kind,
        error.circumstance,
        log.number_of(error.of),
        error.value,
        tuple(error.names),
        error.of_name,
    )
    return log.told(expected)
