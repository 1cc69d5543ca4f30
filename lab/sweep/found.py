# SPDX-License-Identifier: GPL-2.0-only
"""A sweep as what was found: one claim, a test for each way and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.claims import Claim
from harness.kick.plan import Protocol
from harness.reporting.verdict import ClaimState
from lab.launch.exit_codes import Exit
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status
from lab.sweep.report import Report
from lab.sweep.verdict import SweepVerdict

CLAIM = "races.every_instruction"
_STATES = {Exit.HELD: ClaimState.HELD, Exit.FAILED: ClaimState.FAILED}


def suite(report: Report, claims: Mapping[str, Claim], name: str, place: Path) -> FoundSuite:
    """Of the sweep in the folder `place`."""
    tests = [_test(each) for each in report.verdicts]
    # What is wrong with the sweep as a whole, such as its clock, no way and protocol says.
    if report.exit_code() is Exit.SUITE_ERROR and not any(test.status.bad for test in tests):
        tests.append(FoundTest("sweep.whole", Status.ERROR, message=report.verdict()))
    state = _STATES.get(report.exit_code(), ClaimState.BROKEN).value
    sentence = claims[CLAIM].sentence if CLAIM in claims else ""
    return FoundSuite(
        name,
        (FoundClaim(CLAIM, sentence, tuple(tests), state),),
        {"kernel": report.release or report.kernel, "tier": "emulated, a clock of instructions"},
        verdict=report.verdict().replace("not judged. ", "none. ", 1),
        place=place,
    )


def _test(found: SweepVerdict) -> FoundTest:
    name = f"sweep.{found.way}.{found.protocol.value}"
    if not found.protocol.keeps_its_promise:
        said = f"lost {found.overtaken_in_window} of {found.in_window} kicks in the window"
        fired = found.control_fired or found.protocol is not Protocol.CONTROL
        return FoundTest(name, Status.PASSED if fired else Status.ERROR, message=said)
    if found.windows:
        places = "; ".join(map(str, found.windows))
        said = f"{found.overtaken:,} of {found.kicks:,} kicks waited, at instruction {places}"
        return FoundTest(name, Status.FAILED, message=said)
    incomplete = found.unknown or not found.boundaries
    said = f"a kick was taken at {found.coverage()}"
    return FoundTest(name, Status.ERROR if incomplete else Status.PASSED, message=said)
