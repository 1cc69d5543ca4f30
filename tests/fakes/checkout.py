# SPDX-License-Identifier: GPL-2.0-only
"""A checkout with only what tools/bootstrap.sh reads, and stand-ins for what it calls.

The stand-ins only note how they were called, so tests with them need no network and no root, and
say the same on every host.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import programs as fake_programs

ROOT = Path(__file__).resolve().parents[2]

# What bootstrap.sh itself calls; nothing else of the host is in its PATH.
COMMANDS = [
    *("bash", "cat", "chmod", "env", "find", "flock", "grep", "make", "mktemp", "mv", "readlink"),
    *("rm", "sed", "sha256sum", "sort", "stat", "tail", "tr", "true"),
]

# What emulated hosts take, and what mutants take on top: Debian's packages by program.
EMULATION = fake_programs.packages("emulation")
MUTANTS = {
    name: package
    for name, package in fake_programs.packages("sources", "mutation", "compiler").items()
    if name not in COMMANDS
}

PYTHON = """#!/bin/bash
PATH=/usr/bin:/bin
echo "python $*" >>"$NOTES"
case "$1 $2" in
"--version ") echo "Python 3.12.0" ;;
"-m venv")
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    ;;
"-m pip")
    if [[ "$3" == config ]]; then echo "$PIP_SETTINGS"; exit 0; fi
    if [[ -n "$PIP_SAYS" ]]; then echo "$PIP_SAYS"; exit 1; fi
    if [[ -n "$PIP_TAKES" ]]; then
        trap 'kill $!; exit 1' TERM
        echo "Collecting cffi"
        sleep "$PIP_TAKES" &
        echo pip >"$PIP_STARTED"
        wait
    fi
    touch harness/native/_native.abi3.so
    ;;
esac
"""

COMPILER = """#!/bin/bash
case "$*" in *-M*) echo "-: $KVM_HEADER" ;; esac
exit 0
"""

APT_GET = """#!/bin/bash
echo "apt-get $*" >>"$NOTES"
if [[ "$*" == *" update" ]]; then /usr/bin/touch "$NOTES.lists"; exit 0; fi
if [[ "$LISTS_ARE_OLD" && ! -e "$NOTES.lists" ]]; then exit 100; fi
/bin/cp "$COMPILER_TO_INSTALL" "${0%/*}/cc"
"""

SUDO = """#!/bin/bash
shift
exec "$@"
"""

BROKEN_SHIM = """#!/bin/bash
echo "pyenv: ${0##*/}: command not found" >&2
exit 127
"""


class Project:
    """A checkout with only what bootstrap.sh reads, and the commands that it finds."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for command in COMMANDS:
            found = shutil.which(command)
            assert found, f"{command} is missing on this host"
            (self.bin / command).symlink_to(found)
        self.command("python3", PYTHON)
        self.command("cc", COMPILER)
        self.header = folder / "linux" / "kvm.h"
        self.header.parent.mkdir()
        self.header.write_text("/* 1 */\n")
        self.spare_compiler = folder / "spare-compiler"
        self.spare_compiler.write_text(COMPILER)
        self.spare_compiler.chmod(0o755)
        self.root = folder / "checkout"
        (self.root / "tools").mkdir(parents=True)
        (self.root / "harness" / "native").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "bootstrap.sh", self.root / "tools")
        shutil.copytree(ROOT / "setup", self.root / "setup")
        self._play_files()
        for name in ("pyproject.toml", "setup.py"):
            (self.root / name).write_text(f"# {name}\n")
        (self.root / "harness" / "native" / "run.c").write_text("/* 1 */\n")
        self.environment = {
            "PATH": str(self.bin),
            "NOTES": str(self.notes),
            "KVM_HEADER": str(self.header),
            "TMPDIR": str(folder),
            "PIP_STARTED": str(folder / "pip-started"),
            "COMPILER_TO_INSTALL": str(self.spare_compiler),
        }

    def _play_files(self) -> None:
        """The files of the list of programs, for which no PATH can stand in: all are there."""
        listed = self.root / "setup" / "programs.txt"
        listed.write_text(re.sub(r"(?m)^/\S+", str(self.header), listed.read_text()))

    def command(self, name: str, text: str) -> None:
        """Puts a command into the PATH."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts bootstrap.sh.

        As from a terminal: a shell's job in the background ignores SIGINT, and so would bash here.
        """
        script = str(self.root / "tools" / "bootstrap.sh")
        return subprocess.Popen(
            ["/usr/bin/env", "--default-signal=INT", script, *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Runs bootstrap.sh to its end: its exit code and all it said."""
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def calls(self) -> list[str]:
        """The calls that the stand-ins noted since the last look."""
        noted = self.notes.read_text().splitlines()
        self.notes.write_text("")
        return noted

    @property
    def is_ready(self) -> bool:
        """Whether a set-up has left its stamp."""
        return (self.root / ".venv" / ".ready").exists()


def checkout(tmp_path: Path) -> Iterator[Project]:
    """A project for a fixture: afterwards no temporary file may be left."""
    if shutil.which("flock") is None or shutil.which("make") is None:
        pytest.skip("no_tools: bootstrap.sh needs flock and make")
    yield Project(tmp_path)
    left = list(tmp_path.glob("kvm-conformance-setup.*"))
    assert left == [], "bootstrap.sh left temporary files"


def made_anew(calls: list[str]) -> bool:
    return any(call.startswith("python -m venv") for call in calls)


def built_again(calls: list[str]) -> bool:
    return any("--no-deps" in call for call in calls) and not made_anew(calls)
