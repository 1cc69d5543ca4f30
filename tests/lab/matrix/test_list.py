# SPDX-License-Identifier: GPL-2.0-only
"""The list of a matrix: its form, and a sentence for everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import parameters
from lab.launch.exit_codes import Exit
from lab.matrix import kernel_list
from lab.matrix.kernel_list import ListedKernel, ListError
from lab.matrix.runs import KernelTask
from tools.cli import main


def listed(folder: Path, text: str) -> Path:
    path = folder / "kernels.toml"
    path.write_text(text)
    return path


def test_the_default_list() -> None:
    kernels = [entry.kernel for entry in kernel_list.read(kernel_list.DEFAULT)]
    assert sorted(kernels) == [
        *("debian:bookworm", "debian:bookworm/rt", "debian:bullseye", "debian:sid"),
        *("debian:sid/rt", "debian:trixie", "debian:trixie-backports", "debian:trixie/rt"),
    ]


def test_the_list_of_parameters() -> None:
    """Each can be told from /sys, so that none is taken for in force that is not."""
    entries = kernel_list.read(kernel_list.DEFAULT.with_name("parameters.toml"))
    words = [word for entry in entries for word in entry.kernel_parameters.split()]
    assert [parameters.unmet([word], "") for word in words] == [
        [f"{word} is not in force: there is no such parameter"] for word in words
    ]
    assert len({entry.kernel for entry in entries}) == 1
    assert len(words) == len(entries) - 1


def test_an_entry(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        """
        [[kernel]]
        kernel = "/boot/vmlinuz"
        name = "6.1"
        cpus = 1
        memory = "1500M"
        kernel_parameters = "nopti"
        qemu_options = "-nodefaults -name 'a b'"
        [[kernel]]
        kernel = "debian:sid/rt"
        [[kernel]]
        kernel = "debian:sid/rt"
        arch = "arm64/nvhe"
        """,
    )
    first, second, third = kernel_list.read(path)
    assert first == ListedKernel(
        "/boot/vmlinuz", "6.1", 1, "1500M", "nopti", "-nodefaults -name 'a b'"
    )
    assert (first.label, second.label) == ("kernel_6_1", "debian_sid_rt")
    assert third.label == "debian_sid_rt_arm64_nvhe"
    task = KernelTask(tmp_path, {}, entry=third)
    assert task.preparing == ("find", "debian:sid/rt", "arm64/nvhe")
    assert "--arch=arm64/nvhe" in task.testing
    assert not any(
        word.startswith("--arch") for word in KernelTask(tmp_path, {}, entry=second).testing
    )
    assert (first.megabytes, second.megabytes) == (1500, 2048)


KERNEL = '[[kernel]]\nkernel = "debian:sid"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lists no kernel"),
        ("kernel = []", "lists no kernel"),
        ("kernels = 1", "unknown key 'kernels'; known: kernel"),
        ('[kernel]\nkernel = "debian:sid"', "two brackets"),
        ("kernel = [1]", "two brackets"),
        ("[[kernel]]\nkernel =", "is no TOML"),
        ("[[kernel]]\ncpus = 1", "kernel 1: Object missing required field `kernel`"),
        ('[[kernel]]\nkernel = " "', "kernel 1 names no kernel"),
        (f"{KERNEL}[[kernel]]\nkernel = 6.1", "kernel 2: Expected `str`, got `float`"),
        (f"{KERNEL}cpu = 2", "kernel 1: unknown key 'cpu'; known: kernel, name"),
        (f'{KERNEL}cpus = "2"', "Expected `int`, got `str` - at `$.cpus`"),
        (f"{KERNEL}cpus = true", "Expected `int`, got `bool`"),
        (f"{KERNEL}cpus = 0", "kernel 1: 0 emulated processors"),
        (f'{KERNEL}memory = "2"', "kernel 1: '2' is no amount of memory"),
        (f'{KERNEL}name = ""', "no head of a column"),
        (f'{KERNEL}name = "thirteen long"', "no head of a column"),
        (f'{KERNEL}name = "a|b"', "no head of a column"),
        (f'{KERNEL}qemu_options = "-name \'a"', "qemu_options: No closing quotation"),
        (f'{KERNEL}arch = "m68k"', "kernel 1: there is no m68k here: --arch takes arm64, "),
        (f"{KERNEL}{KERNEL}", "kernels 1 and 2 have the same name, debian_sid"),
    ],
)
def test_a_bad_list(
    tmp_path: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = listed(tmp_path, text)
    with pytest.raises(ListError) as raised:
        kernel_list.read(path)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)
    assert main(["matrix", f"--kernels={path}", f"--output={tmp_path / 'out'}"]) == Exit.USAGE
    assert sentence.split()[-1] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="cannot be read: No such file"):
        kernel_list.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(ListError, match="no text in UTF-8"):
        kernel_list.read(tmp_path / "latin.toml")
