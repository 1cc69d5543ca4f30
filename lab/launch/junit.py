# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML from journals: for a run whose pytest could not write its own file, and for many runs.

junit-xml has traps, met here once: a failure without text is not written and counts as passed,
lone surrogates make invalid XML, and without an encoding U+FFFE ends in an exception. Consumers
have others: GitLab takes the classname for the suite, keeps the first of two equal names, and
refuses files of 30 MB; LKFT joins class and name, and replaces what is no letter or digit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException
from junit_xml import TestCase, TestSuite, to_xml_report_string

from harness import files
from harness.reporting.journal import Journal
from harness.reporting.results import Result, TestOutcome, shorten

#: The longest message and the room for all details of a file, in characters; a character may take
#: six bytes in XML.
_MESSAGE = 1000
ROOM = 4_000_000

#: The element that tells an outcome.
_WORDS = {
    TestOutcome.PASSED: "",
    TestOutcome.SKIPPED: "skipped",
    TestOutcome.ERROR: "error",
    TestOutcome.FAILED: "failure",
    TestOutcome.CRASHED: "failure",
}

#: What XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with what XML cannot hold shown as pytest shows it (``#x1B``)."""
    return _NOT_XML.sub(lambda match: f"#x{ord(match[0]):02X}", text)


def agrees(journal: Journal, path: Path) -> bool:
    """Whether the file, as pytest wrote it, says of each test what the journal says.

    pytest counts otherwise now and then: an alarm of the kernel, found in a test's clean-up, is an
    error to it, and a skip without one of the known words is fine.
    """
    try:
        root = defusedxml.ElementTree.fromstring(files.read_regular(path, follow=False))
        cases = list(root.iter("testcase"))
    except (OSError, ParseError, DefusedXmlException):
        return False
    told = [_told(case) for case in cases]
    known = [(result.id, _WORDS[result.outcome]) for result in journal.results]
    missing = journal.not_run and not journal.left_out
    return sorted(told) == sorted(known) and not (missing or journal.collection_errors)


def _told(case: Any) -> tuple[str, str]:
    """The id that the plugin recorded on a case of pytest's, and its outcome."""
    named = {each.get("name"): each.get("value") for each in case.iter("property")}
    words = [word for word in ("failure", "error", "skipped") if case.find(word) is not None]
    return named.get("id") or "", " ".join(words)


def suite(
    journal: Journal,
    *,
    name: str = "immediate_exit",
    prefix: str = "",
    troubles: Sequence[str] = (),
    room: int = ROOM,
    hostname: str | None = None,
    timestamp: str | None = None,
) -> TestSuite:
    """A journal as a testsuite. Planned tests without a result are errors.

    ``prefix`` stands before each classname, which tells tests of several suites apart. Each of
    ``troubles`` is a sentence about the run as a whole, and an error. Details that find no
    ``room`` are left out. A suite without any case gets an error: nothing is no success.
    """
    cases = []
    for result in journal.results:
        detail = shorten(result.detail)
        room -= len(detail)
        cases.append(_case(result, detail if room >= 0 else "left out: the file would be too long"))
    for identifier in journal.not_run:
        case = TestCase(*_name(identifier))
        case.add_error_info(message="not run: the run ended before its turn or in the middle of it")
        cases.append(case)
    for where, message in journal.collection_errors:
        case = TestCase(clean(where) or "suites", "collection")
        case.add_error_info(message="broke outside of the tests", output=shorten(clean(message)))
        cases.append(case)
    if not (cases or troubles):
        troubles = ["no test was planned, and none ran"]
    for number, sentence in enumerate(troubles, start=1):
        case = TestCase("run" if number == 1 else f"run_{number}", "suites")
        case.add_error_info(message=clean(sentence)[:_MESSAGE] or "the run broke off")
        cases.append(case)
    _tell_apart(cases, prefix)
    return TestSuite(
        clean(name),
        cases,
        hostname=hostname,
        timestamp=timestamp,
        properties={clean(key): clean(value) for key, value in journal.environment.items()},
    )


def text(suites: Sequence[TestSuite]) -> str:
    """The file with these suites."""
    return str(to_xml_report_string(list(suites), encoding="utf-8"))


def write(journal: Journal, path: Path) -> None:
    """Render one journal to a file.

    :raises OSError: the file cannot be written.
    """
    files.write(path, text([suite(journal)]))


def _name(identifier: str) -> tuple[str, str]:
    """Name and classname, neither empty: consumers take the class for the suite."""
    chapter, _, rest = clean(identifier).partition(".")
    return rest or chapter or "unnamed", f"suites.{chapter}" if rest else "suites"


def _tell_apart(cases: Sequence[TestCase], prefix: str) -> None:
    """No two cases have one name, also where all that is no letter or digit becomes ``_``."""
    known: set[str] = set()
    for case in cases:
        case.classname = f"{prefix}{case.classname}"
        name, number = case.name, 1
        while (key := re.sub(r"\W", "_", f"{case.classname}_{case.name}")) in known:
            number += 1
            case.name = f"{name}_{number}"
        known.add(key)


def _case(result: Result, detail: str) -> TestCase:
    case = TestCase(*_name(result.id), elapsed_sec=max(result.duration_s, 1e-6))
    message = clean(result.message)[:_MESSAGE] or result.outcome.value
    detail = clean(detail) or message
    if result.outcome is TestOutcome.SKIPPED:
        case.add_skipped_info(message=clean(f"{result.reason}: {message}"))
    elif result.outcome is TestOutcome.ERROR:
        case.add_error_info(message=message, output=detail)
    elif result.outcome.against_kernel:
        case.add_failure_info(message=message, output=detail, failure_type=result.outcome.value)
    return case
