# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML that strict consumers take too: a testsuite a run, a classname a claim.

Written by junit-xml, whose traps are met here: a failure without text is not written and counts as
passed, lone surrogates make invalid XML, without an encoding U+FFFE ends in an exception, and its
attribute `disabled` is refused by Jenkins' junit-10.xsd. That also wants times without an exponent,
properties on the testsuite only, and neither file nor line on a testcase. GitLab takes the classname
for the suite and refuses files of 30 MB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import tostring

import defusedxml.ElementTree
from junit_xml import TestCase, TestSuite, to_xml_report_string

from harness.reporting.results import shorten
from lab.results import names
from lab.results.found import FoundSuite, FoundTest, Status

#: Room for all details of a file, in characters; a character may take six bytes in XML.
ROOM = 4_000_000
_LEAST_S = 0.001

#: What XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with what XML cannot hold shown as pytest shows it (``#x1B``)."""
    return _NOT_XML.sub(lambda match: f"#x{ord(match[0]):02X}", text)


def render(suites: Sequence[FoundSuite]) -> str:
    """The file. Of several suites each classname begins with its suite's name."""
    room = ROOM // max(1, len(suites))
    several = len(suites) > 1
    known: set[str] = set()
    made = [
        _suite(each, f"{names.name(each.name)}." if several else "", room, known)
        for each in suites
    ]
    root = defusedxml.ElementTree.fromstring(to_xml_report_string(made, encoding="utf-8"))
    for element in (root, *root.iter("testsuite")):
        element.attrib.pop("disabled", None)
    for element in root.iter():
        if took := element.get("time"):
            element.set("time", f"{float(took):.3f}")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(suite: FoundSuite, prefix: str, room: int, known: set[str]) -> TestSuite:
    cases = []
    for claim in suite.claims:
        classname = f"{prefix}{names.name(claim.name)}"
        titles = names.apart((test.name for test in claim.tests), classname, known)
        for title, test in zip(titles, claim.tests, strict=True):
            detail = shorten(test.detail)
            room -= len(detail)
            kept = detail if room >= 0 else "left out: the file would be too long"
            cases.append(_case(title, classname, test, kept))
    return TestSuite(
        names.name(suite.name),
        cases,
        hostname=clean(suite.host) or None,
        timestamp=suite.began.partition(".")[0].removesuffix("Z") or None,
        properties={clean(key): clean(value) for key, value in _properties(suite).items()},
    )


def _properties(suite: FoundSuite) -> Mapping[str, str]:
    """Those of the host, and the known bugs of its kernel by which tests failed."""
    issues = {
        f"known_issue.{each.commit}.{each.claim}": f"{each.sentence} {each.link}"
        for each in suite.issues()
    }
    return {**suite.environment, **issues}


def _case(title: str, classname: str, test: FoundTest, detail: str) -> TestCase:
    case = TestCase(title, classname, elapsed_sec=max(test.seconds, _LEAST_S))
    message = clean(names.sentence(test.message)) or test.status.value
    detail = clean(detail) or message
    if test.status is Status.SKIPPED:
        case.add_skipped_info(message=clean(f"{test.reason}: {message}"))
    elif test.status is Status.FAILED:
        known = f" {clean(test.issue.name_it())}" if test.issue else ""
        case.add_failure_info(message=f"{message}{known}", output=detail)
    elif test.status.bad:
        case.add_error_info(message=message, output=detail)
    return case
