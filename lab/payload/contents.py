# SPDX-License-Identifier: GPL-2.0-only
"""What stands where in a payload: the distribution's programs, Python's packages, the suites."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.signs import Signs
from lab.emulation import cache as caches
from lab.emulation.arch import Foreign
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError
from lab.payload import compile as compiling
from lab.payload import extension, python_packages
from lab.payload.nodes import Node, below, file, folder, link
from lab.payload.systems import Systems

ROOT = Path(__file__).resolve().parents[2]
#: Where a payload has the suites, and Python's packages.
SUITES, PACKAGES = "opt/kvm-conformance", "opt/python"
#: Of the checkout: what a run executes, and what renders its results.
PARTS = ("conftest.py", "pytest.ini", "guest_blobs", "harness", "lab", "suites")
_INIT = Path(__file__).with_name("init")
# Of the distribution's: Python, busybox, the libraries that they load, and who may copy them how.
_KEPT = re.compile(
    r"(bin|sbin|lib|lib64|usr|usr/(bin|sbin|lib|lib64|share|share/doc))$"
    r"|usr/bin/(python3(\.\d+)?|busybox)$"
    r"|usr/lib/python3(\.\d+)?(/|$)"
    r"|usr/lib(64)?/ld[^/]*$"
    r"|usr/lib/[^/]+-linux-gnu[^/]*(/(lib|ld)[^/]+\.so\.\d[^/]*)?$"
    r"|usr/share/doc/[^/]+(/copyright)?$"
    r"|(usr/lib|etc)/(os-release|debian_version)$"
)
# What no run imports, and what only loads with more than the payload has.
_LEFT_OUT = re.compile(
    r"usr/lib/python3\.\d+/(test|idlelib|ensurepip|tkinter|turtledemo|pydoc_data|config-[^/]*)(/|$)"
    r"|usr/lib/python3\.\d+/lib-dynload/(_test|_tkinter|_sqlite3|readline|_curses)[^/]*$"
    r"|usr/lib/[^/]+/(libpython|lib\w*san\.|libgomp|libitm|libstdc\+\+|libcc1|libquadmath)[^/]*$"
    r"|usr/lib/[^/]+/lib(db-|sqlite3|readline|history|gdbm|nsl|tirpc|form|menu|panel|ncurses)[^/]*$"
)
_FOLDERS = ("dev", "etc", "mnt", "opt", "proc", "root", "run", "sys", "tmp", "var/tmp")


def made(foreign: Foreign, systems: Systems, packages: Path, say: Say) -> dict[str, Node]:
    """All of it. Raises KernelError."""
    found = {name: folder() for name in _FOLDERS}
    found |= below(systems.target, keep=_is_needed)
    found |= below(packages, PACKAGES, python_packages.keep)
    for part in PARTS:
        found |= _of_checkout(part)
    native = f"{SUITES}/harness/native/{extension.NAME}"
    found[native] = file(extension.made(foreign, systems, say), executable=True)
    found["init"] = file(_INIT, executable=True)
    # Where a root on a disk has it; and the shell of scripts.
    found["usr/sbin/init"], found["usr/bin/sh"] = link("/init"), link("busybox")
    # For a machine that has one KVM after the other (lab/mutation/guest.py).
    for name in ("insmod", "rmmod"):
        found[f"usr/sbin/{name}"] = link("../bin/busybox")
    found["etc/passwd"] = file(b"root:x:0:0:root:/root:/bin/sh\n")
    found["etc/group"] = file(b"root:x:0:\n")
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-bytecode-") as work:
        return found | _bytecode(found, systems, packages, Path(work), say)


def _is_needed(name: str) -> bool:
    return bool(_KEPT.match(name)) and not _LEFT_OUT.match(name)


def _of_checkout(part: str) -> dict[str, Node]:
    place, at = ROOT / part, f"{SUITES}/{part}"
    if place.is_file():
        return {at: file(place)}
    own = re.compile(r"(?:^|/)(?:__pycache__|\..*)(?:/|$)|\.(?:so|o|pyc)$")
    return {at: folder()} | below(place, at, lambda name: not own.search(name))


def _bytecode(
    found: dict[str, Node], systems: Systems, packages: Path, work: Path, say: Say
) -> dict[str, Node]:
    """Of each file of Python, and of those of pytest's once more: it rewrites them."""
    sources = [
        (name, entry.data)
        for name, entry in sorted(found.items())
        if name.endswith(".py") and isinstance(entry.data, Path)
    ]
    asked = [(_kind(name), path, f"/{name}") for name, path in sources]
    listed = work / "list"
    listed.write_text("".join("\t".join(map(str, line)) + "\n" for line in asked))
    script = Path(compiling.__file__)
    words = [*systems.compiler(), str(script), str(listed), str(work), str(packages)]
    look = Signs(say, lambda: f"compiling {len(asked)} files for the payload").look
    done = caches.run(words, look=look)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it told nothing"])[-1]
        raise KernelError(f"this host's {systems.python} compiles nothing for the payload: {why}")
    tag = f"cpython-{systems.python.removeprefix('python').replace('.', '')}"
    tails = {"plain": tag, "tests": f"{tag}-pytest-{_version('pytest')}"}
    return {
        _compiled(name[1:], tails[kind]): file((work / str(number)).read_bytes())
        for number, (kind, _, name) in enumerate(asked)
        if (work / str(number)).exists()
    }


def _kind(name: str) -> str:
    """`tests` for what pytest rewrites: tests, conftest.py, and the plugin that this one names."""
    last = name.rpartition("/")[2]
    within = name.startswith(f"{SUITES}/")
    rewritten = last.startswith("test_") or last == "conftest.py"
    plugin = name == f"{SUITES}/harness/reporting/plugin.py"
    return "tests" if within and (rewritten or plugin) else "plain"


def _compiled(name: str, tail: str) -> str:
    at, _, last = name.rpartition("/")
    return f"{at}/__pycache__/{last.removesuffix('.py')}.{tail}.pyc"


def _version(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", python_packages.pinned(), re.M)
    return found[1] if found else ""


def described(foreign: Foreign, systems: Systems, packages: Path) -> Sequence[str]:
    """What a payload is made of beside `sources`, in words that differ where its bytes may."""
    words = (foreign.architecture.machine, systems.target.name, systems.ours.name, packages.name)
    return (*words, extension.compiler(), *foreign.board.compiler)


def sources() -> Sequence[Path]:
    """Every file of the checkout that goes into one."""
    entries = (entry for part in PARTS for _, entry in sorted(_of_checkout(part).items()))
    return [entry.data for entry in entries if isinstance(entry.data, Path)]
