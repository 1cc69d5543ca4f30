# SPDX-License-Identifier: GPL-2.0-only
"""Files that a user names: what is no regular file, or has no end, is a sentence and no wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import files
from lab.emulation import image, kernel, options
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from lab.matrix import kernel_list
from lab.soak import tally
from tools.cli import main


@pytest.fixture(autouse=True)
def no_wait() -> Iterator[None]:
    """A read that waits or has no end fails after a minute, and does not stop all tests."""

    def late(*_: object) -> None:
        raise AssertionError("it was still read after a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["fifo", "zero", "folder", "endless"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path to what cannot be read to its end."""
    path = tmp_path / "odd"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "zero":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 42)
    return path


def test_regular_files_are_read_by_links_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert files.read_regular(tmp_path / "link", 3) == b"abc"
    with pytest.raises(OSError, match="larger than"):
        files.read_regular(tmp_path / "file", 2)
    with pytest.raises(OSError, match="a symbolic link, not a regular file"):
        files.read_regular(tmp_path / "link", follow=False)
    assert files.read_regular("/proc/self/status"), "a size of 0 says nothing"


def test_what_cannot_be_read_to_its_end(odd: Path) -> None:
    with pytest.raises(OSError, match=r"not a regular file|larger than"):
        files.read_regular(odd)


def test_a_new_file_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "file").symlink_to("other")
    files.write(tmp_path / "file", "text")
    assert (tmp_path / "other").read_text() == "kept"
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (image.read, KernelError),
        (options.read, KernelError),
        (kernel.release_of, KernelError),
        (kernel_list.read, kernel_list.ListError),
    ],
)
def test_each_reader_says_a_sentence(
    odd: Path, read: Callable[[Path], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"{odd}.*(regular file|larger|no release|no TOML)"):
        read(odd)


def test_a_packed_configuration_that_has_no_end(tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "config.gz"
    with gzip.open(packed, "wb") as file:
        file.write(b"CONFIG_KVM=y\n")
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert options.read(packed) == {"KVM": "y"}
    packed.write_bytes(packed.read_bytes()[:50])
    with pytest.raises(KernelError, match="cannot be read"):
        options.read(packed)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["emulate", "--kernel"], Exit.SUITE_ERROR),
        (["matrix", "--kernels"], Exit.USAGE),
        (["plot"], None),
    ],
)
@pytest.mark.usefixtures("played_programs")
def test_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: Exit | None
) -> None:
    for name in ("fifo", "zero"):
        path = tmp_path / name
        if name == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        found = main([*words, str(path)])
        said = capsys.readouterr().err
        assert found == code if code else found in (Exit.SUITE_ERROR, Exit.USAGE)
        assert "not a regular file" in " ".join(said.split()), said
        assert "defect" not in said


def test_a_journal_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    with pytest.raises(OSError, match="a fifo"):
        list(tally.lines(tmp_path / "journal"))
