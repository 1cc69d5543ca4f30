# SPDX-License-Identifier: GPL-2.0-only
"""The rules of the house: who may import whom, licences, sizes, dependencies, the checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.claims import ARCHITECTURES
from tools.cli import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {".git", ".venv", "build", "results", "__pycache__", "docs"}
LONGEST_MODULE = 450  # lines

# Which of the project's own packages each may import. Nothing imports suites or tests.
MAY_IMPORT = {
    "guest_blobs": {"guest_blobs"},
    "harness": {"harness", "guest_blobs"},
    "tools": {"tools", "harness", "guest_blobs"},
    "conftest": {"harness", "guest_blobs"},
    "suites": {"harness", "guest_blobs", "suites"},
    "tests": {"tools", "harness", "guest_blobs", "tests"},
}
PACKAGES = {"guest_blobs", "harness", "tools", "conftest", "suites", "tests"}
SUPPORTED_PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


def files(*suffixes: str) -> list[Path]:
    """The project's own files with one of these suffixes, but nothing that a tool generated."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if (
                    path.name not in NOT_OURS
                    and not path.name.endswith(("_cache", ".egg-info"))
                    and (path.name == ".ci" or not path.name.startswith("."))
                ):
                    yield from walk(path)
            elif path.suffix in suffixes and not re.match(r"_native.*\.(c|so|o)$", path.name):
                yield path

    return list(walk(ROOT))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in files(".py"):
        yield path, ast.parse(path.read_text(), filename=str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The modules that a module imports, with the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            # `from harness import native` may name a module; so each name is looked at too.
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def room(path: Path) -> str:
    """The top-level package of a file; `conftest` for the one at the top."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


# -------------------------------------------------------------------------------------------------
# Imports


def test_imports_point_one_way() -> None:
    wrong = []
    for path, tree in parsed():
        allowed = MAY_IMPORT.get(room(path), set())
        for line, name in imports(tree):
            package = name.split(".")[0]
            if package in PACKAGES - allowed:
                wrong.append(f"{where(path, line)}: {room(path)} imports {name}")
    assert wrong == [], "suites -> harness -> native; tools -> harness"


def test_no_import_is_relative() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree in parsed()
        for line, name in imports(tree)
        if name.startswith(".")
    ]
    assert wrong == [], "a relative import hides which way it points"


def test_native_stands_at_the_bottom() -> None:
    wrong = []
    for path, tree in parsed():
        inside = path.is_relative_to(ROOT / "harness" / "native")
        for line, name in imports(tree):
            if name.startswith("harness.native"):
                if room(path) in ("suites", "conftest"):
                    wrong.append(f"{where(path, line)}: {name}")
            elif inside and name.split(".")[0] in PACKAGES:
                wrong.append(f"{where(path, line)}: harness/native imports {name}")
    assert wrong == [], "suites stand on harness.kvm; harness.native imports nothing of the project"


def test_an_architecture_is_named_only_in_its_own_modules() -> None:
    wrong = []
    for path, tree in parsed():
        parts = path.relative_to(ROOT).parts
        if parts[0] == "tests" or "arch" in parts or "x86_64" in parts:
            continue
        for line, name in imports(tree):
            if re.search(r"\b(x86_64|arm64|aarch64|riscv64|ppc64le)\b", name):
                wrong.append(f"{where(path, line)}: {name}")
    assert wrong == [], "other architectures come as siblings: go through harness.kvm.arch"


def module(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_import_goes_round() -> None:
    """Late imports and those for types counted: a circle is two modules that are one."""
    known = {module(path): tree for path, tree in parsed() if room(path) in MAY_IMPORT}
    graph: dict[str, set[str]] = {}
    for name, tree in known.items():
        graph[name] = set()
        for _, imported in imports(tree):
            while imported and imported not in known:
                imported = imported.rpartition(".")[0]
            if imported and imported != name and not name.startswith("tools."):
                graph[name].add(imported)
    assert len(graph) > 100
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


# What neutral code must not say: it has another name for it in harness.kvm.arch.interface.
NEUTRAL = (
    *("conftest.py", "suites", "harness/verdicts.py", "harness/undisturbed.py"),
    *("harness/kvm", "harness/kick", "harness/devices", "harness/native"),
    *("lab/sweep", "lab/benchmark", *(f"tools/{p.name}" for p in ROOT.glob("tools/soak*"))),
)
OF_AN_ARCHITECTURE = re.compile(
    r"(?i)(?<![a-z0-9_])("
    r"[re][abcd]x|rip|[re]flags|cr[0348]|efer|gregs|(rd|wr)?msrs?|cpuid|x?2?l?apic|rdtsc|tsc|hlt"
    r"|nmi|smi|sipi|svm|vmx|ports?|port_\w+|pio|port i/o|exits\.io|real mode|long mode|pt_regs"
    r"|halt_exits|irq_injections|\"(split|full|little|big)\"|4096|0x1000"
    r"|__x86_64__|x86|x86_64|x86-64|intel|amd|aarch64|arm64|riscv64|ppc64le"
    r")(?![a-z0-9_])"
)
MAY_SAY = {
    "harness/kvm/exits.py": "kvm_run has the exits of all architectures (<linux/kvm.h>)",
    "harness/native/abi.cdef": "kvm_run has the exits of all architectures (<linux/kvm.h>)",
    "harness/kvm/arch": "where it is said, and what is meant by the names for it",
    "harness/native/arch": "where it is said",
    "harness/native/arch.h": "chooses the header",
}


def test_neutral_code_says_nothing_of_an_architecture() -> None:
    """In identifiers, texts and comments. A source that is cited may lie in one's folder."""
    wrong = []
    for path in files(".py", ".c", ".h", ".cdef"):
        inside = [str(path.relative_to(ROOT)), *map(str, path.relative_to(ROOT).parents)]
        if not set(inside) & set(NEUTRAL) or set(inside) & set(MAY_SAY):
            continue
        if path.parent.name in ARCHITECTURES:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            said = OF_AN_ARCHITECTURE.search(re.sub(r"arch/x86/[\w/.]+", "", line))
            if said:
                wrong.append(f"{where(path, number)}: {said.group()}")
    assert wrong == [], "go through harness.kvm.arch, or native/arch.h"


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
