# SPDX-License-Identifier: GPL-2.0-only
"""The suites find what they are for: they run on the real KVM, made wrong in one way at a time.

A library between pytest and the kernel (broken_kvm*.c) plays the defects of broken_kvm.py. Each
must fail the claims that it breaks, and none beside them.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.claims import catalogue, chapters
from harness.host.obstacles import preflight
from harness.reporting import journal
from harness.reporting.results import TestOutcome
from harness.reporting.selection import select
from tests.fakes import real_suites
from tests.fakes.broken_kvm.defect import ONE_MODE, Defect
from tests.fakes.broken_kvm.defects import ALSO_DISTURBED, DEFECTS, TRANSPARENT
from tests.fakes.broken_kvm.library import SOURCES, build

ROOT = Path(__file__).resolve().parents[2]
TOO_LONG_S = 300  # a run takes 1 s to 5 s, one of them 40 s, on a host that has nothing else to do
SEQUENCES = 3  # for each test of the chapter explored

# Claims that no defect here breaks, and why. Of the races none: they enter KVM_RUN by the
# instruction itself, past a preloaded ioctl(); tests/harness/kick/test_engine.py plays their broken
# kernels.
WITHIN = "what KVM keeps within itself cannot be played from outside; mutants do it"
ELSEWHERE = "the hosts at hand do not offer it; mutants play it in emulated ones"
NO_DEFECT = {
    "completion.hyperv": ELSEWHERE,
    "completion.read_modify_write": WITHIN,
    "completion.task_priority": ELSEWHERE,
    "completion.xen": ELSEWHERE,
    "preset.everywhere": "each condition is a mutant's of its own",
    "preset.run_fields": WITHIN,
    "signals.compat": "a 32-bit program loads no library of 64 bits",
    "signals.create_vm": "that ioctl gives EINTR by itself, and what else it does is the kernel's",
    "signals.every_kind": "who a signal is sent to is the kernel's choice",
    "signals.ignored_do_not_interrupt": "a signal that is not even queued cannot be played",
    "signals.progress": "how long the kernel takes to enter cannot be played from outside",
    "signals.slow_fault": "a fault that the kernel waits for cannot be played from outside",
    "signals.spurious_is_legal": "what the kernel does while a process is stopped cannot be played",
    "states.mp_states": WITHIN,
    "states.nested": ELSEWHERE,
    "states.window": WITHIN,
}

obstacle = preflight()
needs_kvm = pytest.mark.skipif(obstacle is not None, reason=str(obstacle))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The played KVMs; preloaded."""
    return build(tmp_path_factory.mktemp("broken"))


@dataclass(frozen=True)
class Found:
    """Outcomes by claim, and a sentence for each failure."""

    outcomes: dict[str, set[TestOutcome]]
    sentences: list[str]
    passed: set[str]
    repeated: dict[str, int]

    def failed(self) -> set[str]:
        """The claims of which a test failed."""
        return {claim for claim, seen in self.outcomes.items() if TestOutcome.FAILED in seen}

    def untested(self) -> set[str]:
        """The claims of which every test was skipped."""
        return {claim for claim, seen in self.outcomes.items() if seen == {TestOutcome.SKIPPED}}


def claims_of(words: Iterable[str]) -> frozenset[str]:
    """The ids that ids, chapters and patterns name."""
    wanted = tuple(words)
    if not wanted:
        return frozenset()
    return select(catalogue(), chapters(), wanted_claims=wanted).claims


def run_suites(
    folder: Path,
    library: Path | None,
    words: Iterable[str],
    *,
    defect: str = "",
    only: str = ONE_MODE,
    short_patience: bool = False,
    disturbed: int = 0,
) -> Found:
    """The suites on these claims, in a process of their own."""
    claims = sorted(claims_of(words))
    suites = sorted({catalogue()[claim].chapter for claim in claims})
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_", "KVM_CONFORMANCE_", "KSFT_"))
    }
    environment["KVM_CONFORMANCE_LAST_WORDS"] = str(folder / "last-words.txt")
    if library is not None:
        environment |= {"LD_PRELOAD": str(library), "BROKEN_KVM": defect}
    if disturbed:
        environment |= {"SPURIOUS_EVERY": str(disturbed), "INTERRUPTED_EVERY": str(disturbed)}
    done = real_suites.run(
        folder,
        *("-k", only, *(["-p", "tests.fakes.short_patience"] if short_patience else [])),
        *(f"--claim={claim}" for claim in claims),
        f"--sequences={SEQUENCES}",
        *(f"--results={folder / 'out'}", *(str(ROOT / "suites" / name) for name in suites)),
        environment=environment,
        timeout=TOO_LONG_S,
    )
    said = done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode in (0, 1, 5, 70), said  # 70: -k left tests out
    read = journal.read(folder / "out" / journal.NAME)
    assert read.exit_status == done.returncode, said
    assert read.unfinished == [], said
    assert read.collection_errors == [], said
    outcomes: dict[str, set[TestOutcome]] = defaultdict(set)
    for result in read.results:
        outcomes[result.claim].add(result.outcome)
    bad = [r for r in read.results if r.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)]
    broke = [f"{r.id}: {r.message}" for r in bad if r.outcome is not TestOutcome.FAILED]
    assert broke == [], "the suite itself broke"
    return Found(
        outcomes=outcomes,
        sentences=[f"{r.claim}: {r.id}: {r.message}" for r in bad],
        passed={r.claim for r in read.results if r.outcome is TestOutcome.PASSED},
        repeated={
            name: sum(int(r.properties.get(name, 0)) for r in read.results)
            for name in ("spurious_eintr", "interrupted_ioctls")
        },
    )


@needs_kvm
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_is_found(tmp_path: Path, library: Path, defect: Defect) -> None:
    if defect.machine not in ("", platform.machine()):
        pytest.skip(f"this defect is one of {defect.machine}")
    words = (*defect.fails, *defect.also, *defect.holds, *defect.skips)
    found = run_suites(
        tmp_path,
        library,
        words,
        defect=defect.name,
        only=defect.only,
        short_patience=defect.hangs,
    )
    said = "\n".join(found.sentences)
    wanted = set(defect.fails) - found.untested()
    if defect.fails and not wanted:
        pytest.skip(f"this host cannot show it: {', '.join(defect.fails)} cannot be tested")
    if defect.hole and not wanted <= found.failed():
        pytest.xfail(defect.hole)
    assert wanted <= found.failed(), f"{defect.stands_for}: not found by these claims\n{said}"
    beside = found.failed() - wanted - claims_of(defect.also)
    assert beside == set(), f"{defect.stands_for}: these hold, but failed\n{said}"
    held = claims_of(defect.holds) - found.passed - found.untested()
    assert held == set(), "no test of these ran"
    assert claims_of(defect.skips) <= found.untested(), "these must be skipped"


@needs_kvm
def test_nothing_fails_without_a_defect(tmp_path: Path, library: Path) -> None:
    """The library alone changes nothing, so that what fails above fails by the defect."""
    found = []
    for name, preloaded in (("with", library), ("without", None)):
        (tmp_path / name).mkdir()
        found.append(run_suites(tmp_path / name, preloaded, TRANSPARENT))
        assert found[-1].sentences == [], name
    assert found[0].outcomes == found[1].outcomes


@needs_kvm
@pytest.mark.parametrize("every", [2, 10, 100])
def test_nothing_fails_where_answers_come_for_nothing(
    tmp_path: Path, library: Path, every: int
) -> None:
    """One KVM_RUN and one other ioctl in so many give EINTR, as they may: told, and no failure."""
    found = run_suites(tmp_path, library, TRANSPARENT, disturbed=every)
    assert found.sentences == []
    assert min(found.repeated.values()) > 0


@needs_kvm
@pytest.mark.parametrize("every", [2, 10])
@pytest.mark.parametrize("name", ALSO_DISTURBED)
def test_defect_is_found_beside_answers_for_nothing(
    tmp_path: Path, library: Path, name: str, every: int
) -> None:
    """What such answers look like, and are not: a sticky byte, a neighbour's, a lost kick."""
    (defect,) = (each for each in DEFECTS if each.name == name)
    found = run_suites(
        tmp_path,
        library,
        defect.fails,
        defect=name,
        only=defect.only,
        short_patience=defect.hangs,
        disturbed=every,
    )
    said = "\n".join(found.sentences)
    assert set(defect.fails) - found.untested() <= found.failed(), f"{defect.stands_for}\n{said}"


def test_every_defect_is_played_and_told() -> None:
    """The catalogue and the library name the same defects, each once."""
    text = "".join(path.read_text() for path in SOURCES)
    names = [defect.name for defect in DEFECTS]
    assert len(names) == len(set(names))
    played = re.findall(r'^\t\{"(\w+)", ', text, re.MULTILINE)
    assert sorted(played) == sorted(names)


def test_an_unknown_defect_is_refused(library: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ""],
        env={**os.environ, "LD_PRELOAD": str(library), "BROKEN_KVM": "none_such"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert "there is no such defect" in done.stderr


def test_claims_without_a_defect_are_known() -> None:
    """A new claim comes with a defect that it finds, or is named here with the reason."""
    found = set().union(*(defect.fails for defect in DEFECTS))
    missing = {
        name
        for name, claim in catalogue().items()
        if name not in found and not claim.planned and claim.chapter != "races"
    }
    assert missing == set(NO_DEFECT)
