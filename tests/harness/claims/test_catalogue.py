# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of claims: its rules, and that claims, tests and catalogue hold together."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.claims import CatalogueError, catalogue, chapters, load
from harness.host.features import REASONS
from harness.reporting import markers
from tools.cli import cli

ROOT = Path(__file__).resolve().parents[3]
SUITES = ROOT / "suites"

GOOD = """
[chapters.preset]
prefix = "preset"
title = "Preset"
[[claim]]
id = "preset.repeats"
sentence = "It repeats."
kind = "D"
source = "api.rst"
meaning = "It does not."
"""


def test_the_projects_catalogue_is_sound() -> None:
    assert len(catalogue()) >= 50
    assert {claim.chapter for claim in catalogue().values()} == set(chapters())
    for claim in catalogue().values():
        assert claim.id.startswith(f"{chapters()[claim.chapter].prefix}.")


def test_only_races_and_other_architectures_may_wait_for_tests() -> None:
    here = markers.host_architecture()
    waiting = [c.id for c in catalogue().values() if c.planned and c.applies_to(here)]
    assert [name for name in waiting if not name.startswith("races.")] == []


def test_claims_that_a_command_tests_name_one() -> None:
    commands = set(cli.list_commands(None))
    assert {c.command for c in catalogue().values() if c.command} <= commands


def test_gates_are_words_that_a_skip_can_have() -> None:
    gates = {gate for claim in catalogue().values() for gate in claim.gates}
    assert gates - set(REASONS) == set()


def test_meanings_are_told_apart() -> None:
    for field in ("sentence", "meaning"):
        texts = [getattr(claim, field) for claim in catalogue().values()]
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"preset.repeats"', '"preset"', "joined by dots"),
        ('"preset.repeats"', '"Preset.repeats"', "joined by dots"),
        ('"preset.repeats"', '"other.repeats"', "no chapter has the prefix"),
        ('kind = "D"', 'kind = "X"', "unknown kind"),
        ('kind = "D"', "", "has no 'kind'"),
        ('kind = "D"', 'kind = "D"\narchitectures = ["vax"]', "unknown architecture"),
        ('kind = "D"', 'kind = "D"\ngates = ["No KVM"]', "list of words"),
        ('kind = "D"', 'kind = "D"\ngates = ["no_kvm", "no_kvm"]', "twice"),
        ('kind = "D"', 'kind = "D"\nkinds = "D"', "unknown key"),
        ('kind = "D"', 'kind = "D"\nplanned = "yes"', "true or false"),
        ('"It does not."', '"It does not"', "full stop"),
        ('"It does not."', '""', "must be a text"),
        ("[[claim]]", "[[claims]]", "unknown key 'claims'; known: chapters, claim"),
        ("[[claim]]", "[[claim", "it is no TOML"),
        ('title = "Preset"', "", "prefix"),
        ('title = "Preset"', "title = 3", "Expected `str`, got `int` - at `$.chapters[...][...]`"),
        ("[[claim]]", "[claim]", "Expected `array`, got `object` - at `$.claim`"),
    ],
)
def test_a_damaged_catalogue_is_refused(old: str, new: str, why: str) -> None:
    load(GOOD)
    with pytest.raises(CatalogueError) as caught:
        load(GOOD.replace(old, new))
    assert why in str(caught.value)


def test_a_claim_that_stands_twice_is_refused() -> None:
    with pytest.raises(CatalogueError, match="stands twice"):
        load(GOOD + GOOD[GOOD.index("[[claim]]") :])


def claims_of_tests() -> dict[str, list[str]]:
    """Test -> the claims in its own decorators, read from the source."""
    found: dict[str, list[str]] = {}
    for path in sorted(SUITES.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{path.relative_to(ROOT)}::{node.name}"] = [
                    str(ast.literal_eval(call.args[0]))
                    for call in node.decorator_list
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.claim"
                ]
    return found


@pytest.mark.skipif(not SUITES.is_dir(), reason="no suites yet")
def test_every_test_has_one_claim_of_the_catalogue() -> None:
    wrong = {test: names for test, names in claims_of_tests().items() if len(names) != 1}
    assert wrong == {}
    unknown = {t: n for t, n in claims_of_tests().items() if n[0] not in catalogue()}
    assert unknown == {}


@pytest.mark.skipif(not SUITES.is_dir(), reason="no suites yet")
def test_every_claim_has_a_test() -> None:
    tested = {name for names in claims_of_tests().values() for name in names}
    planned = {claim.id for claim in catalogue().values() if claim.planned or claim.command}
    assert set(catalogue()) - planned - tested == set()
    assert planned & tested == set(), "flip `planned` of these in claims.toml"
