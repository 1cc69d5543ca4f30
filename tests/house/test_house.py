# SPDX-License-Identifier: GPL-2.0-only
"""The rules of the house: who may import whom, licences, sizes, dependencies, the checks."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lab.mutation import catalogue
from tests.house.files import ROOT, files, imports, parsed, room, where
from tools.cli import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LONGEST_MODULE = 450  # lines

SUPPORTED_PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


# -------------------------------------------------------------------------------------------------
# Sources


def test_every_source_names_its_licence() -> None:
    sources = files(
        *(".py", ".pyi", ".c", ".h", ".S", ".inc", ".ld", ".cdef", ".sh"),
        *(".toml", ".ini", ".yaml", ".txt", ".cocci", ".jinja", ".css"),
    )
    sources += [
        *(ROOT / name for name in ("Makefile", ".gitignore", ".clang-format")),
        *(ROOT / name for name in (".pre-commit-config.yaml", ".ci/run", ".ci/checks")),
    ]
    wrong = []
    for path in sources:
        top = path.read_text().splitlines()[:2]
        if not any("SPDX-License-Identifier: GPL-2.0-only" in line for line in top):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == [], "the first line (after a #!) is SPDX-License-Identifier: GPL-2.0-only"


def test_no_module_is_too_long() -> None:
    wrong = []
    for path in files(".py", ".c", ".h", ".S", ".sh"):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_MODULE:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert wrong == [], f"at most {LONGEST_MODULE} lines: split it by what it does"


def test_nothing_uses_the_ioctl_of_python() -> None:
    """CPython 3.14 and later retry an ioctl that fails with EINTR; here EINTR is the answer."""
    wrong = []
    for path, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                found = node.attr == "ioctl" and ast.unparse(node.value).endswith("fcntl")
            elif isinstance(node, ast.ImportFrom):
                found = node.module == "fcntl" and any(
                    alias.name in ("ioctl", "*") for alias in node.names
                )
            else:
                continue
            if found:
                wrong.append(where(path, node.lineno))
    assert wrong == [], "fcntl.ioctl is banned: use harness.native"


def test_only_the_pace_says_what_a_slow_host_gets() -> None:
    """Its factor, and the sign that a host is slow, are read in one place each."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path, tree in parsed()
        if room(path) != "tests"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and node.value == "KSFT_MACHINE_SLOW")
        or (isinstance(node, ast.Attribute) and node.attr == "time_scale")
        or (isinstance(node, ast.ImportFrom) and "time_scale" in [each.name for each in node.names])
    }
    assert found == {"harness/host/description.py", "harness/host/pace.py"}


SLEEPS = {"sleep", "nanosleep", "usleep", "sigtimedwait"}


def test_no_test_of_a_claim_sleeps() -> None:
    """A sleep makes a race rarer, not impossible: a test waits for what guest or kernel shows."""
    wrong = [
        where(path, node.lineno)
        for path, tree in parsed()
        if room(path) in ("suites", "conftest")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in SLEEPS)
        or (isinstance(node, ast.ImportFrom) and SLEEPS & {each.name for each in node.names})
        or (isinstance(node, ast.Name) and node.id in SLEEPS)
    ]
    assert wrong == [], "docs/add-a-test.md says what there is to wait for"


#: Who may take a signal or lock a file: one way for each, and what has another purpose.
ONE_WAY = {
    "signal.signal": {
        "lab/launch/stopping.py": "the taker of stop signals",
        "lab/launch/keeper.py": "a program of its own, which no signal ends",
        "lab/soak/stop.py": "SIGALRM",
        "harness/inherited.py": "SIGCHLD",
    },
    "fcntl.flock": {"harness/file_lock.py": "the lock on a file"},
}


@pytest.mark.parametrize("call", ONE_WAY)
def test_one_way_for_one_thing(call: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path, tree in parsed()
        if room(path) in ("harness", "lab", "tools")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == call
    }
    assert found == set(ONE_WAY[call])


#: A process with one thread: it only collects tests, and its forks run them.
MAY_FORK = {"lab/mutation/guest.py", "lab/emulation/confine.py"}
FORKING = re.compile(
    r"(os|pty)\.fork(pty)?|pty\.spawn|multiprocessing\b.*|concurrent\.futures\.[Pp]rocess.*"
)


def test_only_c_forks() -> None:
    """A child of a process with threads finds their locks locked for ever; pytest-xdist has some.

    Python 3.12 and later warn of it, but drop the error that a filter would make of the warning.
    """
    found = set()
    for path, tree in parsed():
        used = list(imports(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                used.append((node.lineno, ast.unparse(node)))
            elif isinstance(node, ast.keyword) and node.arg == "preexec_fn":
                used.append((node.value.lineno, "os.fork"))
        found |= {where(path, line) for line, name in used if FORKING.fullmatch(name)}
    wrong = sorted(each for each in found if each.rsplit(":", 1)[0] not in MAY_FORK)
    assert wrong == [], "start a program by subprocess, or fork in C (harness/native/child.h)"


def test_machine_code_is_not_in_python() -> None:
    """What a guest executes has a source in guest_blobs, which can be read and rebuilt."""
    wrong = []
    for path, tree in parsed():
        if room(path) == "tests":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                odd = [byte for byte in node.value if not 32 <= byte < 127]
                if len(set(odd)) >= 4 and len(odd) * 2 > len(node.value):
                    wrong.append(where(path, node.lineno))
    assert wrong == [], "write a guest program: docs/ says how"


# -------------------------------------------------------------------------------------------------
# Dependencies


def project_table() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table = tomllib.load(file)["project"]
    assert isinstance(table, dict)
    return table


def requirements(extra: str) -> list[Requirement]:
    """What pyproject.toml takes: bare, with this extra, and with those that the extra has in it."""
    table = project_table()
    direct = table["dependencies"]
    extras = table["optional-dependencies"]
    assert isinstance(direct, list)
    assert isinstance(extras, dict)
    found, wanted = [], {"", extra}
    while wanted:
        for requirement in map(Requirement, {**extras, "": direct}[wanted.pop()]):
            if requirement.name == table["name"]:
                wanted |= requirement.extras
            else:
                found.append(requirement)
    return found


def pins(extra: str) -> dict[Requirement, list[str]]:
    """Each pinned requirement with the hashes of its files."""
    name = f"requirements-{extra}.txt".replace("-.", ".")
    text = (ROOT / "setup" / name).read_text().replace("\\\n", " ")
    lines = [line.split(" --hash=") for line in text.splitlines() if not line.startswith("#")]
    return {Requirement(line[0]): [each.strip() for each in line[1:]] for line in lines}


def test_every_dependency_has_a_lower_bound_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in requirements("dev"):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">="}, f"{requirement}: a lower bound and nothing else"
        before = text[: text.index(f'    "{requirement.name}>=')].splitlines()[-1]
        assert before.lstrip().startswith("#"), f"{requirement}: a comment says what it is for"


@pytest.mark.parametrize("extra", ["", "emulate", "plot", "test", "dev"])
@pytest.mark.parametrize("python", SUPPORTED_PYTHONS)
def test_each_dependency_is_pinned_once_with_hashes(python: str, extra: str) -> None:
    versions: dict[str, str] = {}
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for pin, hashes in pins(extra).items():
        (specifier,) = pin.specifier
        assert specifier.operator == "==", f"{pin}: an exact version"
        assert hashes, f"{pin}: a hash"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), f"{pin}: hashes"
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in versions, f"{name} is pinned twice for Python {python}"
            versions[name] = specifier.version
    for requirement in requirements(extra):
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert name in versions, f"{name} is not pinned: `make pins`"
            assert requirement.specifier.contains(versions[name]), (
                f"{requirement}: {versions[name]}"
            )


def test_an_extra_changes_no_pin_of_the_one_before_it() -> None:
    """Set-up adds its packages to an environment in which a command may run."""

    def versions(extra: str) -> set[tuple[str, str]]:
        return {(pin.name, str(pin.specifier)) for pin in pins(extra)}

    for less, more in itertools.pairwise(["", "emulate", "plot", "test", "dev"]):
        assert versions(less) <= versions(more), f"setup/requirements-{more}.txt"


#: What takes an extra, and is imported only by what has looked for it.
TAKES_AN_EXTRA = {"lab/pictures/style.py"}


def test_a_bare_set_up_runs_all_but_the_pictures() -> None:
    bare = {canonicalize_name(pin.name) for pin in pins("")}
    distributions = importlib.metadata.packages_distributions()
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree in parsed()
        for line, name in imports(tree)
        if room(path) != "tests" and str(path.relative_to(ROOT)) not in TAKES_AN_EXTRA
        for each in distributions.get(name.split(".")[0], ())
        if canonicalize_name(each) not in {*bare, project_table()["name"]}
    ]
    assert wrong == [], "an extra's package stands in no module that a bare set-up imports"


# -------------------------------------------------------------------------------------------------
# Checks and commands


def checks() -> list[str]:
    listed = subprocess.run(
        [str(ROOT / ".ci" / "checks"), "--list"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def test_pre_commit_hooks_are_the_checks_of_ci() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: *(\S+)", text) == ["local"], "a hook needs no network"
    assert re.findall(r"- id: *(\S+)", text) == checks()
    assert re.findall(r"entry: *(.+)", text) == [f".ci/checks {name}" for name in checks()]
    assert text.count("always_run: true") == len(checks())


def test_ci_and_make_call_every_check() -> None:
    assert "done < <(.ci/checks --list)" in (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^\t@\.ci/checks \$\(ARGS\)$", (ROOT / "Makefile").read_text(), re.M)


def test_unknown_check_is_wrong_usage() -> None:
    done = subprocess.run(
        [str(ROOT / ".ci" / "checks"), "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert "unknown check 'nonsense'" in done.stderr


#: Files that a page has the reader write.
EXAMPLES = {"suites/preset/test_after_a_kick.py", "guest_blobs/x86_64/doubler.S"}
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_in_the_documents_exist(page: Path) -> None:
    """Paths from the top, names of files, and modules; what has <name> or * in it is a pattern."""
    tops = {path.name for path in ROOT.iterdir()} - {"results", "build", ".venv", ".git"}
    suffixes = (".py", ".c", ".h", ".cdef", ".toml", ".sh", ".S", ".inc")
    names = {path.name for path in files(*suffixes)}
    wrong = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for said in re.findall(r"`([\w./-]+)`", line):
            if re.match(r"(harness|lab|tools|suites|guest_blobs)\.\w", said):
                # A module, and perhaps a name in it.
                paths = [ROOT.joinpath(*said.split(".")), ROOT.joinpath(*said.split(".")[:-1])]
                found = any(path.is_dir() or path.with_suffix(".py").exists() for path in paths)
            elif "/" in said and said.split("/")[0] in tops:
                found = (ROOT / said).exists() or said in EXAMPLES
            elif "/" not in said and said.endswith(suffixes) and re.match(r"\w", said):
                found = said in names
            else:
                continue
            if not found:
                wrong.append(f"{page.name}:{number}: {said}")
        for link in re.findall(r"\]\(([^)#:]+)\)", line):
            if not (page.parent / link).exists():
                wrong.append(f"{page.name}:{number}: {link}")
    assert wrong == []


def test_the_readme_counts_the_mutants() -> None:
    """Those that the catalogue has now; a result stands with the day on which it was had."""
    mutants = catalogue.read().values()
    defects = [each for each in mutants if each.kind == catalogue.DEFECT]
    classes = {each.mutant_class for each in defects}
    sound = sum(each.kind == catalogue.SOUND for each in mutants)
    text = " ".join((ROOT / "README.md").read_text().split())
    said = re.search(
        r"one defect each \((\d+), in (\d+) classes\), one as before 4.11, and (\d+) sound", text
    )
    assert said is not None
    assert [int(each) for each in said.groups()] == [len(defects), len(classes), sound]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_commands_in_the_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    written = set(re.findall(r"(?:^|`)(?:\$ )?make ([a-z-]+)", text, re.M))
    assert written, f"{name} names no make command"
    assert written <= targets
    written = set(re.findall(r"(?:^|`)(?:\$ )?kvm-conformance ([a-z-]+)", text, re.M))
    assert written <= set(cli.list_commands(click.Context(cli)))
