# SPDX-License-Identifier: GPL-2.0-only
"""The reproducer of a mutant's failure: 1 on the mutant, 0 on the kernel's own KVM.

`write` and `run` are for the machine that judges it, in processes of their own (guest.py); `read`
is for whoever has taken what they left. The kernel under test may have written that: it is checked.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files
from harness.plain_text import line
from harness.shapes import ShapeError, from_json

SOURCE, RECORD = "reproducer.c", "reproducer.json"
_LIMIT_S = 100.0  # a program ends itself after 60
_MOST = files.MEGABYTE
_WRONG, _RIGHT = 1, 0


@dataclass(frozen=True)
class Proof:
    """What a program's exit codes were; `why` none could be written, or what it said."""

    mutant: int | None = None
    stock: int | None = None
    why: str = ""

    @property
    def proves(self) -> bool:
        """Whether it tells the two apart."""
        return (self.mutant, self.stock) == (_WRONG, _RIGHT)


def write(folder: Path) -> None:
    """Writes the program of the first failure in this folder of results, and builds it."""
    from lab.reproduction.arch import UntoldError
    from lab.reproduction.results import NothingToTellError, failures

    why = "no failure can be told"
    try:
        for each in failures(folder):
            try:
                text = each.program()
            except UntoldError as error:
                why = f"no C program says this yet: {error}"
                continue
            (folder / SOURCE).write_text(text, encoding="utf-8")
            words = [os.environ.get("CC", "cc"), "-O1", "-o", "reproducer", SOURCE, "-lpthread"]
            built = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            why = line(built.stderr) if built.returncode else ""
            break
    except NothingToTellError as error:
        why = str(error)
    _note(folder, why=why)


def run(folder: Path, on: str) -> None:
    """Runs it on the "mutant" or on the "stock" KVM, which is loaded, if there is one."""
    program = folder / "reproducer"
    if not program.exists():
        return
    try:
        done = subprocess.run(
            [program], capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
        code, said = done.returncode, line(done.stdout + done.stderr)
    except subprocess.TimeoutExpired:
        code, said = -1, f"it did not end within {_LIMIT_S:.0f} s"
    _note(folder, **{on: code}, **({} if code == _RIGHT else {"why": said}))


def _note(folder: Path, **more: Any) -> None:
    file = folder / RECORD
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    files.replace(file, json.dumps({**known, **more}))


def read(folder: Path) -> Proof:
    """What is known of it."""
    try:
        return from_json(files.read_regular(folder / RECORD, _MOST), Proof, others=True)
    except (OSError, ShapeError):
        return Proof()


def sentence(proofs: dict[str, Proof]) -> str:
    """Of all mutants by their names of which a program was asked for; empty without any."""
    if not proofs:
        return ""
    good = sum(each.proves for each in proofs.values())
    text = f"{good} of {len(proofs)} reproducers end with 1 on the mutant and 0 on the stock kernel"
    others = [f"{name} ({_told(each)})" for name, each in proofs.items() if not each.proves]
    return f"{text}; not {', '.join(others)}" if others else text


def _told(proof: Proof) -> str:
    if proof.mutant is None:
        return line(proof.why) or "it was not run"
    return f"{proof.mutant} and {'not run' if proof.stock is None else proof.stock}"
