# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML from a journal, for a run whose pytest could not write its own file.

junit-xml has traps, met here once: a failure without text is not written and counts as passed,
lone surrogates make invalid XML, and without an encoding U+FFFE ends in an exception.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException
from junit_xml import TestCase, TestSuite, to_xml_report_string

from harness.reporting.journal import Journal
from harness.reporting.results import Outcome, Result

#: What XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with what XML cannot hold shown as pytest shows it (``#x1B``)."""
    return _NOT_XML.sub(lambda match: f"#x{ord(match[0]):02X}", text)


def well_formed(path: Path) -> bool:
    """Whether the file is there and is XML."""
    try:
        defusedxml.ElementTree.parse(path)
    except (OSError, ParseError, DefusedXmlException):
        return False
    return True


def render(journal: Journal) -> str:
    """The journal as JUnit XML. Planned tests without a result are errors."""
    cases = [_case(result) for result in journal.results]
    for name in journal.not_run:
        case = TestCase(*_name(name))
        case.add_error_info(message="not run: the run ended before its turn or in the middle of it")
        cases.append(case)
    for where, message in journal.collection_errors:
        case = TestCase(clean(where) or "suites", "collection")
        case.add_error_info(message="cannot be loaded", output=clean(message))
        cases.append(case)
    properties = {key: clean(value) for key, value in journal.environment.items()}
    suite = TestSuite("immediate_exit", cases, properties=properties)
    return str(to_xml_report_string([suite], encoding="utf-8"))


def write(journal: Journal, path: Path) -> None:
    """Render to a file.

    :raises OSError: the file cannot be written.
    """
    path.write_text(render(journal), encoding="utf-8")


def _name(identifier: str) -> tuple[str, str]:
    """Name and classname: consumers take the class for the suite."""
    chapter, _, rest = identifier.partition(".")
    return rest, f"suites.{chapter}"


def _case(result: Result) -> TestCase:
    name, classname = _name(result.id)
    case = TestCase(name, classname, elapsed_sec=max(result.duration_s, 1e-6))
    message = clean(result.message) or result.outcome.value
    detail = clean(result.detail) or message
    if result.outcome is Outcome.SKIPPED:
        case.add_skipped_info(message=f"{result.reason}: {message}")
    elif result.outcome is Outcome.ERROR:
        case.add_error_info(message=message, output=detail)
    elif result.outcome.against_kernel:
        case.add_failure_info(message=message, output=detail, failure_type=result.outcome.value)
    return case
