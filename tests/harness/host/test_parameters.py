# SPDX-License-Identifier: GPL-2.0-only
"""Which parameters of KVM's modules and of the kernel are in force, and what of a list is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import parameters
from harness.reporting import verdict, verdict_text


def parameter(sys: Path, name: str, value: str) -> None:
    module, _, parameter = name.partition(".")
    (sys / "module" / module / "parameters").mkdir(parents=True, exist_ok=True)
    (sys / "module" / module / "parameters" / parameter).write_text(f"{value}\n")


def test_parameters_in_force(tmp_path: Path) -> None:
    for name, value in {
        "kvm.halt_poll_ns": "0",
        "kvm_amd.npt": "N",
        "kvm_amd.nested": "1",
        "kvm_amd.avic": "a value\nof two lines",
        "kvm_amd.unheard_of": "7",
    }.items():
        parameter(tmp_path, name, value)
    told = {"kvm.halt_poll_ns": "0", "kvm_amd.npt": "N", "kvm_amd.nested": "1"}
    assert parameters.in_force("#1 SMP PREEMPT_DYNAMIC Debian", tmp_path) == told
    assert parameters.in_force("#1 SMP PREEMPT(lazy) x", tmp_path) == {**told, "preempt": "lazy"}
    (tmp_path / "kernel/debug/sched").mkdir(parents=True)
    (tmp_path / "kernel/debug/sched/preempt").write_text("none voluntary (full) lazy \n")
    assert parameters.in_force("#1 SMP PREEMPT(lazy) x", tmp_path)["preempt"] == "full"
    assert parameters.in_force("", tmp_path / "none") == {}


def test_what_the_command_line_asks_of_kvm_is_looked_at_as_well(tmp_path: Path) -> None:
    parameter(tmp_path, "kvm_amd.unheard_of", "7")
    parameter(tmp_path, "quiet.loud", "1")
    asked = tmp_path / "cmdline"
    asked.write_text("quiet.loud=1 kvm-amd.unheard-of=7 kvm_amd.ntp=0 kvm_amd./../x=1 kvm_amd.\n")
    assert parameters.in_force("", tmp_path, asked) == {"kvm_amd.unheard_of": "7"}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("kvm_amd.npt=0", ""),
        ("kvm_amd.nested=Y", ""),
        ("kvm_amd.nested", ""),
        ("kvm-amd.npt=0", ""),
        ("kvm-amd.npt=1", "kvm-amd.npt=1 is not in force: it is N"),
        ("nopti", ""),
        ("kvm_amd.npt=1", "kvm_amd.npt=1 is not in force: it is N"),
        ("kvm.halt_poll_ns=0", "kvm.halt_poll_ns=0 is not in force: it is 200000"),
        ("kvm_amd.ntp=0", "kvm_amd.ntp=0 is not in force: there is no such parameter"),
        ("kvm-arm.mode=nvhe", ""),
        ("preempt=lazy", "preempt=lazy is not in force: there is no such parameter"),
    ],
)
def test_a_parameter_that_is_not_in_force(word: str, sentence: str) -> None:
    told = "kvm.halt_poll_ns=200000 kvm_amd.npt=N kvm_amd.nested=1"
    assert parameters.unmet(["quiet", word], told) == [sentence] * bool(sentence)


def test_of_a_parameter_the_last_word_counts() -> None:
    words = ["kvm_amd.npt=1", "kvm_amd.npt=0"]
    assert parameters.unmet(words, "kvm_amd.npt=N") == []
    assert parameters.unmet(words[::-1], "kvm_amd.npt=N") != []


def test_the_verdict_tells_the_parameters() -> None:
    lines = verdict_text.render(
        verdict.judge([], planned={}, claims={}),
        environment={"kernel": "6.1", "parameters": "kvm_amd.npt=N"},
        claims={},
        chapters={},
        width=80,
        absent=False,
        architecture="x86_64",
    )
    assert [line.text.split() for line in lines][2] == ["parameters", "kvm_amd.npt=N"]
