# SPDX-License-Identifier: GPL-2.0-only
"""--variants one: fewer tests, every claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.reporting import journal
from tests.fakes import project as fake

SUITE = """
import pytest
every_mode = pytest.mark.parametrize("guest_mode", ["real", "protected", "long"])
every_irqchip = pytest.mark.parametrize("irqchip", ["none", "split", "full"])

@every_mode
@every_irqchip
@pytest.mark.parametrize("turns", ["first_run", "later_run"])
@pytest.mark.claim("preset.repeats")
def test_both(guest_mode, irqchip, turns):
    pass

@pytest.mark.parametrize("guest_mode", ["real"])
@pytest.mark.parametrize("irqchip", ["split", "full"])
@pytest.mark.claim("preset.returns_eintr")
def test_pinned(guest_mode, irqchip):
    pass

@every_mode
@every_irqchip
@pytest.mark.claim("preset.every_guest_mode")
@pytest.mark.keeps("guest_mode")
def test_about_modes(guest_mode, irqchip):
    pass

@pytest.mark.parametrize(("irqchip", "what"), [("none", "port"), ("full", "timer")])
@pytest.mark.claim("preset.requests_kept")
def test_each_needs_its_own(irqchip, what):
    pass

@every_irqchip
@pytest.mark.keeps("guest_mode", "irqchip")
@pytest.mark.claim("preset.state_untouched")
def test_about_irqchips(irqchip):
    pass

@pytest.mark.claim("preset.fast")
def test_plain():
    pass
"""
ONE = {
    "preset.both.first_run_none_long",
    "preset.both.later_run_none_long",
    "preset.pinned.split_real",
    "preset.about_modes.none_real",
    "preset.about_modes.none_protected",
    "preset.about_modes.none_long",
    "preset.each_needs_its_own.none_port",
    "preset.each_needs_its_own.full_timer",
    "preset.about_irqchips.none",
    "preset.about_irqchips.split",
    "preset.about_irqchips.full",
    "preset.plain",
}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_value_of_each_dimension_stays(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    out = tmp_path / "out"
    done = fake.pytest_run(project, "-n", workers, "--variants=one", f"--results={out}")
    assert done.returncode == 0, done.stdout
    read = journal.read(out / journal.NAME)
    assert {result.id for result in read.results} == ONE
    assert set(read.planned) == ONE
    assert read.environment["variants"] == "one"
    assert "one variant of each test" in " ".join(done.stdout.split())


def test_all_is_the_default(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    done = fake.pytest_run(project, f"--results={tmp_path / 'out'}")
    read = journal.read(tmp_path / "out" / journal.NAME)
    assert len(read.results) == 18 + 2 + 9 + 3 + 2 + 1
    assert "variants" not in read.environment
    assert "one variant" not in done.stdout


def test_every_claim_of_the_suites_keeps_a_test(tmp_path: Path) -> None:
    plans = {}
    for name in ("all", "one"):
        path = tmp_path / name
        done = fake.pytest_run(
            fake.ROOT, f"--variants={name}", "--collect-only", "-qq", f"--plan={path}"
        )
        assert done.returncode == 0, done.stdout
        plans[name] = json.loads(path.read_text())
    ids = {name: {each for each, _ in plan} for name, plan in plans.items()}
    assert ids["one"] < ids["all"]
    assert len(ids["one"]) * 3 < len(ids["all"]) * 2
    claims = {name: {claim for _, claim in plan} for name, plan in plans.items()}
    assert claims["one"] == claims["all"]
