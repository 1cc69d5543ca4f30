# SPDX-License-Identifier: GPL-2.0-only
"""A stand-in for an installed kvm-conformance, for what packaging/ has to call it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

#: What make tells a make below it, and what would name another command.
_NOT_HANDED_ON = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KVM_CONFORMANCE", "KVM_CONFORMANCE_ARGS")


@dataclass(frozen=True)
class Installed:
    """The stand-in, in a folder that is first in PATH."""

    folder: Path

    @property
    def program(self) -> Path:
        """Its file."""
        return self.folder / "kvm-conformance"

    def asked(self) -> list[str]:
        """The words it was called with."""
        return (self.folder / "asked").read_text().splitlines()

    def environment(self, **more: str) -> dict[str, str]:
        """That of a process which shall find it."""
        kept = {name: word for name, word in os.environ.items() if name not in _NOT_HANDED_ON}
        return {**kept, "PATH": f"{self.folder}:{os.environ['PATH']}", **more}


def make(folder: Path, code: int = 0, does: str = "") -> Installed:
    """One that does something, as lines of shell, and ends with this code."""
    folder.mkdir(parents=True, exist_ok=True)
    installed = Installed(folder)
    note = f'printf "%s\\n" "$@" >{shlex.quote(str(folder / "asked"))}'
    installed.program.write_text(f"#!/bin/sh\n{note}\n{does}\nexit {code}\n")
    installed.program.chmod(0o755)
    return installed
