# SPDX-License-Identifier: GPL-2.0-only
"""Finding a kernel to boot: words, images, options, installed kernels and build trees."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest

from lab.emulation import arch, debian, image, kernel, options
from lab.emulation.errors import KernelError
from lab.emulation.machine import Machine
from tests.fakes.archive import CONFIG, vmlinuz

X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the images here are of x86-64")
PLAN9 = {"NET_9P": "m", "NET_9P_VIRTIO": "m", "9P_FS": "m", "VIRTIO_PCI": "y"}
RELEASE = "6.1.0-44-amd64"


def install(root: Path, release: str = RELEASE, config: str = CONFIG) -> Path:
    """A kernel below `root` as a distribution installs it."""
    (root / "boot").mkdir(exist_ok=True)
    (root / "lib/modules" / release).mkdir(parents=True)
    (root / f"boot/config-{release}").write_text(config)
    path = root / f"boot/vmlinuz-{release}"
    path.write_bytes(vmlinuz(release))
    return path


# -------------------------------------------------------------------------------------------------
# Images


def test_release_stands_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "any-name"
    release = "6.12.107+deb13-rt-amd64"
    path.write_bytes(vmlinuz(release))
    banner = f"{release} (somebody@somewhere) #1 SMP"
    assert image.read(path) == image.Image(release, "x86_64", banner)


def test_arm64_image(tmp_path: Path) -> None:
    path = tmp_path / "Image"
    path.write_bytes(bytes(0x38) + b"ARM\x64" + bytes(64) + b"Linux version 6.12.1-x (me) #1\0")
    assert image.read(path) == image.Image("6.12.1-x", "aarch64", "6.12.1-x (me) #1")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is not a kernel's image"),
        (b"#!/bin/sh\n" * 100, "is not a kernel's image"),
        (b"\x7fELF" + bytes(1000), "perhaps a vmlinux"),
        (vmlinuz("6.1.0")[:-1], "is cut off"),
        (vmlinuz("6.1.0")[:0x210], "is cut off"),
        (vmlinuz(""), "does not say which release"),
    ],
)
def test_file_that_is_no_image(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(data)
    with pytest.raises(KernelError, match=sentence):
        image.read(path)


def test_image_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(image.files, "read_regular", refuse)
    with pytest.raises(KernelError, match="sudo chmod a\\+r"):
        image.read(tmp_path / "vmlinuz")


# -------------------------------------------------------------------------------------------------
# Options


@pytest.mark.parametrize(
    ("without", "lacking"),
    [
        ("KVM", ["CONFIG_KVM"]),
        ("KVM_AMD", ["CONFIG_KVM_AMD"]),
        ("9P_FS", ["CONFIG_9P_FS"]),
        ("NET_9P_VIRTIO", ["CONFIG_NET_9P_VIRTIO"]),
        ("VIRTIO_PCI", ["CONFIG_VIRTIO_PCI"]),
    ],
)
def test_missing_options_are_named(without: str, lacking: list[str]) -> None:
    on = {"KVM": "m", "KVM_AMD": "m", **PLAN9}
    assert options.missing(on, arch.known()["x86_64"]) == []
    del on[without]
    on["VIRTIO_FS"] = "m"  # as in Debian's flavour "cloud"; it does not stand in for 9p
    assert options.missing(on, arch.known()["x86_64"]) == lacking


def test_kvm_for_amd_is_of_x86_64_only() -> None:
    assert options.missing({**PLAN9, "KVM": "y"}, arch.known()["aarch64"]) == []


# -------------------------------------------------------------------------------------------------
# Installed kernels, files, build trees


@X86
def test_file_beside_its_modules(tmp_path: Path) -> None:
    path = install(tmp_path)
    found = kernel.find(str(path))
    assert (found.image, found.release, found.modules) == (path, RELEASE, tmp_path)
    assert found.label == "vmlinuz_6_1_0_44_amd64_6_1_0_44_amd64"
    assert found.config == tmp_path / f"boot/config-{RELEASE}"


@X86
def test_image_that_stands_with_its_modules(tmp_path: Path) -> None:
    path = tmp_path / "usr/lib/modules/7.3.4/vmlinuz"
    path.parent.mkdir(parents=True)
    path.write_bytes(vmlinuz("7.3.4"))
    assert kernel.find(str(path)).modules == tmp_path / "usr"


@X86
def test_kvm_is_a_module_and_the_modules_are_elsewhere(tmp_path: Path) -> None:
    path = install(tmp_path)
    (tmp_path / "lib").rename(tmp_path / "elsewhere")
    with pytest.raises(KernelError, match=r"modules of .* are missing"):
        kernel.find(str(path))


@X86
def test_kernel_without_kvm_is_refused(tmp_path: Path) -> None:
    path = install(tmp_path, config=CONFIG.replace("CONFIG_KVM=m", "# CONFIG_KVM is not set"))
    with pytest.raises(KernelError, match=r"built without CONFIG_KVM \("):
        kernel.find(str(path))


@X86
def test_default_is_the_newest_that_serves(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kernel, "ROOT", tmp_path)
    install(tmp_path, "6.9.0-1-amd64")
    install(tmp_path, "6.10.0-1-amd64")
    install(tmp_path, "6.11.0-1-amd64", config="")
    said: list[str] = []
    found = kernel.find("default", tmp_path, said.append)
    assert (found.release, found.source) == ("6.10.0-1-amd64", "default")
    assert "6.11.0-1-amd64 does not serve" in said[0]
    assert kernel.find("6.9.0-1-amd64").name == "installed 6.9.0-1-amd64"


def test_default_without_a_kernel_is_the_distributions(tmp_path: Path, monkeypatch: Any) -> None:
    asked = []

    def fetch(spec: str, *_: Any) -> Path:
        asked.append(spec)
        raise KernelError("enough")

    monkeypatch.setattr(kernel, "ROOT", tmp_path)
    monkeypatch.setattr(debian, "fetch", fetch)
    system = {"ID": "debian", "VERSION_CODENAME": "trixie"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    with pytest.raises(KernelError, match="enough"):
        kernel.find("default")
    assert asked == ["debian:trixie"]
    system.update(ID="fedora", PRETTY_NAME="Fedora Linux 43")
    with pytest.raises(KernelError, match=r"no kernel is installed, .*Fedora Linux 43"):
        kernel.find("default")


def test_host_without_an_image(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kernel, "ROOT", tmp_path)
    with pytest.raises(KernelError, match="has no image in /boot"):
        kernel.find("host")


@X86
def test_host_is_the_running_kernel(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kernel, "ROOT", tmp_path)
    install(tmp_path, platform.release())
    install(tmp_path, "99.1.0")
    assert kernel.find("host").release == platform.release()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "name is empty"),
        ("6.1.0-1-none", r"installed: none.*debian:6.1.0-1-none"),
        ("/no/such/vmlinuz", "does not exist"),
        ("debian:", "comes a suite"),
        ("debian:Trixie", "comes a suite"),
        ("debian:trixie/rt/x", "comes a suite"),
        ("debian:../../etc", "comes a suite"),
    ],
)
def test_words_that_name_no_kernel(
    tmp_path: Path, monkeypatch: Any, spec: str, sentence: str
) -> None:
    monkeypatch.setattr(kernel, "ROOT", tmp_path)
    with pytest.raises(KernelError, match=sentence):
        kernel.find(spec, tmp_path)
    assert list(tmp_path.iterdir()) == []


@X86
def test_build_tree(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="is not a kernel's build tree"):
        kernel.find(str(tmp_path))
    (tmp_path / ".config").write_text(CONFIG)
    with pytest.raises(KernelError, match="is not built"):
        kernel.find(str(tmp_path))
    built = tmp_path / "arch/x86/boot/bzImage"
    for path, data in (
        (built, vmlinuz("6.19.0-rc1+")),
        (tmp_path / "include/config/kernel.release", b"6.19.0-rc1+\n"),
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    with pytest.raises(KernelError, match=r"modules in .* are not built.*make -C .* modules"):
        kernel.find(str(tmp_path))
    (tmp_path / "arch/x86/kvm").mkdir()
    (tmp_path / "arch/x86/kvm/kvm.ko").write_bytes(b"")
    found = kernel.find(str(tmp_path))
    assert (found.image, found.release, found.modules) == (built, "6.19.0-rc1+", None)


@pytest.mark.parametrize(
    ("release", "realtime"),
    [("6.1.0-56-rt-amd64", True), ("6.12.117+deb13-rt-amd64", True), ("6.1.0-56-amd64", False)],
)
def test_preempt_rt_gets_the_clock_that_its_kvm_asks_for(release: str, realtime: bool) -> None:
    found = kernel.Kernel(Path("/vmlinuz"), release, release, None, release)
    assert found.is_realtime is realtime
    words = Machine().qemu_words(realtime=found.is_realtime)
    assert ("+invtsc" in " ".join(words)) is realtime
