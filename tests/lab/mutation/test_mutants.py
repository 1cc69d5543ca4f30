# SPDX-License-Identifier: GPL-2.0-only
"""The project's own mutants: together they ask the suite every question that x86 can ask."""

from __future__ import annotations

import json
from pathlib import Path

from harness.claims import catalogue as claims
from lab.mutation import catalogue
from lab.sweep.ways import WAYS
from tests.fakes import project as fake

#: Claims that no mutant can break, and why.
BEYOND_MUTANTS = {
    "preset.fast": "a measurement: no run judges it",
}


def test_the_catalogue_keeps_its_rules() -> None:
    assert catalogue.read(ways=WAYS)
    assert set(BEYOND_MUTANTS) >= catalogue.NEVER_JUDGED


def test_every_claim_of_x86_has_a_mutant_that_must_fail_it() -> None:
    mutants = catalogue.of_architecture(catalogue.read().values(), "x86_64")
    refuted = {name for each in mutants for name in each.claims}
    lacking = [
        name
        for name, claim in claims().items()
        if claim.applies_to("x86_64") and name not in refuted and name not in BEYOND_MUTANTS
    ]
    assert lacking == [], "a claim that nothing was seen to refute proves nothing"


def test_what_shows_a_mutant_is_a_test_of_its_claims(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    done = fake.pytest_run(fake.ROOT, "--collect-only", "-qq", f"--plan={plan}")
    assert done.returncode == 0, done.stdout
    tests = [(name, claim) for name, claim in json.loads(plan.read_text())]
    nowhere = [
        (mutant.id, beginning)
        for mutant in catalogue.read().values()
        for beginning in mutant.shown_by
        if not any(name.startswith(beginning) and claim in mutant.claims for name, claim in tests)
    ]
    assert nowhere == []


def test_every_class_has_a_mutant() -> None:
    found = {each.mutant_class for each in catalogue.read().values()}
    assert found == set(catalogue.CLASSES)


def test_every_patch_says_what_it_does() -> None:
    for mutant in catalogue.read().values():
        second = mutant.patch.read_text().splitlines()[1]
        assert second.startswith("// "), f"{mutant.patch}: the second line says what it does"
