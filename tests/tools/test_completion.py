# SPDX-License-Identifier: GPL-2.0-only
"""What shells ask, and the man page: both made from the options."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from tools import completion, manual
from tools.cli import cli, main


def typed(monkeypatch: pytest.MonkeyPatch, shell: str, words: str, place: int) -> None:
    """What the script of a shell puts into the environment."""
    monkeypatch.setenv("_KVM_CONFORMANCE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", words.split()[-1] if shell == "fish" else str(place))


@pytest.mark.parametrize("shell", completion.SHELLS)
@pytest.mark.parametrize(
    ("words", "place", "wanted"),
    [
        ("kvm-conformance expl", 1, "explore"),
        ("kvm-conformance run --requ", 2, "--require-kvm"),
        ("kvm-conformance run --claim preset.rep", 3, "preset.repeats"),
        ("kvm-conformance run --suite cap", 3, "capability"),
        ("kvm-conformance run --variants on", 3, "one"),
    ],
)
def test_answers(
    shell: str,
    words: str,
    place: int,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed(monkeypatch, shell, words, place)
    assert completion.main() == 0
    found = re.split(r"[,\n\t]", capsys.readouterr().out)
    assert wanted in found
    assert "matrix" not in found


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_asks_the_program_that_only_answers(shell: str) -> None:
    """The command itself would run: it obeys no variable."""
    lines = completion.script(shell).splitlines()
    (asks,) = [line for line in lines if f"_COMPLETE={shell}_complete" in line]
    assert re.search(r" kvm-conformance-complete\)", asks)
    assert not re.search(r"(\$1| kvm-conformance)\)", asks)


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_wrong_usage(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kvm-conformance-complete", *words])
    assert completion.main() == 64
    assert "is none of bash, zsh, fish" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["", "x"])
def test_what_no_script_asks(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_KVM_CONFORMANCE_COMPLETE", "bash_complete")
    monkeypatch.delenv("COMP_WORDS", raising=False)
    if place:
        monkeypatch.setenv("COMP_WORDS", "kvm-conformance ru")
        monkeypatch.setenv("COMP_CWORD", place)
    assert completion.main() == 64
    assert "Usage: kvm-conformance-complete SHELL" in capsys.readouterr().err


def test_no_variable_makes_a_run_print_a_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "bash", "kvm-conformance run --claim no", 3)
    assert main(["run", "--claim", "no.such"]) == 64
    assert "no.such" in capsys.readouterr().err


def test_the_man_page_has_each_option_of_each_command() -> None:
    text = manual.page().replace(r"\-", "-")
    sections = dict(re.findall(r"^\.SS (\S+)\n(.*?)(?=^\.S)", text, re.M | re.S))
    top = click.Context(cli)
    assert list(sections) == cli.list_commands(top)
    for name, section in sections.items():
        command = cli.get_command(top, name)
        assert command is not None
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert option.hidden or option.opts[0] in section, f"{name}: {option.opts[0]}"


def test_words_of_the_man_page_are_no_requests() -> None:
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".br"}
    lines = manual.page().splitlines()
    assert {line.split()[0] for line in lines if line[:1] in (".", "'")} <= known
    assert manual._plain(r".TH 'a\b") == r"\&.TH 'a\eb"
    if shutil.which("groff") is None:
        pytest.skip("no_tools: groff reads man pages")
    words = ["groff", "-man", "-ww", "-z", "-Kutf8"]
    done = subprocess.run(words, input=manual.page(), capture_output=True, text=True, check=True)
    assert done.stderr == ""
