# SPDX-License-Identifier: GPL-2.0-only
"""Reproducers on a mutant and on the stock KVM: what counts as proof, what is told of others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.reporting import journal
from lab.mutation import proving
from lab.mutation.proving import Proof


def program(folder: Path, text: str) -> None:
    (folder / "reproducer").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "reproducer").chmod(0o755)


def test_one_and_nothing_prove(tmp_path: Path) -> None:
    program(tmp_path, "echo It is wrong; exit 1")
    proving.run(tmp_path, "mutant")
    assert not proving.read(tmp_path).proves
    program(tmp_path, "exit 0")
    proving.run(tmp_path, "stock")
    assert proving.read(tmp_path) == Proof(1, 0, "It is wrong")
    assert proving.read(tmp_path).proves


@pytest.mark.parametrize("codes", [(0, 0), (1, 1), (2, 0), (1, 2), (-1, 0)])
def test_other_codes_do_not(tmp_path: Path, codes: tuple[int, int]) -> None:
    for on, code in zip(("mutant", "stock"), codes, strict=True):
        program(tmp_path, f"exit {code & 255}")
        proving.run(tmp_path, on)
    assert not proving.read(tmp_path).proves


def test_a_program_that_does_not_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_LIMIT_S", 0.2)
    program(tmp_path, "exec sleep 1000")
    proving.run(tmp_path, "mutant")
    assert proving.read(tmp_path) == Proof(-1, None, "it did not end within 0 s")


def test_without_a_program_nothing_runs(tmp_path: Path) -> None:
    proving.run(tmp_path, "mutant")
    assert proving.read(tmp_path) == Proof()
    with journal.Writer(tmp_path / journal.NAME) as writer:
        writer.session({"kernel": "6.1"}, run="x")
    proving.write(tmp_path)
    assert "nothing that failed" in proving.read(tmp_path).why


@pytest.mark.parametrize("said", ["", "[]", '{"mutant": "1"}', '{"mutant": 1, "stock": true}'])
def test_what_a_kernel_may_have_written_is_no_proof(tmp_path: Path, said: str) -> None:
    (tmp_path / proving.RECORD).write_text(said)
    assert proving.read(tmp_path) == Proof()


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / proving.RECORD)
    assert proving.read(tmp_path) == Proof()


def test_the_sentence_names_what_proves_nothing() -> None:
    assert proving.sentence({}) == ""
    assert proving.sentence({"a 6.1": Proof(1, 0)}) == (
        "1 of 1 reproducers end with 1 on the mutant and 0 on the stock kernel"
    )
    others = {"a": Proof(1, 0), "b": Proof(1), "c": Proof(0, 0), "d": Proof(why="a look at chips")}
    assert proving.sentence(others).endswith(
        "; not b (1 and not run), c (0 and 0), d (a look at chips)"
    )


def test_more_than_the_codes_may_stand_there(tmp_path: Path) -> None:
    (tmp_path / proving.RECORD).write_text(json.dumps({"mutant": 1, "stock": 0, "more": []}))
    assert proving.read(tmp_path).proves
