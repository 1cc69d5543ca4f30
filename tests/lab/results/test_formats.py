# SPDX-License-Identifier: GPL-2.0-only
"""Each format by the parser of who takes it: four runs, and the totals of our journal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.results import formats, markdown, names
from lab.results.found import FoundSuite, Status
from tests import kernel_tools
from tests.fakes.programs import need
from tests.lab.results import journals
from tests.lab.results.journals import KINDS, found

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def suite(kind: str, tmp_path: Path) -> FoundSuite:
    return found(kind, tmp_path)


def rendered(wanted: str, *suites: FoundSuite) -> str:
    return formats.FORMATS[wanted].render(suites)


def totals(suite: FoundSuite) -> tuple[int, int, int]:
    """Passed, skipped, and all that is bad."""
    counts = suite.counts()
    bad = sum(counts[each] for each in Status if each.bad)
    return counts[Status.PASSED], counts[Status.SKIPPED], bad


def test_the_four_runs_are_what_their_names_say(tmp_path: Path) -> None:
    told = {kind: journals.counts(found(kind, tmp_path)) for kind in KINDS}
    assert told["sound"] == {"passed": 18, "skipped": 6, "failed": 0, "error": 0, "missed": 0}
    assert told["broken"] == {"passed": 12, "skipped": 6, "failed": 4, "error": 2, "missed": 0}
    assert told["cut"] == {"passed": 6, "skipped": 3, "failed": 2, "error": 1, "missed": 12}
    assert told["lost"] == {"passed": 0, "skipped": 0, "failed": 0, "error": 0, "missed": 24}


# ---- KTAP


def parsed_by_kunit(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = kernel_tools.named("KUNIT", "tools/testing/kunit/kunit.py")
    file = folder / "ktap"
    file.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, program, "parse", file],
        cwd=program.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@EVERY_KIND
def test_kunit_takes_ktap(kind: str, suite: FoundSuite, tmp_path: Path) -> None:
    done = parsed_by_kunit(rendered("ktap", suite), tmp_path)
    passed, skipped, bad = totals(suite)
    told = dict(re.findall(r"(passed|failed|skipped|errors): (\d+)", done.stdout.splitlines()[-1]))
    wanted = {"passed": passed, "failed": bad, "skipped": skipped}
    assert told == {name: str(number) for name, number in wanted.items() if number}
    assert done.returncode == (1 if bad else 0)


def test_kunit_sees_that_a_file_was_cut(tmp_path: Path) -> None:
    lines = rendered("ktap", found("sound", tmp_path)).splitlines(keepends=True)
    done = parsed_by_kunit("".join(lines[: len(lines) // 2]), tmp_path)
    assert done.returncode == 1


@EVERY_KIND
def test_ktap_is_nested_as_its_rules_say(suite: FoundSuite) -> None:
    """Documentation/dev-tools/ktap.rst: versions, plans, numbers, two spaces a level."""
    lines = [
        line
        for line in rendered("ktap", suite).splitlines()
        if not line.lstrip().startswith("# ")
    ]
    assert lines[:2] == ["KTAP version 1", f"1..{len(suite.claims)}"]
    at = 2
    for number, claim in enumerate(suite.claims, start=1):
        assert lines[at : at + 2] == ["  KTAP version 1", f"  1..{len(claim.tests)}"]
        for place in range(len(claim.tests)):
            assert re.match(rf"  (not )?ok {place + 1} [\w.-]+( # (SKIP|ERROR).*)?$", lines[at + 2 + place])
        at += 2 + len(claim.tests)
        bad = "not ok" if claim.status.bad else "ok"
        assert lines[at].startswith(f"{bad} {number} {claim.name}")
        at += 1
    assert at == len(lines)


# ---- TAP


@pytest.mark.parametrize("wanted", ["tap", "kselftest"])
@EVERY_KIND
def test_tap_py_takes_it(wanted: str, suite: FoundSuite) -> None:
    parser = pytest.importorskip("tap.parser").Parser()
    lines = list(parser.parse_text(rendered(wanted, suite)))
    results = [each for each in lines if each.category == "test"]
    told = Counter("skip" if each.skip else "ok" if each.ok else "bad" for each in results)
    assert (told["ok"], told["skip"], told["bad"]) == totals(suite)
    assert [each.number for each in results] == list(range(1, len(results) + 1))


@pytest.mark.parametrize("wanted", ["tap", "kselftest"])
@EVERY_KIND
def test_prove_takes_it(wanted: str, suite: FoundSuite, tmp_path: Path) -> None:
    need("prove")
    file = tmp_path / "results.tap"
    file.write_text(rendered(wanted, suite), encoding="utf-8")
    done = subprocess.run(
        ["prove", "-e", "cat", file], capture_output=True, text=True, check=False
    )
    passed, skipped, bad = totals(suite)
    assert f"Tests={passed + skipped + bad}," in done.stdout
    assert done.stdout.rstrip().endswith("Result: FAIL" if bad else "Result: PASS")
    assert "Parse errors" not in done.stdout
    if bad:
        assert f"Failed {bad}/{passed + skipped + bad} subtests" in done.stdout


def test_prove_refuses_a_file_that_was_cut(tmp_path: Path) -> None:
    need("prove")
    lines = rendered("tap", found("sound", tmp_path)).splitlines(keepends=True)
    file = tmp_path / "results.tap"
    file.write_text("".join(lines[:9]), encoding="utf-8")
    done = subprocess.run(["prove", "-e", "cat", file], capture_output=True, text=True, check=False)
    assert "No plan found in TAP output" in done.stdout
    assert done.returncode != 0


#: As Linaro's automated/linux/kselftest/parse-output.py reads a line: a result is found anywhere.
_RESULT = re.compile(r"(?P<bad>not )?ok \d{1,5} (?P<rest>.*)")


@EVERY_KIND
def test_each_line_of_kselftest_is_one_result_at_most(suite: FoundSuite) -> None:
    """Linaro's parser takes what is behind SKIP for a part of the name, and each result anywhere."""
    found_there = Counter[str]()
    called = set()
    for line in rendered("kselftest", suite).splitlines():
        if match := _RESULT.search(line):
            assert match.start() == 0, line
            word = "bad" if match["bad"] else "skip" if "# SKIP" in line else "ok"
            found_there[word] += 1
            called.add(names.word(re.sub("# (SKIP|ERROR)", "", match["rest"])))
    assert (found_there["ok"], found_there["skip"], found_there["bad"]) == totals(suite)
    assert called == {names.word(test.name) for test in suite.tests()}


def test_totals_of_kselftest(tmp_path: Path) -> None:
    last = rendered("kselftest", found("cut", tmp_path)).splitlines()[-1]
    assert last == "# Totals: pass:6 fail:2 xfail:0 xpass:0 skip:3 error:13"


# ---- JUnit


@EVERY_KIND
def test_junitparser_takes_junit(suite: FoundSuite, tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser")
    text = rendered("junit", suite)
    read = junitparser.JUnitXml.fromstring(text.encode())
    read.update_statistics()
    counts = suite.counts()
    assert read.tests == sum(counts.values())
    assert read.failures == counts[Status.FAILED]
    assert read.errors == counts[Status.ERROR] + counts[Status.MISSED]
    assert read.skipped == counts[Status.SKIPPED]


#: What Jenkins' junit-10.xsd lets an element have.
_ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
        *("hostname", "id", "package", "file", "log", "url"),
    },
    "testcase": {"name", "time", "classname", "group"},
    "properties": set(),
    "property": {"name", "value"},
    **{each: {"type", "message"} for each in ("failure", "error", "skipped")},
}
_PARENTS = {"properties": "testsuite", "testcase": "testsuite", "property": "properties"}


@EVERY_KIND
def test_junit_has_what_jenkins_allows(suite: FoundSuite) -> None:
    root = ElementTree.fromstring(rendered("junit", suite, suite).encode())
    parents = {child: parent for parent in root.iter() for child in parent}
    for element in root.iter():
        assert set(element.attrib) <= _ALLOWED[element.tag], element.attrib
        if element.tag in _PARENTS:
            assert parents[element].tag == _PARENTS[element.tag]
        if "time" in element.attrib and element.tag != "testcase":
            assert re.fullmatch(r"\d{0,3}(\.\d*)?", element.attrib["time"])
    assert root.tag == "testsuites"


def test_junit_tells_claims_as_classes_and_suites_apart(tmp_path: Path) -> None:
    suite = found("broken", tmp_path)
    one = ElementTree.fromstring(rendered("junit", suite).encode())
    assert {each.get("classname") for each in one.iter("testcase")} == set(journals.CLAIMS)
    two = ElementTree.fromstring(rendered("junit", suite, suite).encode())
    assert all(each.get("classname", "").startswith("kvm_imm") for each in two.iter("testcase"))
    assert not re.search(r'(name|classname)="[^"]*[\[\] ]', rendered("junit", suite).partition("<testcase")[2])


# ---- documents


@EVERY_KIND
def test_kcidb_takes_it(suite: FoundSuite) -> None:
    schema = pytest.importorskip("kcidb_io").schema
    document = json.loads(rendered("kcidb", suite))
    for version in (schema.LATEST, schema.LATEST.previous):
        version.validate(document)
    told = Counter(each["status"] for each in document["tests"])
    counts = suite.counts()
    assert told == Counter(
        {
            word: counts[status]
            for status, word in (
                *((Status.PASSED, "PASS"), (Status.SKIPPED, "SKIP"), (Status.FAILED, "FAIL")),
                *((Status.ERROR, "ERROR"), (Status.MISSED, "MISS")),
            )
            if counts[status]
        }
    )
    document["tests"][0]["status"] = "CRASHED"
    with pytest.raises(Exception, match="CRASHED"):
        schema.LATEST.validate(document)


def tmt_schema() -> Any:
    """tmt's own, of its results.yaml."""
    tmt = pytest.importorskip("tmt")
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    draft = pytest.importorskip("referencing.jsonschema").DRAFT7
    known = [yaml.load(path.read_text()) for path in (Path(tmt.__file__).parent / "schemas").rglob("*.yaml")]
    resources = [
        (each["$id"], referencing.Resource(contents=each, specification=draft))
        for each in known
        if "$id" in each
    ]
    registry = referencing.Registry().with_resources(resources)
    (results,) = (each for each in known if each.get("$id") == "/schemas/results")
    return jsonschema.Draft7Validator(results, registry=registry)


@EVERY_KIND
def test_tmt_takes_it(suite: FoundSuite) -> None:
    schema = tmt_schema()
    document = json.loads(rendered("tmt", suite))
    assert [error.message for error in schema.iter_errors(document)] == []
    told = Counter(test["result"] for claim in document for test in claim["subresult"])
    passed, skipped, bad = totals(suite)
    assert (told["pass"], told["skip"], told["fail"] + told["error"]) == (passed, skipped, bad)
    document[0]["result"] = "great"
    assert list(schema.iter_errors(document))


@EVERY_KIND
def test_lava_has_names_without_white_space(suite: FoundSuite) -> None:
    lines = [line.split(" ") for line in rendered("lava", suite).splitlines()]
    assert all(len(words) == 2 and re.fullmatch(r"[\w.-]+", words[0]) for words in lines)
    told = Counter(words[1] for words in lines)
    passed, skipped, bad = totals(suite)
    assert (told["pass"], told["skip"], told["fail"] + told["unknown"]) == (passed, skipped, bad)
    assert len(rendered("lava-signals", suite).splitlines()) == len(lines)


@EVERY_KIND
def test_json_has_the_counts_and_the_verdict(kind: str, suite: FoundSuite) -> None:
    (told,) = json.loads(rendered("json", suite))["suites"]
    assert told["counts"] == journals.counts(suite)
    assert {claim["name"]: claim["status"] for claim in told["claims"]} == {
        claim.name: claim.status.value for claim in suite.claims
    }
    word = {"sound": "held. ", "broken": "FAILED. ", "cut": "FAILED. ", "lost": "none. "}[kind]
    assert told["verdict"].startswith(word)
    states = {claim["state"] for claim in told["claims"]}
    assert states == {
        "sound": {"held in part"},
        "broken": {"FAILED", "held in part"},
        "cut": {"FAILED", "held in part", "not run"},
        "lost": {"not run"},
    }[kind]
    assert "place" not in told, "where it was read is this machine's affair"


@EVERY_KIND
def test_markdown_holds_no_markup_of_others(suite: FoundSuite) -> None:
    text = rendered("md", suite)
    assert "<a>" not in text
    assert "\x1b" not in text
    assert text.count("| --- | --- | --- |") == 1


def test_markdown_tells_a_claim_that_held_in_part(tmp_path: Path) -> None:
    """A claim of which most tests were skipped has not simply passed."""
    text = rendered("md", journals.found("sound", tmp_path))
    name = markdown.text(journals.CLAIMS[0])
    assert f"| {name} | held in part | 3 passed, 1 skipped \\(no\\_irqchip\\) |" in text
