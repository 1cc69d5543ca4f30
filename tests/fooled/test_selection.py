# SPDX-License-Identifier: GPL-2.0-only
"""Ways to leave out, repeat or change tests: none makes a verdict say more than what was tested.

Each plays a way in a little project. Plugins that run tests again are played too, so that none of
them has to be installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.reporting import journal
from lab.launch import run as launching
from lab.launch.request import Request
from tests.fakes import project as fake
from tools.screen.terminal import TERMINAL

ROOT = Path(__file__).resolve().parents[2]
NO_VERDICT = 70
REFUSED = 4
NOTHING = 5

both_ways = pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])

#: A claim of four tests in two files.
FOUR = """
import pytest
@pytest.mark.claim("preset.repeats")
@pytest.mark.parametrize("turn", ["a", "b", "c"])
def test_turn(turn):
    pass
"""
FOURTH = """
import pytest
@pytest.mark.claim("preset.repeats")
def test_more():
    pass
"""

#: A kick is lost at the first try, and none at the second.
LOSES_ONCE = """
import pytest
tries = []
@pytest.mark.claim("preset.repeats")
def test_again():
    tries.append(1)
    assert len(tries) > 1, "a lost kick"
"""

#: The kernel's log is looked at in the clean-up.
ALARMS = """
import pytest
@pytest.fixture
def log():
    yield
    pytest.fail("a lost kick")
@pytest.mark.claim("preset.repeats")
def test_again(log):
    pass
"""

#: What plugins do: the first three run a test again, each in another way, until it passes.
PLUGINS = {
    "tells_each_try": """
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.failed and not last:
                report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
                break
            item.ihook.pytest_runtest_logreport(report=report)
        else:
            return True
""",
    "tells_the_last_try": """
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    for _ in range(2):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
""",
    "tries_in_the_call": """
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    for _ in range(2):
        try:
            pyfuncitem.obj()
        except AssertionError:
            pass
    return True
""",
    "swallows": """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    try:
        return (yield)
    except AssertionError:
        return True
""",
    "changes_the_report": """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
""",
    "changes_what_is_logged": """
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    report.outcome, report.longrepr = "passed", None
""",
    "swallows_the_clean_up": """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    try:
        return (yield)
    except BaseException:
        return None
""",
    "expects_the_failure": """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail(reason="it does that"))
""",
    "changes_the_exit_status": """
import pytest
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = 0
""",
}

#: Each body is there once, and runs as often as another one likes.
TRIES_BODIES_AGAIN = """
import functools
def again(body):
    def trying(*args, **more):
        try:
            return body(*args, **more)
        except AssertionError:
            return None
    return trying
def pytest_collection_modifyitems(items):
    for item in items:
        item.obj = again(item.obj)
"""


def make(folder: Path) -> Path:
    return fake.make(folder, preset=FOUR, preset__b=FOURTH)


def results(folder: Path) -> list[tuple[str, str]]:
    return [(r.id, r.outcome.value) for r in journal.read(folder / journal.NAME).results]


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def launch(project: Path, output: Path, *arguments: str) -> int:
    request = Request(output=output, jobs="0", pytest_arguments=arguments)
    return launching.launch(request, TERMINAL, narrowed=False, root=project)


# ---- a second try


@both_ways
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_failure_that_a_plugin_hides_is_told(tmp_path: Path, plugin: str, workers: str) -> None:
    text = ALARMS if plugin == "swallows_the_clean_up" else LOSES_ONCE
    project = fake.make(tmp_path, preset=text)
    (project / "fooling.py").write_text(PLUGINS[plugin])
    done = fake.pytest_run(project, "-p", "fooling", f"-n{workers}", "--results=out")
    assert results(project / "out") == [("preset.again", "failed")]
    assert done.returncode == 1, done.stdout
    assert "preset.again: a lost kick" in said(done)


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        (
            PLUGINS["tells_the_last_try"],
            "its body ran 2 times: a second try hides the loss that the suite looks for",
        ),
        (
            PLUGINS["tells_each_try"].replace("report.failed", "report.when == 'teardown'"),
            "which is no outcome of a test",
        ),
        ("def pytest_pyfunc_call(pyfuncitem): return True", "its body did not run"),
        (
            "import pytest\ndef pytest_collection_modifyitems(items):\n    "
            "[item.add_marker(pytest.mark.xfail) for item in items]",
            "not expected to fail",
        ),
        (
            "def pytest_collection_modifyitems(items):\n    items += items",
            "Some tests came to no verdict",
        ),
        (TRIES_BODIES_AGAIN, "its body was replaced by trying of"),
        (
            TRIES_BODIES_AGAIN.replace("return trying", "return functools.wraps(body)(trying)"),
            "its body was replaced by trying of",
        ),
    ],
    ids=[
        *("again", "unknown_outcome", "no_body", "expected_failure", "twice"),
        *("replaced", "wrapped"),
    ],
)
def test_what_did_not_run_once_did_not_pass(tmp_path: Path, plugin: str, why: str) -> None:
    project = fake.make(tmp_path, preset=FOURTH)
    (project / "fooling.py").write_text(plugin)
    done = fake.pytest_run(project, "-p", "fooling", "--results=out")
    assert why in said(done)
    assert "VERDICT none." in said(done)
    assert done.returncode == NO_VERDICT


def test_a_test_that_a_plugin_takes_away_did_not_run(tmp_path: Path) -> None:
    project = make(tmp_path)
    (project / "fooling.py").write_text(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_protocol(item): return 'more' in item.name or None"
    )
    done = fake.pytest_run(project, "-p", "fooling")
    assert "3 of 4 tests ran and held; the run ended before its turn" in said(done)
    assert done.returncode == NO_VERDICT


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_runtestloop(session): return True",
        "def pytest_collection(session): return True",
        "import pytest\ndef pytest_collection(session): pytest.exit('enough', returncode=0)",
        "import pytest\ndef pytest_runtest_setup(item): pytest.exit('enough', returncode=0)",
    ],
    ids=["loop", "collection", "exit_before", "exit"],
)
def test_a_run_that_a_plugin_ends_is_no_success(tmp_path: Path, hook: str) -> None:
    project = make(tmp_path)
    (project / "fooling.py").write_text(hook)
    done = fake.pytest_run(project, "-p", "fooling")
    assert done.returncode in (NOTHING, NO_VERDICT), done.stdout
    assert "VERDICT held" not in said(done)


OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--{option}", type=int, default={idle}, dest="{option}")
"""


@pytest.mark.parametrize(
    ("option", "idle", "why"),
    [
        ("reruns", None, "pytest-rerunfailures (reruns = 2) is at work: a second try"),
        ("retries", None, "pytest-retry (retries = 2) is at work: a second try"),
        ("count", 1, "pytest-repeat (count = 2) is at work: a second try"),
        ("forked", None, "pytest-forked (forked = 2) is at work: what a test leaves behind"),
        ("timeout", None, "pytest-timeout (timeout = 2) is at work: by a limit of time"),
    ],
)
def test_plugins_that_are_at_work_are_refused(
    tmp_path: Path, option: str, idle: int | None, why: str
) -> None:
    """One that is only there is not."""
    project = fake.make(tmp_path, preset=fake.HELD)
    (project / "fooling.py").write_text(OPTIONS.format(option=option, idle=idle))
    done = fake.pytest_run(project, "-p", "fooling", f"--{option}=2")
    assert done.returncode == REFUSED
    assert why in said(done)
    assert fake.pytest_run(project, "-p", "fooling").returncode == 0


# ---- fewer tests


DROPS = "def pytest_collection_modifyitems(items):\n    del items[1:]\n"
ONE_OF_FOUR = "preset.repeats: 1 of 4 tests were chosen, 1 ran and held"


@both_ways
@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (["-k", "preset.turn.b"], "1 of 4"),
        (["suites/preset/test_preset_one.py::test_turn[b]"], "1 of 4"),
        (["--deselect=suites/preset/test_preset_b.py"], "3 of 4"),
        (["--ignore=suites/preset/test_preset_b.py"], "3 of 4"),
        (["suites/preset/test_preset_one.py"], "3 of 4"),
        (["-o", "python_functions=test_t*"], "3 of 4"),
        (["-o", "python_files=*_b.py"], "1 of 2"),
        (["-p", "drops"], "1 of 4"),
    ],
    ids=["k", "node", "deselect", "ignore", "file", "functions", "files", "plugin"],
)
def test_a_claim_holds_by_all_of_its_tests(
    tmp_path: Path, workers: str, arguments: list[str], counts: str
) -> None:
    project = make(tmp_path)
    (project / "drops.py").write_text(DROPS)
    done = fake.pytest_run(project, f"-n{workers}", "--results=out", *arguments)
    ran = counts.partition(" ")[0]
    assert f"preset.repeats: {counts} tests were chosen, {ran} ran and held" in said(done)
    assert "VERDICT incomplete." in said(done)
    assert " held preset" not in said(done)
    assert done.returncode == NO_VERDICT
    rest = journal.read(project / "out" / journal.NAME).rest
    assert set(rest.not_chosen.values()) == {"preset.repeats"}


def test_options_in_the_environment_leave_out_no_less(tmp_path: Path) -> None:
    project = make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=project,
        env=fake.environ(PYTEST_ADDOPTS="--deselect=suites/preset/test_preset_one.py"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ONE_OF_FOUR in said(done)
    assert done.returncode == NO_VERDICT


def test_what_failed_last_is_not_all(tmp_path: Path) -> None:
    project = make(tmp_path)
    (project / "bad").touch()
    (project / "suites/preset/test_preset_b.py").write_text(
        FOURTH.replace("    pass", "    import os\n    assert not os.path.exists('bad')")
    )
    words = [sys.executable, "-m", "pytest", "--lf"]
    more = {"cwd": project, "env": fake.environ(), "capture_output": True, "text": True}
    assert subprocess.run(words, timeout=60, check=False, **more).returncode == 1
    (project / "bad").unlink()
    done = subprocess.run(words, timeout=60, check=False, **more)
    # The other file is not even read: its function stands for the three.
    assert "preset.repeats: 1 of 2 tests were chosen, 1 ran and held" in said(done)
    assert done.returncode == NO_VERDICT


def test_a_claim_that_was_left_out_is_told(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, signals=fake.SKIPPED)
    done = fake.pytest_run(project, "suites/preset")
    assert "held preset: returns_eintr not chosen signals: slow_fault" in said(done)
    assert "incomplete. 1 claim held so far. 2 of 3 tests were chosen" in said(done)
    assert done.returncode == NO_VERDICT


@pytest.mark.parametrize(
    "arguments", [["--claim=preset.returns_eintr"], ["--suite=preset"], ["--claim=preset"]]
)
def test_this_projects_own_options_choose_whole_claims(
    tmp_path: Path, arguments: list[str]
) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, signals=fake.SKIPPED)
    done = fake.pytest_run(project, *arguments)
    assert "VERDICT held. The one claim that could be tested holds" in said(done)
    assert done.returncode == 0


def test_one_variant_is_all_that_one_variant_asks_for(tmp_path: Path) -> None:
    text = FOUR.replace("turn", "guest_mode")
    project = fake.make(tmp_path, preset=text)
    assert fake.pytest_run(project, "--variants=one").returncode == 0
    node = "suites/preset/test_preset_one.py::test_guest_mode[a]"
    done = fake.pytest_run(project, "--variants=one", node)
    assert "1 of 2 tests were chosen" in said(done)
    assert done.returncode == NO_VERDICT


@pytest.mark.parametrize(
    ("word", "tests"),
    [
        ("preset.returns_eintr", {"preset.first_run.real", "preset.first_run.long"}),
        ("preset.first_run.real", {"preset.first_run.real"}),
        ("preset.returns_eintr and long", {"preset.first_run.long"}),
        ("vcpu_states", {"vcpu_states.pin"}),
    ],
    ids=["claim", "result", "both", "chapter"],
)
def test_claims_and_results_are_words_for_k(tmp_path: Path, word: str, tests: set[str]) -> None:
    halted = FOURTH.replace("preset.repeats", "states.halted").replace("more", "pin")
    project = fake.make(tmp_path, preset=fake.HELD, preset__b=FOURTH, vcpu_states=halted)
    fake.pytest_run(project, "-k", word, "--results=out")
    assert {name for name, _ in results(project / "out")} == tests


def test_known_bugs_alone_can_be_left_out(tmp_path: Path) -> None:
    """As a mutation does, which knows why. For all others it is no verdict on the whole claim."""
    bits = """
import pytest
@pytest.mark.claim("states.precedence")
@pytest.mark.parametrize("bit", ["highest-kvm_valid_regs", "lowest"])
def test_bad_register_bits(bit):
    pass
"""
    project = fake.make(tmp_path, vcpu_states=bits)
    folder = project / "suites/vcpu_states"
    (folder / "x86_64").mkdir()
    (folder / "test_vcpu_states_one.py").rename(folder / "x86_64/test_register_precedence.py")
    done = fake.pytest_run(project, "--without-bugs-of=6.12", "--results=out")
    assert results(project / "out") == [("vcpu_states.bad_register_bits.lowest", "passed")]
    assert "without the tests that known bugs of Linux 6.12 fail" in said(done)
    assert "states.precedence: 1 of 2 tests were chosen, 1 ran and held" in said(done)
    assert done.returncode == NO_VERDICT
    assert fake.pytest_run(project, "--without-bugs-of=6.1", "--results=out").returncode == 0
    assert len(results(project / "out")) == 2
    assert fake.pytest_run(project, "--without-bugs-of=newest").returncode == REFUSED
