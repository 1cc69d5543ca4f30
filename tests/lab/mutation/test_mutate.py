# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance mutate` with children that only play: outcomes, resumption, files, codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import pytest

from tests.fakes import project as fake

pytestmark = pytest.mark.usefixtures("played_programs")

DRIVER = """
import sys
from pathlib import Path
from lab.emulation.errors import KernelError
from lab.mutation import catalogue, source
from lab.launch import process_group
from tools import mutate, run_child
catalogue.FOLDER = Path(sys.argv[2])
read = catalogue.read
catalogue.read = lambda ways=(): read(catalogue.FOLDER, ways=ways)
def of_debian(spec, say, foreign=None):
    if "absent" in spec:
        raise KernelError(f"{spec} is not in the archive")
    version = spec.partition(":")[2]
    return source.Source(boot=spec, release=f"{version}.0-amd64", name=spec, version=version,
        tree="", build="", compiler="gcc", label=f"{version}.0_1", digest="d",
        arch=foreign.name if foreign else "")
mutate.source.of_debian = of_debian
mutate.Machine.check_programs = lambda *_: None
run_child.PROGRAM = (sys.executable, sys.argv[1])
process_group.ORDERLY_S = 20
from tools.cli import main
sys.exit(main(["mutate", *sys.argv[3:]]))
"""
FAKE = fake.ROOT / "tests/fakes/mutant.py"
KERNEL = "--kernel=debian:6.1"


def catalogue(folder: Path, *names: str, more: str = "") -> Path:
    """Mutants with these ids that break preset.repeats; a word of the id says what happens."""
    chapter = folder / "mutants/preset"
    chapter.mkdir(parents=True)
    entries = []
    for name in names:
        (chapter / f"{name}.cocci").write_text("@@ @@\n")
        tier = "sweep" if "swept" in name else "functional"
        claims = 'claims = ["preset.repeats"]'
        if tier == "sweep":
            claims = 'claims = ["races.every_instruction"]\nways = ["spinning"]'
        if "equal" in name:
            claims = 'equivalent = "Nobody can tell."'
        if "holds" in name:
            claims = 'kind = "baseline"\nclaims_held = ["preset.repeats"]'
        if "later" in name:
            claims += '\nsince = "6.2"'
        kind = "baseline" if "holds" in name else "mask"
        file = "arch/x86/kvm/x86.c" if "x86" in name else "virt/kvm/kvm_main.c"
        entries.append(
            f'[[mutant]]\nid = "{name}"\nclass = "{kind}"\ndefect = "A defect."\n'
            f'stands_for = "A slip."\nfiles = ["{file}"]\ntier = "{tier}"\n'
            f"{claims}\n"
        )
    (chapter / "catalogue.toml").write_text("\n".join(entries) + more)
    (folder / "log").touch()
    return folder


def start(folder: Path, *more: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(FAKE), str(folder / "mutants"), *more],
        cwd=folder,
        env=fake.environ(FAKE_LOG=str(folder / "log"), **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *more: str, kernel: str = KERNEL, **env: str) -> tuple[int, str]:
    process = start(folder, kernel, "--output=out", *more, **env)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err, out + err
    return process.returncode, " ".join((out + err).split())


def outcomes(folder: Path) -> dict[str, str]:
    known: dict[str, Any] = json.loads((folder / "out/mutate.json").read_text())
    return {each["id"]: each["outcome"] for each in known["kernels"][0]["results"]}


def logged(folder: Path, word: str) -> list[str]:
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [line[1] for line in lines if line[0] == word]


@pytest.mark.parametrize(
    ("names", "code", "sentence"),
    [
        (["mask_dies", "mask_equal"], 0, "1 of 1 mutants killed, 1 by the claims foretold, 1 eq"),
        (["mask_dies", "old_holds"], 0, "1 of 1 mutants killed, 1 by the claims foretold; stock:"),
        (["mask_dies", "mask_later"], 0, "1 of 1 mutants killed, 1 by the claims foretold, 1 left"),
        (["mask_later"], 4, "0 of 0 mutants killed, 0 by the claims foretold, 1 left out; stock"),
        (["mask_later", "later_holds"], 4, "0 of 0 mutants killed, 0 by the claims foretold, 1"),
        (["mask_dies", "mask_survives"], 1, "1 of 2 mutants killed, 1 by the claims foretold, 1 s"),
        (["mask_equal"], 0, "0 of 0 mutants killed, 0 by the claims foretold, 1 equivalent; stock"),
        (["mask_panics"], 1, "1 of 1 mutants killed, 0 by the claims foretold"),
        (["mask_unpatched"], 70, "0 of 1 mutants killed, 0 by the claims foretold, 1 does not ap"),
        (["mask_unbuilt"], 70, "1 does not build"),
        (["mask_frozen_always"], 70, "1 lost"),
        (["mask_survives", "mask_unbuilt"], 1, "1 survived, 1 does not build"),
    ],
)
def test_exit_codes_and_the_sentence(
    tmp_path: Path, names: list[str], code: int, sentence: str
) -> None:
    found, text = run(catalogue(tmp_path, *names))
    assert found == code, text
    assert sentence in text
    nothing_ran = not any("dies" in name or code in (1, 70) for name in names)
    stock = "not run" if nothing_ran else "no false alarm (6.1)"
    assert f"stock: {stock}" in text
    assert json.loads((tmp_path / "out/mutate.json").read_text())["exit"] == code


def test_mutants_of_another_architecture(tmp_path: Path) -> None:
    """Those of its KVM and of everybody's, in machines of it; the sweep knows nothing of it.

    Its kernels have no bug of x86-64's that would leave tests out.
    """
    catalogue(tmp_path, "mask_dies", "mask_swept", "mask_x86")
    code, text = run(tmp_path, "--arch=ppc64el", kernel="--kernel=debian:6.12")
    assert code == 0, text
    assert outcomes(tmp_path) == {"stock": "held", "mask_dies": "killed", "mask_swept": "left out"}
    assert "it takes the sweep, and there is none of ppc64le" in text
    assert "for a bug of this kernel" not in text
    words = (tmp_path / "log").read_text()
    assert re.search(r"^words mask_dies /\S+/mask_dies/m ", words, re.M), "of the machine's share"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--arch=vax"], 70, "there is no vax here: --arch takes"),
        (["--arch=ppc64el", "--reproduce=*"], 64, "one of ppc64le has no compiler: leave it out"),
        (["--arch=ppc64el", "--mutant=mask_x86"], 64, "No mutant of ppc64le is left"),
    ],
)
def test_what_is_refused_of_another_architecture(
    tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    catalogue(tmp_path, "mask_dies", "mask_x86")
    found, text = run(tmp_path, *words)
    assert found == code
    assert sentence in text


def test_a_kernel_on_which_nothing_ran(tmp_path: Path) -> None:
    """It has no stock kernel beside the other's, and nothing is said of it."""
    code, text = run(catalogue(tmp_path, "mask_later"), "--kernel=debian:6.12")
    assert code == 0, text
    assert "1 of 1 mutants killed, 1 by the claims foretold; stock: no false alarm (6.12)" in text
    assert re.search(r"mask_later left out killed", text)


def test_a_stock_kernel_that_fails(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_dies"), STOCK="alarm")
    assert code == 1
    assert "stock: a FALSE ALARM (6.1)" in text
    assert outcomes(tmp_path)["stock"] == "false alarm"


def test_a_machine_that_froze_is_tried_once_more(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_frozen", "mask_frozen_always", "mask_panics"))
    assert code == 1, text
    assert outcomes(tmp_path) == {
        "stock": "held",
        "mask_frozen": "killed",
        "mask_frozen_always": "lost",
        "mask_panics": "host lost",
    }
    begun = logged(tmp_path, "begin")
    counts = [begun.count(name) for name in ("mask_frozen", "mask_frozen_always", "mask_panics")]
    # One more for that which found a machine that had judged the stock kernel.
    assert all(found >= least for found, least in zip(counts, (2, 2, 1), strict=True))
    assert sum(counts) <= 7


@pytest.mark.parametrize("name", ["mask_starved", "mask_panics"])
def test_a_lockup_needs_a_second_look(tmp_path: Path, name: str) -> None:
    """A host without a processor causes it as well; none causes an oops."""
    run(catalogue(tmp_path, name), "--parallel=1")
    outcome, asked = {"mask_starved": ("killed", 3), "mask_panics": ("host lost", 2)}[name]
    assert outcomes(tmp_path)[name] == outcome
    assert logged(tmp_path, "begin").count(name) == asked


def test_a_stock_kernel_that_was_lost_is_tried_once_more(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_dies"), STOCK="panics_once")
    assert code == 0, text
    assert logged(tmp_path, "begin").count("stock") == 2


def test_a_sweep_that_froze_is_tried_once_more_and_no_more(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_swept_frozen"), "--time-limit=40")
    assert code == 70, text
    assert outcomes(tmp_path)["mask_swept_frozen"] == "lost"
    assert logged(tmp_path, "begin").count("mask_swept_frozen") == 2


def test_a_sweep_is_not_judged_by_what_an_earlier_one_left(tmp_path: Path) -> None:
    run(catalogue(tmp_path, "mask_swept"))
    assert outcomes(tmp_path)["mask_swept"] == "killed"
    run(tmp_path, "--fresh", SWEEP="dies")
    assert outcomes(tmp_path)["mask_swept"] == "not judged"


def test_what_wedges_its_host_costs_one_time_limit(tmp_path: Path) -> None:
    """And no more: the second time on a fresh machine, for the stock kernel was there before."""
    catalogue(tmp_path, "mask_wedged", "mask_dies")
    code, text = run(tmp_path, "--parallel=1", "--time-limit=10")
    assert code == 70, text
    assert outcomes(tmp_path) == {"stock": "held", "mask_wedged": "lost", "mask_dies": "killed"}
    assert "mask_wedged 6.1: lost: the machine was ended at its time limit of 5 s" in text
    assert logged(tmp_path, "begin") == ["stock", "mask_wedged", "mask_wedged", "mask_dies"]


def test_a_machine_that_froze_has_no_second_chance_without_time(tmp_path: Path) -> None:
    catalogue(tmp_path, "mask_frozen_always")
    for limit, fresh in (("--time-limit=100", 2), ("--time-limit=20", 1)):
        (tmp_path / "log").write_text("")
        run(tmp_path, "--parallel=1", "--fresh", limit)
        assert logged(tmp_path, "begin") == ["stock"] + ["mask_frozen_always"] * (1 + fresh)


def test_one_machine_judges_many(tmp_path: Path) -> None:
    names = ["mask_dies", "mask_survives", "mask_dies_too"]
    run(catalogue(tmp_path, *names), "--parallel=1")
    assert len(logged(tmp_path, "lane")) == 1
    assert (tmp_path / "out/6.1.0_1/mask_dies_too/console.log").read_text() == (
        "mutate: 3 mask_dies_too\n[ 1.0] all is well\n"
    ), "each mutant has its own lines of the console"
    assert not list((tmp_path / "out").glob("*/.lane-*"))


@pytest.mark.parametrize("odd", ["mask_complains", "mask_stays", "mask_refused", "mask_panics"])
def test_after_anything_odd_the_next_mutant_gets_a_fresh_machine(tmp_path: Path, odd: str) -> None:
    """And so does the odd one itself, which found the stock kernel's."""
    run(catalogue(tmp_path, odd, "mask_dies"), "--parallel=1")
    assert logged(tmp_path, "begin") == ["stock", odd, odd, "mask_dies"]
    assert len(logged(tmp_path, "lane")) == 3
    assert outcomes(tmp_path)["mask_dies"] == "killed"


def test_a_loss_counts_only_on_a_fresh_machine(tmp_path: Path) -> None:
    """What others left behind in the machine may be to blame."""
    code, text = run(catalogue(tmp_path, "mask_dies", "mask_panics"), "--parallel=1")
    assert code == 1, text
    assert outcomes(tmp_path)["mask_panics"] == "host lost"
    assert logged(tmp_path, "begin") == ["stock", "mask_dies", "mask_panics", "mask_panics"]
    assert len(logged(tmp_path, "lane")) == 2


def test_modules_that_are_refused_are_no_kill(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_refused"))
    assert code == 70, text
    assert outcomes(tmp_path)["mask_refused"] == "does not load"
    assert "insmod: Invalid module format" in text


def test_how_machines_are_asked(tmp_path: Path) -> None:
    catalogue(tmp_path, "mask_dies", "mask_swept")
    assert run(tmp_path, "--budget=7", "--kicks=5000", "--time-limit=90")[0] == 0
    lines = {
        line.split()[1]: line
        for line in (tmp_path / "log").read_text().splitlines()
        if line.startswith("words")
    }
    assert lines["mask_dies"].startswith("words mask_dies /m ")
    assert " --budget=5000 --variants=one " in lines["mask_dies"]
    assert lines["mask_dies"].endswith(" --stop-after=7 --first=preset.repeats")
    assert "--stop-after" not in lines["stock"], "the zero line is the whole suite"
    assert lines["stock"].startswith("words stock /m ")
    assert "--kvm-modules=/m" in lines["stock.sweep"]
    assert lines["mask_swept"].endswith("--way=spinning")
    assert lines["stock.sweep"].endswith("--way=spinning")
    assert outcomes(tmp_path)["mask_swept"] == "killed"


def test_what_explores_has_a_time_of_its_own(tmp_path: Path) -> None:
    """And ends with the first failure, but where nothing may fail."""
    catalogue(tmp_path, "mask_dies")
    code, text = run(tmp_path, "--judge=explore", "--budget=90")
    assert code in (0, 1), text
    lines = {
        line.split()[1]: line
        for line in (tmp_path / "log").read_text().splitlines()
        if line.startswith("words")
    }
    asked = " --claim=explored.sequences --sequences=90s"
    assert lines["mask_dies"].endswith(f"{asked} --exitfirst")
    assert lines["stock"].endswith(asked)


def test_without_the_sweep(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_dies", "mask_swept"), "--no-sweep")
    assert code == 0
    assert outcomes(tmp_path) == {
        "stock": "held",
        "mask_dies": "killed",
        "mask_swept": "left out",
    }
    assert "1 of 1 mutants killed" in text


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    names = ["mask_dies", "mask_survives", "mask_panics", "mask_frozen_always", "mask_swept"]
    run(catalogue(tmp_path, *names))
    before = outcomes(tmp_path)
    (tmp_path / "log").write_text("")
    run(tmp_path)
    assert outcomes(tmp_path) == before
    assert set(logged(tmp_path, "begin")) == {"mask_frozen_always"}
    (tmp_path / "log").write_text("")
    run(tmp_path, "--budget=1")
    assert "mask_dies" in logged(tmp_path, "begin"), "another question"
    assert "stock" not in logged(tmp_path, "begin"), "which is none of the stock kernel's"
    (tmp_path / "log").write_text("")
    run(tmp_path, "--budget=1", "--fresh")
    assert set(logged(tmp_path, "begin")) == {"stock", "stock.sweep", *names}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_there(tmp_path: Path, number: signal.Signals, code: int) -> None:
    catalogue(tmp_path, "mask_dies", "mask_stuck")
    process = start(tmp_path, KERNEL, "--output=out", "--parallel=1")
    fake.wait_for(lambda: bool(logged(tmp_path, "stuck")))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    command = f"kvm-conformance mutate {KERNEL} --output=out --parallel=1"
    assert command in err
    assert outcomes(tmp_path) == {"stock": "held", "mask_dies": "killed", "mask_stuck": "cut"}
    (tmp_path / "log").write_text("")
    assert run(tmp_path, GO="1")[0] == 0
    assert logged(tmp_path, "begin") == ["mask_stuck"]


def test_two_kernels_and_every_file(tmp_path: Path) -> None:
    names = ["mask_dies", "mask_survives", "mask_equal", "mask_unbuilt", "mask_later"]
    code, text = run(catalogue(tmp_path, *names), "--kernel=debian:6.12")
    assert code == 1
    assert (
        "2 of 4 mutants killed, 2 by the claims foretold, 1 equivalent, 1 survived, 1 does" in text
    )
    assert "stock: no false alarm (6.1, 6.12)" in text
    known = json.loads((tmp_path / "out/mutate.json").read_text())
    assert [each["release"] for each in known["kernels"]] == ["6.1.0-amd64", "6.12.0-amd64"]
    later = [each["results"][-1]["outcome"] for each in known["kernels"]]
    assert later == ["left out", "killed"]
    assert "mask_survives 6.1: survived: did not fail: preset.repeats (held)" in text
    asked = [line for line in (tmp_path / "log").read_text().splitlines() if "words" in line]
    for version, bugs in (("6.1", 0), ("6.12", 2)):
        lines = [line for line in asked if f"debian:{version} " in line]
        assert lines
        assert {line.count(f"--without-bugs-of={version}") for line in lines} == {bool(bugs)}
    left_out = "2 tests left out, for a bug of this kernel (74c1807f6c4f): "
    assert f"6.12: {left_out}" in text
    assert f"6.1: {left_out}" not in text
    markdown = (tmp_path / "out/kill-matrix.md").read_text()
    assert markdown.count(left_out) == 1
    assert "| `mask_dies` | mask | killed |" in markdown
    assert re.search(r"`mask_dies`.*\| \*\*repeats\*\* \|", markdown)
    assert re.search(r"`mask_survives`.*~~repeats~~", markdown)
    tree = defusedxml.ElementTree.parse(tmp_path / "out/junit.xml")
    suites = tree.getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["mutants.6_1_0_1", "mutants.6_12_0_1"]
    kinds = {
        case.get("name"): [child.tag for child in case] for case in suites[0].findall("testcase")
    }
    assert kinds == {
        "stock": [],
        "mask_dies": [],
        "mask_survives": ["failure"],
        "mask_equal": ["skipped"],
        "mask_unbuilt": ["error"],
        "mask_later": ["skipped"],
    }


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--mutant=nothing"], 64, "no mutant is named 'nothing'"),
        (["--class=nothing"], 64, "there is no class 'nothing'"),
        (["--claim=nothing"], 64, "there is no claim 'nothing'"),
        (["--claim=preset.per_vcpu"], 64, "is left: the options have none in common"),
        (["--tree=nowhere", "--kernel=debian:6.2"], 64, "--tree is one kernel"),
        (["--tree=nowhere"], 70, "there is no folder"),
        (["--kernel=debian:absent"], 70, "debian:absent is not in the archive"),
    ],
)
def test_bad_words(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    found, text = run(catalogue(tmp_path, "mask_dies"), *words)
    assert (found, said in text) == (code, True), text


def test_a_catalogue_that_is_wrong(tmp_path: Path) -> None:
    code, text = run(catalogue(tmp_path, "mask_dies", more='[[mutant]]\nid = "x"\n'))
    assert code == 70
    assert "catalogue.toml: mutant 'x': has no 'class'" in text


def test_the_list(tmp_path: Path) -> None:
    catalogue(tmp_path, "mask_dies", "mask_swept", "old_holds")
    code, text = run(tmp_path, "--list", "--subset=ci")
    assert code == 0
    assert "mask_dies mask functional A defect." in text
    assert "mask_swept" not in text
    assert "2 mutants" in text
    assert not (tmp_path / "out").exists()
