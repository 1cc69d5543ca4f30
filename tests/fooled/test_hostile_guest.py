# SPDX-License-Identifier: GPL-2.0-only
"""A kernel under test is root in its machine: what it makes of the share does no harm here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import files, plain_text
from lab.emulation import confine, reach, share, watch
from lab.emulation.share import Mirror
from tests.fakes import machine as fake

pytestmark = pytest.mark.usefixtures("played_programs")

KEPT = "not the machine's\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The folder for the results, beside a file that no machine may touch."""
    (tmp_path / fake.VICTIM).write_text(KEPT)
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


@pytest.mark.parametrize("how", ["links", "fifos", "endless", "folders", "huge"])
def test_what_stands_in_the_place_of_results(
    output: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    """Neither followed nor waited for nor read without end; and told as no verdict."""
    code = fake.tool(f"hostile_{how}", output)
    assert (output.parent / fake.VICTIM).read_text() == KEPT
    assert code != 0, "no pytest came to its end, so nothing held"
    assert not any(path.is_symlink() or not path.is_file() for path in output.iterdir())
    assert sum(path.stat().st_size for path in output.iterdir()) < 80 * files.MEGABYTE
    assert KEPT.strip() not in capfd.readouterr().out
    results = [
        line for line in (output / "journal.jsonl").read_text().splitlines() if "preset" in line
    ]
    assert results, "what it told before it turned hostile is kept"


def test_a_journal_that_is_no_journal_is_a_sentence(
    output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fake.tool("hostile_journal", output) == 70
    said = capfd.readouterr().err
    assert "not a line of a journal" in said
    assert "Traceback" not in said


def test_no_escape_sequence_reaches_a_terminal(
    output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.tool("hostile_escapes", output)
    said = "".join(capfd.readouterr())
    assert "said" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b", "\u202e"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\text", "text"),
        ("\x9b31mtext\x85", "text"),
        ("one\ttwo\nthree\r", "one\ttwo\nthree"),
        ("\x1b", ""),
        ("a\u202eb\u2028c\ud800", "abc\ufffd"),
        ("\x1bPq#0\x1b\\text", "text"),
        ("\x1b]0;never ended\nnext", "\nnext"),
    ],
)
def test_plain_text(text: str, left: str) -> None:
    assert plain_text.plain(text) == left
    assert plain_text.plain(plain_text.plain(text)) == left


# -------------------------------------------------------------------------------------------------
# The share


def test_a_share_is_read_by_what_its_files_are(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with share.fresh(tmp_path) as folder:
        (folder.path / "plain").write_text("text")
        (folder.path / "link").symlink_to(secret)
        (folder.path / "up").symlink_to("..")
        os.mkfifo(folder.path / "fifo")
        assert folder.read("plain") == b"text"
        for name in ("link", "up", "fifo", "none", "."):
            assert folder.size(name) == -1
            assert folder.text(name) == ""
            assert not folder.take(name, tmp_path / "taken")
        assert not (tmp_path / "taken").exists()
        with pytest.raises(OSError, match="larger"):
            folder.read("plain", 3)
        with pytest.raises(OSError):
            folder.folder("up")
    assert not (tmp_path / share.CONTROL).exists()


def test_what_is_written_into_a_share_follows_no_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with share.fresh(tmp_path) as folder:
        for name in (".asked.new", "asked"):
            (folder.path / name).symlink_to(secret)
        folder.write("asked", "{}")
        assert (folder.path / "asked").read_text() == "{}"
    assert secret.read_text() == "secret"


def test_what_is_copied_out_follows_no_link_here(tmp_path: Path) -> None:
    """As a plain run's folder may be another user's."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "junit.xml").symlink_to(secret)
    with share.fresh(tmp_path) as folder:
        (folder.path / "junit.xml").write_text("<xml/>")
        assert folder.take("junit.xml", tmp_path / "junit.xml")
    assert (secret.read_text(), (tmp_path / "junit.xml").read_text()) == ("secret", "<xml/>")


def test_a_mirror_takes_each_byte_once_and_nothing_back(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with share.fresh(tmp_path) as folder:
        mirror = Mirror(folder, "journal", copy, limit=8)
        mirror.more()
        assert not copy.exists()
        source = folder.path / "journal"
        source.write_bytes(b"ab")
        mirror.more()
        source.write_bytes(b"xxcd")
        mirror.more()
        assert copy.read_bytes() == b"abcd"
        source.unlink()
        source.symlink_to(copy)
        mirror.more()
        assert copy.read_bytes() == b"abcd"
        source.unlink()
        source.write_bytes(b"x" * 100)
        mirror.close()
        assert (copy.read_bytes(), mirror.size) == (b"abcdxxxx", 8)


def test_a_machine_that_fills_the_disk_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [100 * files.MEGABYTE]
    monkeypatch.setattr(share.Share, "free", lambda _share: left[0])
    with share.fresh(tmp_path) as folder:
        seen = watch.MachineWatch(folder, watch.Limits(), lambda: 0.0, time.monotonic())
        assert seen.look() == ""
        left[0] = 49 * files.MEGABYTE
        assert "before it filled this host's disk" in seen.look()
        (folder.path / watch.STATE).write_text("status 0\n")
        assert seen.look() == "", "it ended by itself"


@pytest.mark.parametrize("call", ["write", "open"])
def test_a_mirror_that_a_signal_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The handler's exception comes when the call is done, and before its result is kept."""
    real = getattr(os, call)

    def interrupted(*words: object, **more: object) -> object:
        done = real(*words, **more)
        writes = call == "write" or "copy" in str(words[0])
        if writes:
            monkeypatch.setattr(os, call, real)
            raise KeyboardInterrupt
        return done

    with share.fresh(tmp_path) as folder:
        (folder.path / "journal").write_bytes(b"ab")
        mirror = Mirror(folder, "journal", tmp_path / "copy")
        monkeypatch.setattr(os, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            mirror.more()
        (folder.path / "journal").write_bytes(b"abcd")
        mirror.close()
        assert (tmp_path / "copy").read_bytes() == b"abcd"


@pytest.mark.parametrize("answer", ["[" * 100_000, "{", "\x00", '{"a": 1e999999}'])
def test_answers_that_are_no_json(tmp_path: Path, answer: str) -> None:
    with share.fresh(tmp_path) as folder:
        (folder.path / "answer").write_text(answer)
        assert not isinstance(folder.load("answer"), str)


# -------------------------------------------------------------------------------------------------
# What a machine can read


@pytest.fixture
def confined() -> None:
    """Skips where this host gives no namespaces."""
    if why := reach.why_not():
        pytest.skip(f"a machine cannot be confined here: {why}")


def see(tmp_path: Path, script: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """A shell that sees these paths, and the system."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    words = [*reach.only(root, paths), "/bin/sh", "-c", script]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("confined")
def test_only_what_was_named_is_there(tmp_path: Path) -> None:
    for name in ("shown", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "link").symlink_to("shown/file")
    done = see(
        tmp_path,
        f"cat {tmp_path}/shown/file {tmp_path}/hidden/file {tmp_path}/link; ls {tmp_path}; exit 7",
        tmp_path / "shown",
        tmp_path / "link",
        tmp_path / "is not there",
    )
    assert done.returncode == 7
    assert done.stdout.split() == ["shownshownlink", "shown"]
    assert "hidden/file: No such file" in done.stderr


@pytest.mark.usefixtures("confined")
def test_neither_homes_nor_secrets_nor_processes_nor_the_checkouts_history(tmp_path: Path) -> None:
    done = see(
        tmp_path,
        "ls /root /home /run /etc/shadow /etc/ssh; cat /proc/[0-9]*/environ",
        reach._CHECKOUT,  # the job's folder
    )
    if Path.home().is_dir():
        found = see(tmp_path, f"ls -A {Path.home()}").stdout.split()
        # The checkout or Python may be in it; nothing else.
        assert len(found) <= 3
    assert "shadow" not in done.stdout
    assert "PYTEST_CURRENT_TEST" in os.environ
    command = see(tmp_path, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert "pytest" not in command
    checkout = see(tmp_path, f"ls -A {reach._CHECKOUT}", reach._CHECKOUT).stdout.split()
    assert "harness" in checkout
    assert ".git" not in checkout
    assert "results" not in checkout


@pytest.mark.usefixtures("confined")
def test_python_runs_there(tmp_path: Path) -> None:
    code = "import harness.native, pytest, tools.cli; print(7)"
    done = see(tmp_path, f"{sys.executable} -c '{code}'")
    assert done.stdout == "7\n", done.stderr


@pytest.mark.usefixtures("confined")
def test_an_end_of_the_parent_ends_all(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    words = [*reach.only(tmp_path / "root", []), "/bin/sh", "-c", "echo up; sleep 600"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        child.kill()
        assert child.stdout.read() == b"", "whoever holds the pipe has ended"


def test_a_host_that_refuses_is_told_and_still_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confine, "__file__", shutil.which("false"))
    reach.refused.cache_clear()
    try:
        assert "can read every file that this user can" in reach.why_not()
        assert reach.only(tmp_path, []) == []
    finally:
        reach.refused.cache_clear()


def test_files_that_options_name(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    options = ("-drive", f"file={disk},format=raw", "-cpu", "max,+svm", "-bios", str(disk))
    assert list(reach.named_in(options)) == [disk, disk]
    assert list(reach.named_in((f"file={tmp_path}",))) == [], "no whole folder"


def test_json_in_the_state_is_read_line_by_line(tmp_path: Path) -> None:
    """A state without end or without sense is none."""
    with share.fresh(tmp_path) as folder:
        seen = watch.MachineWatch(folder, watch.Limits(), lambda: 0.0, 0.0)
        (folder.path / "state").write_text(
            f"up\nkvm\nstatus 99999\nstatus x\nrefused {json.dumps('x')}\x1b[31m\n"
        )
        seen.look()
        assert (seen.status, seen.has_kvm, seen.refused) == (None, True, '"x"')
