# SPDX-License-Identifier: GPL-2.0-only
"""The rules of the house: who may import whom, licences, sizes, dependencies, the checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import click
import pytest
from house import ROOT, files, imports, parsed, room, where
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        *(".toml", ".ini", ".yaml", ".txt", ".cocci"),
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


def requirements(*, dev: bool = True) -> list[Requirement]:
    table = project_table()
    direct = table["dependencies"]
    extras = table["optional-dependencies"]
    assert isinstance(direct, list)
    assert isinstance(extras, dict)
    return [Requirement(text) for text in [*direct, *(extras["dev"] if dev else [])]]


def pins(extra: str = "") -> dict[Requirement, list[str]]:
    """Each pinned requirement with the hashes of its files."""
    text = (ROOT / "setup" / f"requirements{extra}.txt").read_text().replace("\\\n", " ")
    lines = [line.split(" --hash=") for line in text.splitlines() if not line.startswith("#")]
    return {Requirement(line[0]): [each.strip() for each in line[1:]] for line in lines}


def test_every_dependency_has_a_lower_bound_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in requirements():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">="}, f"{requirement}: a lower bound and nothing else"
        before = text[: text.index(f'    "{requirement.name}>=')].splitlines()[-1]
        assert before.lstrip().startswith("#"), f"{requirement}: a comment says what it is for"


@pytest.mark.parametrize("extra", ["", "-dev"], ids=["run", "dev"])
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
    for requirement in requirements(dev=bool(extra)):
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert name in versions, f"{name} is not pinned: `make pins`"
            assert requirement.specifier.contains(versions[name]), (
                f"{requirement}: {versions[name]}"
            )


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


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_commands_in_the_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    written = set(re.findall(r"(?:^|`)(?:\$ )?make ([a-z-]+)", text, re.M))
    assert written, f"{name} names no make command"
    assert written <= targets
    written = set(re.findall(r"(?:^|`)(?:\$ )?kvm-conformance ([a-z-]+)", text, re.M))
    assert written <= set(cli.list_commands(click.Context(cli)))
