# SPDX-License-Identifier: GPL-2.0-only
"""lab.emulation: machines of another architecture than this host's, up to QEMU's command line."""

from __future__ import annotations

import lzma
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.emulation import arch, elsewhere, image, kernel, programs
from lab.emulation.errors import EmulationError, KernelError
from lab.emulation.kernel import Kernel
from lab.emulation.loading import Modules
from lab.emulation.machine import Job, Machine, command
from lab.emulation.share import fresh
from lab.launch.exit_codes import Exit
from tests.fakes import programs as fake_programs
from tools.cli import main

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 only")
FOREIGN = ("arm64", "riscv64", "ppc64le")


def header(name: str, release: str = "6.12.1-x") -> bytes:
    """What an image of this architecture begins with."""
    magic = {"arm64": (0x38, b"ARM\x64"), "riscv64": (0x38, b"RSC\x05"), "ppc64le": (18, b"\x15\0")}
    data = bytearray(b"\x7fELF\x02\x01" if name == "ppc64le" else b"MZ").ljust(0x400, b"\0")
    at, word = magic[name]
    data[at : at + len(word)] = word
    return bytes(data) + f"Linux version {release} (somebody@somewhere)".encode()


@pytest.mark.parametrize("name", FOREIGN)
def test_an_image_says_whose_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(header(name))
    found = image.read(tmp_path / "vmlinuz")
    assert (found.release, found.machine) == (
        "6.12.1-x",
        arch.with_board(name).architecture.machine,
    )


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("m68k", "there is no m68k here: --arch takes arm64, "),
        ("arm64/el3", "there is no arm64/el3 here: --arch takes arm64, arm64/vhe, arm64/nvhe, "),
        ("x86_64/svm", "this host is itself one of x86_64: --arch takes arm64, "),
        ("/nvhe", "there is no /nvhe here"),
    ],
)
def test_an_architecture_that_is_not(
    word: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulate", "--arch", word]) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {why}")
    assert said.count("\n") == 1


def test_names_of_an_architecture() -> None:
    assert arch.named("x86_64") is None
    assert [arch.with_board(name).name for name in ("aarch64", "arm64/nvhe", "ppc64el")] == [
        *("arm64", "arm64/nvhe", "ppc64le")
    ]
    assert arch.with_board("arm64/protected").way.parameters == ("kvm-arm.mode=protected",)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_missing_for_it_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = arch.with_board(name)
    monkeypatch.setattr(programs, "places", lambda: str(tmp_path))
    programs.qemu_version.cache_clear()
    machine = Machine(foreign=foreign)
    with pytest.raises(EmulationError) as told:
        machine.check_programs()
    of = foreign.architecture
    assert re.match(rf"missing on this host: {of.qemu}, .*clang, ld\.lld", str(told.value))
    assert "run `make setup-architectures`, or install " in str(told.value)
    assert re.search(rf"packages {of.qemu_package} .*clang lld", str(told.value))
    assert "virtme-ng" not in str(told.value)


def test_an_emulator_too_old_for_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = arch.with_board("ppc64le")
    folder = fake_programs.make(tmp_path, "ppc64le", "payload")
    (folder / "qemu-system-ppc64").write_text("#!/bin/sh\necho QEMU emulator version 7.2.22\n")
    for path in folder.iterdir():
        monkeypatch.setattr(programs, "places", lambda: f"{folder}:/bin:/usr/bin:/usr/sbin")
        assert os.access(path, os.X_OK)
    programs.qemu_version.cache_clear()
    Machine(foreign=foreign, cpus=1).check_programs()
    with pytest.raises(EmulationError) as told:
        Machine(foreign=foreign, cpus=1, instruction_clock=True).check_programs()
    assert str(told.value) == (
        "qemu-system-ppc64 is QEMU 7.2.22, and 10.0 or later is needed to count its instructions: "
        "upgrade Debian's package qemu-system-ppc, or name another QEMU by --qemu"
    )
    programs.qemu_version.cache_clear()


def test_an_emulator_too_old_for_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_programs.make(tmp_path, "riscv64", "payload")
    (folder / "qemu-system-riscv64").write_text("#!/bin/sh\necho QEMU emulator version 7.2.22\n")
    monkeypatch.setattr(programs, "places", lambda: f"{folder}:/bin:/usr/bin:/usr/sbin")
    monkeypatch.setattr(programs, "check", lambda *_words, **_more: None)  # firmware, for one
    programs.qemu_version.cache_clear()
    Machine(foreign=arch.with_board("riscv64")).check_programs()
    with pytest.raises(EmulationError, match=r"and 10\.0 or later is needed for riscv64/aia: upgr"):
        Machine(foreign=arch.with_board("riscv64/aia")).check_programs()
    programs.qemu_version.cache_clear()


def test_kernels_of_the_wrong_architecture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vmlinux").write_bytes(header("riscv64"))
    with pytest.raises(KernelError, match="is a kernel for riscv64, and aarch64 was asked for"):
        kernel.find(str(tmp_path / "vmlinux"), foreign=arch.with_board("arm64"))
    with pytest.raises(KernelError, match=r"add --arch riscv64$"):
        kernel.find(str(tmp_path / "vmlinux"))
    with pytest.raises(KernelError, match=r"and aarch64 was asked for; name another"):
        kernel.find("host", foreign=arch.with_board("arm64"))
    with pytest.raises(KernelError, match="does not exist"):
        kernel.find("6.12.0-1-arm64", foreign=arch.with_board("arm64"))
    capsys.readouterr()


def test_an_option_that_a_kernel_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(header("arm64"))
    names = ("KVM", "NET_9P", "NET_9P_VIRTIO", "9P_FS", "VIRTIO_PCI", "TMPFS", "VIRTIO_CONSOLE")
    lines = [f"CONFIG_{name}=y\n" for name in (*names, "DEVTMPFS", "BLK_DEV_INITRD")]
    (tmp_path / "config").write_text("".join(lines[:-2]))
    foreign = arch.with_board("arm64")
    with pytest.raises(KernelError, match="without CONFIG_BLK_DEV_INITRD; CONFIG_DEVTMPFS "):
        kernel.find(str(tmp_path / "vmlinuz"), foreign=foreign)
    (tmp_path / "config").write_text("".join(lines))
    assert kernel.find(str(tmp_path / "vmlinuz"), foreign=foreign).release == "6.12.1-x"


# -------------------------------------------------------------------------------------------------
# Modules


def module(depends: str) -> bytes:
    return b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


def with_modules(folder: Path, modules: Mapping[str, str]) -> Kernel:
    """A kernel with modules, packed and not."""
    at = folder / "lib/modules/6.12.1-x/kernel/some/where"
    at.mkdir(parents=True)
    for number, (name, depends) in enumerate(modules.items()):
        data = module(depends)
        file = at / f"{name}.ko{'.xz' if number % 2 else ''}"
        file.write_bytes(lzma.compress(data) if number % 2 else data)
    return Kernel(folder / "boot/vmlinuz", "6.12.1-x", "debian 6.12.1-x", folder, "debian:x")


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    needs = {
        "9p": "9pnet,netfs",
        "9pnet": "",
        "netfs": "",
        "9pnet_virtio": "9pnet",
        "kvm-hv": "kvm",
    }
    made = with_modules(tmp_path, {**needs, "kvm": ""})
    assert made.modules
    found = Modules(made.modules / "lib/modules/6.12.1-x").ordered(
        ["virtio_pci", "9pnet_virtio", "9p", "kvm_hv"]
    )
    assert list(found) == ["9pnet", "9pnet_virtio", "netfs", "9p", "kvm", "kvm_hv"]
    assert found["kvm_hv"] == module("kvm")
    assert Modules(None).ordered(["kvm"]) == {}


@pytest.mark.parametrize(
    ("suffix", "why"), [(".zst", "packed in a way"), (".xz", "cannot be read")]
)
def test_a_module_that_cannot_be_read(tmp_path: Path, suffix: str, why: str) -> None:
    (tmp_path / f"kvm.ko{suffix}").write_bytes(b"?")
    with pytest.raises(KernelError, match=why):
        Modules(tmp_path).ordered(["kvm"])


# -------------------------------------------------------------------------------------------------
# The machine


def initial(control: Path) -> dict[str, bytes]:
    """What stands in /machine of the initial file system, by busybox."""
    to = control / "unpacked"
    to.mkdir()
    with (control / elsewhere.INITIAL).open("rb") as file:
        file.seek(512)  # behind the payload
        words = ["busybox", "cpio", "-i", "-d"]
        subprocess.run(words, stdin=file, cwd=to, check=True, capture_output=True)
    found = (path for path in to.rglob("*") if path.is_file())
    return {str(path.relative_to(to / "machine")): path.read_bytes() for path in found}


def test_what_a_run_brings_stands_behind_the_payload(tmp_path: Path) -> None:
    fake_programs.need("static:busybox")
    made = with_modules(tmp_path / "kernel", {"kvm": "", "kvm-hv": "kvm", "9p": ""})
    own = tmp_path / "own"
    own.mkdir()
    for name in ("kvm", "kvm-hv"):  # as the kernel's build calls them
        (own / f"{name}.ko").write_bytes(name.encode())
    (tmp_path / "payload").write_bytes(b"p" * 512)
    foreign = arch.with_board("ppc64le")
    with fresh(tmp_path / "out") as share:
        control = share.path.parent
        elsewhere.fill(control, foreign, made, "exec x\n", share, tmp_path / "payload", own)
        found = initial(control)
        assert found["share"] == f"{share.path}\n".encode()
        assert found["job.sh"] == b"exec x\n"
        assert found["order"] == b"9p\nkvm own\nkvm_hv own\n"
        assert found["modules/kvm_hv.ko"] == b"kvm-hv"


def test_a_payload_that_does_not_fit(tmp_path: Path) -> None:
    made = Kernel(tmp_path / "vmlinuz", "6.12.1-x", "x", None, "x")
    with (tmp_path / "payload").open("wb") as file:
        file.truncate(130 << 20)
    foreign = arch.with_board("ppc64le")
    with fresh(tmp_path / "out") as share:
        words = (share.path.parent, foreign, made, "", share, tmp_path / "payload", None)
        with pytest.raises(EmulationError) as told:
            elsewhere.fill(*words)
    assert str(told.value).startswith(
        "the payload does not fit: with the kernel's modules it has 136 MB, and ppc64le's firmware "
        "takes 134 MB; "
    )


@pytest.mark.parametrize("name", [*FOREIGN, "arm64/nvhe"])
def test_qemu_gets_no_network_and_one_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = arch.with_board(name)
    folder = fake_programs.make(tmp_path / "bin", foreign.architecture.machine)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    made = Kernel(tmp_path / "vmlinuz", "6.12.1-x", "x", None, "x")
    machine = Machine(foreign=foreign, kernel_parameters=("kvm.x=1",))
    with fresh(tmp_path / "out") as share:
        words = command(made, machine, Job(["true"], Path("/")), share, tmp_path / "payload")
        words = words[words.index(str(folder / foreign.architecture.qemu)) :]
        assert [each for each in words if "path=" in each and "/proc/self" not in each] == [
            f"local,id=share,path={share.path},security_model=none,multidevs=remap"
        ]
        assert "-nodefaults" in words or words[words.index("-net") + 1] == "none"
        assert not [each for each in words if re.search(r"netdev|hostfwd|tcp:|telnet|unix:", each)]
        line = words[words.index("-append") + 1].split()
        assert line[0] == f"console={foreign.board.console}"
        assert {"panic=-1", "oops=panic", "kvm.x=1", *foreign.way.parameters} <= set(line)
