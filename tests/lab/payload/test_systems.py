# SPDX-License-Identifier: GPL-2.0-only
"""lab.payload: where its parts come from, and what is made of them, without a network."""

from __future__ import annotations

import importlib.util
import marshal
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.native import build
from lab.emulation import arch, private_root
from lab.emulation.apt import Suite
from lab.emulation.errors import KernelError, NotInArchiveError
from lab.payload import compile as compiling
from lab.payload import contents, extension, inside, python_packages, systems

ARM64 = arch.with_board("aarch64")


def roots(
    tmp_path: Path, pythons: dict[tuple[str, str], str]
) -> Callable[[str, Sequence[str], Callable[[], Suite], Path, object], Path]:
    """Plays private_root.provide: what each suite has of an architecture; or it is lost."""

    def provide(_user: str, _names: object, suite: Callable[[], Suite], *_: object) -> Path:
        of = suite()
        python = pythons.get((of.name, of.architecture))
        if python is None:
            raise NotInArchiveError(f"{of.uri} lacks a file that its lists of {of.name} name")
        root = tmp_path / f"{of.name}-{of.architecture or 'host'}"
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        for name in ("python3", python, f"{python}-config"):
            (root / "usr/bin" / name).touch()
        return root

    return provide


@pytest.mark.parametrize(
    ("pythons", "suite", "told"),
    [
        ({("trixie", ""): "python3.13", ("trixie", "arm64"): "python3.13"}, "trixie", 0),
        (
            {
                ("trixie", ""): "python3.13",
                ("sid", ""): "python3.14",
                ("sid", "arm64"): "python3.14",
            },
            "sid",
            2,
        ),
        (
            {
                ("trixie", ""): "python3.13",
                ("trixie", "arm64"): "python3.12",
                ("forky", ""): "python3.14",
                ("forky", "arm64"): "python3.14",
            },
            "forky",
            1,
        ),
    ],
    ids=["newest", "lost", "two_pythons"],
)
def test_packages_that_a_mirror_lost(
    pythons: dict[tuple[str, str], str],
    suite: str,
    told: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(private_root, "provide", roots(tmp_path, pythons))
    said: list[str] = []
    found = systems.provide(ARM64.board, tmp_path, said.append)
    assert found.suite == suite
    assert found.target.name == f"{suite}-arm64"
    assert len(said) == told
    assert all(line.endswith("; taking the payload's packages of another suite") for line in said)


def test_no_suite_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_root, "provide", roots(tmp_path, {}))
    with pytest.raises(
        KernelError, match=r"no suite of .* can give a payload's packages: .* lacks"
    ):
        systems.provide(ARM64.board, tmp_path, lambda _: None)


def test_a_program_names_its_loader() -> None:
    found = systems.interpreter(Path(sys.executable).resolve())
    assert Path(found).exists()
    with pytest.raises(KernelError, match="names no loader"):
        systems.interpreter(Path(__file__))


def test_pins_have_a_hash_each() -> None:
    pins = python_packages.pinned()
    assert [line.split("==")[0] for line in pins.splitlines() if "==" in line] == [
        *python_packages.NAMES
    ]
    assert all("--hash=sha256:" in block for block in pins.split("==")[1:])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("usr/bin/python3.13", True),
        ("usr/bin/tar", False),
        ("usr/bin/busybox", True),
        ("usr/lib/python3.13/json/decoder.py", True),
        ("usr/lib/python3.13/test/test_json.py", False),
        ("usr/lib/python3.13/config-3.13-aarch64-linux-gnu/libpython3.13.a", False),
        ("usr/lib/python3/dist-packages/_cffi_backend.cpython-313-aarch64-linux-gnu.so", True),
        ("usr/lib/aarch64-linux-gnu/libc.so.6", True),
        ("usr/lib/aarch64-linux-gnu/libc.a", False),
        ("usr/lib/aarch64-linux-gnu/libasan.so.8.0.0", False),
        ("usr/lib/ld-linux-aarch64.so.1", True),
        ("usr/share/doc/busybox-static/copyright", True),
        ("usr/share/doc/busybox-static/changelog.gz", False),
        ("usr/include/stdio.h", False),
        ("etc/shadow", False),
    ],
)
def test_what_a_payload_takes_of_a_root(name: str, kept: bool) -> None:
    assert contents._is_needed(name) == kept


def test_bytecode_is_what_python_and_pytest_look_for(tmp_path: Path) -> None:
    """Compiled in a process of its own, under the payload's names, and of pytest's tests twice."""
    for name, text in {
        "plain.py": "x = 1\n",
        "test_a.py": "assert 1 == 2\n",
        "bad.py": "x =\n",
    }.items():
        (tmp_path / name).write_text(text)
    lines = [
        f"{'tests' if name == 'test_a.py' else 'plain'}\t{tmp_path / name}\t/opt/{name}\n"
        for name in ("plain.py", "test_a.py", "bad.py")
    ]
    (tmp_path / "list").write_text("".join(lines))
    (tmp_path / "out").mkdir()
    words = [sys.executable, compiling.__file__, tmp_path / "list", tmp_path / "out"]
    subprocess.run([*words, sysconfig.get_path("purelib")], check=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0", "1"]
    for number, name, flags in (("0", "plain.py", 1), ("1", "test_a.py", 3)):
        data = (tmp_path / "out" / number).read_bytes()
        assert data[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(data[4:8], "little") == flags  # by hash; pytest looks at it each time
        assert data[8:16] == importlib.util.source_hash((tmp_path / name).read_bytes())
        assert marshal.loads(data[16:]).co_filename == f"/opt/{name}"
    assert b"@pytest_ar" in (tmp_path / "out/1").read_bytes()


@pytest.mark.parametrize("machine", arch.known())
def test_the_extension_is_described_for_each_machine(machine: str, tmp_path: Path) -> None:
    """With its own declarations only: what another's <asm/kvm.h> has does not compile there."""
    build.described(machine).emit_c_code(str(tmp_path / "native.c"))
    others = {each for each in arch.known() if each != machine}
    own = build.declarations(machine)
    for path in build.HERE.glob("arch/*.cdef"):
        if any(path.name.startswith(each) for each in others):
            assert path.read_text() not in own


def test_the_extension_sees_the_headers_of_its_root_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a cross compiler is installed, which has another kernel's."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.13").touch()
    asked: list[str] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(words)
        return subprocess.CompletedProcess(words, 1, "", "a.c:1: error: no such header\n")

    monkeypatch.setattr(extension.caches, "run", run)
    with pytest.raises(KernelError, match=r"be built for aarch64: a\.c:1: error: no such"):
        extension.made(ARM64, systems.Systems("trixie", tmp_path, tmp_path), print)
    assert "-nostdlibinc" in asked
    searched = [
        re.sub("^-(isystem|L)", "", word) for word in asked if word.startswith(("-isystem", "-L"))
    ]
    assert len(searched) == 3
    assert all(Path(each).is_relative_to(tmp_path) for each in searched)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("console=ttyS0 quiet", {}),
        (
            'conformance.arguments="--claim preset" conformance.results=share ro',
            {"arguments": "--claim preset", "results": "share"},
        ),
        ("conformance.tier", {"tier": ""}),
    ],
)
def test_the_kernels_command_line(line: str, found: dict[str, str]) -> None:
    assert inside.asked(line) == found


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('conformance.arguments="--claim', "the kernel's command line cannot be read: No closing"),
        (
            "conformance.results=nowhere",
            "conformance.results=nowhere is none of console, share and",
        ),
    ],
)
def test_a_command_line_that_cannot_be_done(
    line: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(inside, "RESULTS", tmp_path / "results")
    assert inside.main(line) == 70
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Bail out! {why}")
    assert said[1] == "conformance: pytest ended with 70"
