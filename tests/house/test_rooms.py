# SPDX-License-Identifier: GPL-2.0-only
"""The rooms of the house: who may import whom, no circle, and no terminal in lab/."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from harness.claims import ARCHITECTURES, MACHINES
from tests.house.files import ROOT, files, imports, parsed, room, where

# Which of the project's own packages each may import. Nothing imports suites or tests.
MAY_IMPORT = {
    "guest_blobs": {"guest_blobs"},
    "harness": {"harness", "guest_blobs"},
    "lab": {"lab", "harness", "guest_blobs"},
    "tools": {"tools", "lab", "harness", "guest_blobs"},
    "kvm_conformance": set(),  # imports what it has found by name
    "conftest": {"harness", "guest_blobs"},
    "suites": {"harness", "guest_blobs", "suites"},
    "tests": {"tools", "lab", "harness", "guest_blobs", "tests"},
}
PACKAGES = set(MAY_IMPORT)


def test_imports_point_one_way() -> None:
    wrong = []
    for path, tree in parsed():
        allowed = MAY_IMPORT.get(room(path), set())
        for line, name in imports(tree):
            package = name.split(".")[0]
            if package in PACKAGES - allowed:
                wrong.append(f"{where(path, line)}: {room(path)} imports {name}")
    assert wrong == [], "suites -> harness -> native; tools -> lab -> harness"


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


#: Names of folders that are one architecture's.
OF_ONE = {*ARCHITECTURES, *MACHINES}


def test_an_architecture_is_named_only_in_its_own_modules() -> None:
    wrong = []
    for path, tree in parsed():
        parts = path.relative_to(ROOT).parts
        if parts[0] == "tests" or "arch" in parts or OF_ONE & set(parts):
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
            if imported and imported != name:
                graph[name].add(imported)
    assert len(graph) > 100
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


#: Programs of processes of their own, whose words go to a pipe or a machine's console.
SPEAKS = {
    *("lab/launch/keeper.py", "lab/emulation/confine.py"),
    *("lab/payload/inside.py", "lab/payload/compile.py"),
    *("lab/sweep/inside.py", "lab/mutation/guest.py"),
}


def test_lab_knows_no_terminal() -> None:
    wrong = []
    for path, tree in parsed():
        if room(path) != "lab" or path.relative_to(ROOT).as_posix() in SPEAKS:
            continue
        wrong += [
            where(path, line)
            for line, name in imports(tree)
            if re.match(r"(click|rich|curses|readline)\b", name)
        ]
        wrong += [
            where(path, node.lineno)
            for node in ast.walk(tree)
            if (isinstance(node, ast.Name) and node.id in ("print", "input"))
            or (isinstance(node, ast.Attribute) and ast.unparse(node) in STREAMS)
        ]
    assert wrong == [], "lab/ speaks to the Speaker that it was handed"


STREAMS = ("sys.stdout", "sys.stderr")


def test_a_name_means_one_thing() -> None:
    """No public class has another's name: who reads it elsewhere knows what it is."""
    named: dict[str, set[str]] = {}
    for path, tree in parsed():
        if room(path) not in ("harness", "lab", "tools", "guest_blobs"):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                name = node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id  # a type by another name: Plan = dict[str, str]
                if not re.fullmatch(r"[A-Z][a-z]\w*", name) or isinstance(node.value, ast.Call):
                    continue
            else:
                continue
            if not name.startswith("_"):
                named.setdefault(name, set()).add(where(path, node.lineno))
    assert len(named) > 100
    twice = {name: sorted(places) for name, places in named.items() if len(places) > 1}
    assert twice == {}, "two things of one name"


MOST_OF_A_PREFIX = 3


def test_a_prefix_that_many_share_is_a_folder() -> None:
    """A .c and its .h are one module."""
    modules: dict[Path, set[str]] = {}
    for path in files(".py", ".c", ".h", ".cdef", ".S"):
        if room(path) not in ("tests", "suites"):
            modules.setdefault(path.parent.relative_to(ROOT), set()).add(path.stem)
    wrong = []
    for folder, names in modules.items():
        prefixes = [name.split("_")[0] for name in names if "_" in name.strip("_")]
        wrong += [
            f"{folder}/{prefix}_*"
            for prefix in sorted(set(prefixes))
            if prefixes.count(prefix) > MOST_OF_A_PREFIX
        ]
    assert wrong == []


# What neutral code must not say: each room has a folder for it (docs/add-an-architecture.md).
NEUTRAL = ("conftest.py", "suites", "harness", "lab", "tools", "guest_blobs")
OF_AN_ARCHITECTURE = re.compile(
    r"(?i)(?<![a-z0-9_])("
    r"[re][abcd]x|rip|[re]flags|cr[0348]|efer|gregs|(rd|wr)?msrs?|cpuid|x?2?l?apic|rdtsc|(inv)?tsc|hlt"
    r"|nmi|smi|smm|smbase|sipi|svm|vmx|ports?|port_\w+|pio|port i/o|exits\.io"
    r"|real mode|long mode|system management|pt_regs|sysvec\w*|bzimage|\.code(16|32|64)"
    r"|general protection|(double|triple) fault|kvm[-_](intel|amd)"
    r"|halt_exits|irq_injections|\"(split|full|little|big)\"|4096|0x1000"
    r"|__x86_64__|x86|x86_64|x86-64|intel|amd|aarch64|arm64|riscv64|ppc64le"
    r")(?![a-z0-9_])"
)
#: File or folder, what it may say, and why.
MAY_SAY = {
    "guest_blobs/memory_map.py": ("0x1000", "an address, and no page"),
    "harness/claims/__init__.py": (r"\w+64\w*", "the catalogue's names of architectures"),
    "harness/host/arch": (".*", "where it is said"),
    "harness/kernel_texts.py": ("NMI", "kernel/watchdog_perf.c says it on each architecture"),
    "harness/kvm/arch": (".*", "where it is said, and what is meant by the names for it"),
    "harness/kvm/exits.py": (".*", "kvm_run has the exits of all architectures (<linux/kvm.h>)"),
    "harness/native/abi.cdef": (".*", "kvm_run has the exits of all architectures"),
    "harness/native/arch": (".*", "where it is said"),
    "harness/native/arch.h": (".*", "chooses the header"),
    "harness/sequences/arch": (".*", "where it is said"),
    "lab/emulation/arch": (".*", "where it is said"),
    "lab/emulation/bundle.py": ("4096", "a block of ext4"),
    "lab/emulation/confine.py": ('0x1000|"full"', "MS_BIND of mount(2), and /dev/full"),
    "lab/emulation/elsewhere.py": ("ports?", "of virtio-serial, on each machine"),
    "lab/emulation/machine.py": ("ports", "of virtio-serial, on each machine"),
    "lab/payload/formats.py": ("4096", "a block of ext4"),
}


def test_neutral_code_says_nothing_of_an_architecture() -> None:
    """In identifiers, texts and comments. A source that is cited may lie in one's folder."""
    wrong, unused = [], set(MAY_SAY)
    for path in files(".py", ".pyi", ".c", ".h", ".cdef", ".sh"):
        inside = [str(path.relative_to(ROOT)), *map(str, path.relative_to(ROOT).parents)]
        if not set(inside) & set(NEUTRAL) or path.parent.name in OF_ONE:
            continue
        excused = [each for each in inside if each in MAY_SAY]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for said in OF_AN_ARCHITECTURE.finditer(re.sub(r"arch/x86/[\w/.]+", "", line)):
                by = [each for each in excused if re.fullmatch(MAY_SAY[each][0], said.group())]
                unused -= set(by)
                if not by:
                    wrong.append(f"{where(path, number)}: {said.group()}")
    assert wrong == [], "go through harness.kvm.arch, or the room's own arch/"
    assert unused == set(), "exceptions that nothing needs"
