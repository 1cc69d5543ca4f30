# SPDX-License-Identifier: GPL-2.0-only
"""The ABI as the extension knows it: each number belongs to its struct."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.kvm import abi
from harness.native import build, ffi, lib

ROOT = Path(__file__).resolve().parents[3]


def table(*entries: tuple[bytes, int, int]) -> SimpleNamespace:
    """A stand-in for the extension with this table of ioctls, ended as the real one is."""
    rows = [
        SimpleNamespace(name=ffi.new("char[]", name), number=number, size=size)
        for name, number, size in entries
    ]
    return SimpleNamespace(
        ke_ioctls=[*rows, SimpleNamespace(name=ffi.NULL, number=0, size=0)],
        ke_ioctl_size=lib.ke_ioctl_size,
    )


def test_a_struct_of_the_wrong_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """KVM_SET_USER_MEMORY_REGION carries 32 bytes; a header with 40 is not this kernel's."""
    number = abi.IOCTLS["KVM_SET_USER_MEMORY_REGION"]
    monkeypatch.setattr(abi, "lib", table((b"KVM_SET_USER_MEMORY_REGION", number, 40)))
    with pytest.raises(abi.AbiError, match=r"KVM_SET_USER_MEMORY_REGION.*32 bytes.*has 40"):
        abi._read_ioctls()


def test_the_real_table_is_accepted_and_whole() -> None:
    entry = re.compile(r"(?:PLAIN|SIZED)\((KVM_\w+)")
    neutral = set(entry.findall((ROOT / "harness/native/ioctls.c").read_text()))
    headers = (ROOT / "harness/native/arch").glob(f"{platform.machine()}*.h")
    own = {name for header in headers for name in entry.findall(header.read_text())}
    assert neutral
    assert set(abi.IOCTLS) == neutral | own


def test_the_byte_is_where_the_abi_says() -> None:
    assert ffi.offsetof("struct kvm_run", "immediate_exit") == 1


def test_another_place_of_the_byte_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi, "ffi", SimpleNamespace(offsetof=lambda *_: 2))
    with pytest.raises(abi.AbiError, match="request_interrupt_window is at byte 2"):
        abi.check_offsets()


def test_an_errno_names_the_ioctl() -> None:
    with pytest.raises(abi.KvmError, match=r"KVM_GET_API_VERSION failed with EBADF") as caught:
        abi.ioctl(-1, "KVM_GET_API_VERSION")
    assert caught.value.ioctl == "KVM_GET_API_VERSION"


def test_an_unknown_architecture_gets_the_neutral_part() -> None:
    """A new architecture's extension builds before its own declarations are written."""
    text = build.declarations("s390x")
    assert "struct kvm_run {" in text
    assert "struct kvm_sregs" not in text
    assert "struct kvm_sregs" in build.declarations("x86_64")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the table is x86's here")
def test_numbers_are_those_of_the_kernel() -> None:
    """Three numbers that strace(1) shows on x86, written out."""
    assert abi.IOCTLS["KVM_RUN"] == 0xAE80
    assert abi.IOCTLS["KVM_SET_USER_MEMORY_REGION"] == 0x4020AE46
    assert abi.IOCTLS["KVM_GET_REGS"] == 0x8090AE81


def test_compat_constants_equal_the_header() -> None:
    """A constant of compat.h or arch/ that the system's header has as well has the same value."""
    native = ROOT / "harness/native"
    compat = "".join(p.read_text() for p in (native / "compat.h", *native.glob("arch/*.h")))
    header = Path("/usr/include/linux/kvm.h").read_text()
    compared = 0
    for name, value in re.findall(r"^#define (KVM_(?:CAP|EXIT)_\w+) (\d+)$", compat, re.MULTILINE):
        found = re.search(rf"^#define {name}\s+(\d+)", header, re.MULTILINE)
        if found:
            assert found.group(1) == value, name
            compared += 1
    assert compared or not Path("/usr/include/linux/kvm.h").exists()


def test_the_extension_explains_itself_when_it_is_missing(tmp_path: Path) -> None:
    """Without the built extension the import says what to type."""
    import shutil
    import sys

    package = tmp_path / "harness"
    (package / "native").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    shutil.copy(ROOT / "harness/native/__init__.py", package / "native")
    done = subprocess.run(
        [sys.executable, "-c", "import harness.native"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "run `make conformance`" in done.stderr
