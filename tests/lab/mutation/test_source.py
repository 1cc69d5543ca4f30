# SPDX-License-Identifier: GPL-2.0-only
"""What mutants are built from: a tree of the user's, or Debian's sources from a fake archive."""

from __future__ import annotations

import io
import os
import platform
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from lab.emulation import apt, debian_source, kernel
from lab.emulation.arch import named
from lab.emulation.debian import Wanted
from lab.emulation.errors import KernelError, NotInArchiveError
from lab.emulation.machine import SHARE
from lab.mutation import source
from lab.mutation.errors import MutationError
from tests.fakes import archive as fake_archive
from tests.fakes.archive import CONFIG, Archive, Key, vmlinuz

RELEASE = "6.1.0-44-amd64"
VERSION = "6.1.170-3"
NO_TOOLS = fake_archive.why_not()
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only")
ARCHIVE = pytest.mark.skipif(
    bool(NO_TOOLS) or platform.machine() != "x86_64", reason=NO_TOOLS or "x86-64 only"
)
CC = 'CONFIG_CC_VERSION_TEXT="sh (GCC) 12.2.0"\n'


def quiet(_: str) -> None:
    pass


# -------------------------------------------------------------------------------------------------
# A tree of the user's


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree in which make ran, as far as this program looks."""
    top = tmp_path / "linux"
    for name, data in {
        ".config": (CONFIG + CC.replace("sh ", "gcc ")).encode(),
        "include/config/kernel.release": f"{RELEASE}\n".encode(),
        "arch/x86/boot/bzImage": vmlinuz(RELEASE),
        "arch/x86/kvm/kvm.ko": b"",
        "arch/x86/kvm/x86.c": b"int x;\n",
        "virt/kvm/kvm_main.c": b"int main;\n",
        "Module.symvers": b"0x0\n",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    monkeypatch.setattr(source.programs, "need", lambda *_: None)
    return top


@X86
@pytest.mark.skipif(source.shutil.which("gcc") is None, reason="no_tools: gcc is not installed")
def test_a_tree_that_was_built(tree: Path) -> None:
    found = source.of_tree(tree, None, quiet)
    assert (found.release, found.version, found.compiler) == (RELEASE, "6.1", "gcc")
    assert found.boot == found.build == found.tree == str(tree)
    path = tree.with_name("source.json")
    found.write(path)
    assert source.Source.load(path) == found
    (tree / "virt/kvm/kvm_main.c").write_text("int changed;\n")
    changed = source.of_tree(tree, None, quiet)
    assert changed.label == found.label
    assert changed.digest != found.digest, "a patch of the user's is another kernel"
    image = tree / "arch/x86/boot/bzImage"
    image.write_bytes(image.read_bytes() + b"another header of include/linux")
    assert source.of_tree(tree, None, quiet).digest != changed.digest


def test_label_is_a_folder_that_an_emulated_host_can_have() -> None:
    found = source.label("6.12.95+deb12-amd64", "6.12.95-1~bpo12+1")
    assert found == "6.12.95+deb12-amd64_6.12.95-1-bpo12+1"
    assert SHARE.fullmatch(found)


def edit(name: str, old: str = "", new: str = "") -> object:
    """Changes a file of the tree, or removes it."""

    def change(tree: Path) -> None:
        path = tree / name
        if old:
            path.write_text(path.read_text().replace(old, new))
        else:
            path.unlink()

    return change


@X86
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit(".config"), "is not configured"),
        (edit(".config", "CONFIG_KVM=m", "CONFIG_KVM=y"), "KVM is built into the kernel"),
        (edit(".config", "CONFIG_KVM=m", "# CONFIG_KVM"), "KVM is not built"),
        (edit(".config", "CONFIG_KVM_AMD=m", "CONFIG_KVM_AMD=y"), "AMD's KVM is built into"),
        (edit(".config", "CONFIG_KVM_AMD=m", ""), "AMD's KVM is not built"),
        (edit(".config", "9P_FS=m", ""), "was built without CONFIG_9P_FS"),
        (edit("arch/x86/boot/bzImage"), "is not built"),
        (edit("Module.symvers"), r"has no Module\.symvers"),
        (edit("include/config/kernel.release", "6.1.0-44", "6.1.0-45"), "is of version 6.1.0-45"),
        (edit(".config", "gcc (GCC)", "clang version 17"), "was built by clang"),
        (
            edit(".config", "gcc (GCC)", "gcc-99 (GCC)"),
            r"gcc-99 is missing \(install .*package gcc-99\), .* by --tree",
        ),
    ],
)
def test_a_tree_that_does_not_do(tree: Path, change: object, words: str) -> None:
    change(tree)  # type: ignore[operator]
    with pytest.raises(KernelError, match=words) as caught:
        source.of_tree(tree, None, quiet)
    assert str(tree) in str(caught.value) or "gcc-99" in str(caught.value)


@X86
def test_a_tree_of_another_version_than_the_booted_kernel(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "vmlinuz"
    other.write_bytes(vmlinuz("6.1.0-99-amd64"))
    with pytest.raises(MutationError, match=f"{RELEASE}, and the kernel to boot is 6.1.0-99"):
        source.of_tree(tree, str(other), quiet)


def test_what_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(MutationError, match="there is no folder"):
        source.of_tree(tmp_path / "linux", None, quiet)
    with pytest.raises(MutationError, match=r"is no kernel's tree: it has no arch/x86/kvm"):
        source.of_tree(tmp_path, None, quiet)


@X86
def test_a_program_that_is_missing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(source.programs, "places", lambda: "/nowhere")
    with pytest.raises(KernelError, match=r"host: spatch, .*make setup-mutants.* coccinelle"):
        source.of_tree(tree, None, quiet)


# -------------------------------------------------------------------------------------------------
# Debian's


def packed(top: str) -> bytes:
    """A linux-source with KVM and something else."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as file:
        for name in ("arch/x86/kvm/x86.c", "virt/kvm/kvm_main.c", "mm/memory.c"):
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = 2
            file.addfile(info, io.BytesIO(b";\n"))
    return data.getvalue()


@pytest.fixture
def archive(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive with a kernel, its headers and its sources; `debian:` looks there."""
    made = Archive(tmp_path / "archive", key, apt.architecture())
    common, kbuild = f"linux-headers-{RELEASE[:-6]}-common", "linux-kbuild-6.1"
    headers = f"usr/src/linux-headers-{RELEASE}"
    made.add(
        "sid",
        f"linux-headers-{RELEASE}",
        VERSION,
        {
            f"{headers}/Makefile": (
                f"KBUILD_OUTPUT=/{headers}\ninclude /usr/src/{common}/Makefile\n".encode()
            ),
            f"{headers}/.kernelvariables": b"CC = $(CCACHE) $(CROSS_COMPILE)gcc-12\n",
        },
        depends=f"linux-image-{RELEASE} | linux-image-x, {common}, {kbuild}, gcc-12",
    )
    made.add("sid", common, VERSION, {f"usr/src/{common}/Makefile": b"all:\n"})
    made.add("sid", kbuild, VERSION, {f"usr/lib/{kbuild}/scripts": b""})
    made.add(
        "sid",
        "linux-source-6.1",
        VERSION,
        {"usr/src/linux-source-6.1.tar.xz": packed("linux-source-6.1")},
    )
    made.publish("sid")
    monkeypatch.setattr(apt, "KEYRING", key.ring)
    monkeypatch.setenv("KVM_CONFORMANCE_DEBIAN_MIRROR", made.uri)
    return made


def booted(tmp_path: Path, version: str = VERSION) -> kernel.Kernel:
    """A kernel whose image says of itself what Debian's do."""
    text = f"{RELEASE} (debian-kernel@lists.debian.org) #1 SMP Debian {version} (2026-01-01)\0"
    data = bytearray(vmlinuz(RELEASE))
    data[0x3000 : 0x3000 + len(text)] = text.encode()
    (tmp_path / "vmlinuz").write_bytes(data)
    return kernel.Kernel(tmp_path / "vmlinuz", RELEASE, "a kernel", tmp_path, "debian:sid")


@ARCHIVE
def test_headers_and_sources_of_a_kernel(archive: Archive, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = debian_source.fetch(booted(tmp_path), cache, quiet)
    assert found.version == VERSION
    assert (found.sources / "virt/kvm/kvm_main.c").exists()
    assert (found.sources / "arch/x86/kvm/x86.c").exists()
    assert not (found.sources / "mm").exists(), "KVM alone is kept"
    output, _, included = (found.headers / "Makefile").read_text().split()
    assert Path(included).read_text() == "all:\n", "it names the place where it stands"
    assert output == f"KBUILD_OUTPUT={found.headers}"
    assert not list(cache.rglob("*.tar.xz"))
    archive.root.rename(tmp_path / "gone")
    assert debian_source.fetch(booted(tmp_path), cache, quiet) == found


def test_headers_of_another_architecture_have_this_hosts_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian has the programs of a kernel's build for each architecture; only ours run here."""
    release = "6.12.5+deb13-riscv64"
    kbuild = "linux-kbuild-6.12.5+deb13"
    image = tmp_path / "vmlinux"
    text = f"Linux version {release} (x) (gcc) #1 SMP Debian {VERSION} (2026-01-01)\n"
    image.write_bytes(b"\0" * 0x38 + b"RSC\x05" + text.encode())
    asked: list[tuple[str, str]] = []

    def packages(_: object, wanted: Wanted, __: bool = False) -> list[apt.Package]:
        suite = apt.Suite("http://x", "trixie", wanted.board.debian if wanted.board else "")
        needs = ((kbuild,), ("gcc-14",))
        return [
            apt.Package(f"linux-headers-{release}", VERSION, needs, 1, 1, suite),
            apt.Package(kbuild, VERSION, (), 1, 1, suite),
            apt.Package("linux-source-6.12", VERSION, (), 1, 1, suite),
        ]

    def download(_: object, chosen: list[apt.Package], *__: object) -> None:
        asked.extend((each.name, each.suite.architecture) for each in chosen)
        raise KernelError("that is enough")

    monkeypatch.setattr(debian_source.programs, "need", lambda *_: None)  # nothing is unpacked
    monkeypatch.setattr(debian_source.Archive, "packages", packages)
    monkeypatch.setattr(apt.Apt, "download", download)
    mine = kernel.Kernel(image, release, "a kernel", tmp_path, "debian:trixie")
    with pytest.raises(KernelError, match="enough"):
        debian_source.fetch(mine, tmp_path / "cache", quiet, foreign=named("riscv64"))
    assert asked == [
        (f"linux-headers-{release}", "riscv64"),
        (kbuild, ""),
        ("linux-source-6.12", "riscv64"),
    ]


@ARCHIVE
def test_a_compiler_that_is_missing_is_told_before_the_fetching(
    archive: Archive, tmp_path: Path
) -> None:
    asked: list[str] = []

    def refuse(name: str) -> None:
        asked.append(name)
        raise MutationError(f"{name} is missing")

    with pytest.raises(MutationError, match="gcc-12 is missing"):
        debian_source.fetch(booted(tmp_path), tmp_path / "cache", quiet, refuse)
    assert asked == ["gcc-12"]
    assert not list((tmp_path / "cache").rglob("*.deb"))


@ARCHIVE
def test_a_version_that_is_no_longer_in_the_archive(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(NotInArchiveError, match=rf"linux-headers-{RELEASE} 6\.1\.9-1 is not in"):
        debian_source.fetch(booted(tmp_path, "6.1.9-1"), tmp_path / "cache", quiet)


@ARCHIVE
@pytest.mark.parametrize(
    ("there", "taken"), [(["6.1.170-4", "6.1.170-10"], "6.1.170-10"), (["6.1.171-1"], None)]
)
def test_the_next_revision_has_taken_the_place_of_the_programs(
    archive: Archive, tmp_path: Path, there: list[str], taken: str | None
) -> None:
    """linux-kbuild is published before the kernel is signed; headers and sources stay."""
    archive.remove("sid", "linux-kbuild-6.1")
    for version in there:
        files = {"usr/lib/linux-kbuild-6.1/scripts": version.encode()}
        archive.add("sid", "linux-kbuild-6.1", version, files)
    archive.publish("sid")
    if taken is None:
        with pytest.raises(NotInArchiveError, match=rf"linux-kbuild-6.1 {VERSION} is not in"):
            debian_source.fetch(booted(tmp_path), tmp_path / "cache", quiet)
        return
    found = debian_source.fetch(booted(tmp_path), tmp_path / "cache", quiet)
    programs = found.headers.parents[1] / "lib/linux-kbuild-6.1/scripts"
    assert programs.read_text() == taken


@ARCHIVE
def test_lists_of_an_earlier_version_are_fetched_anew(archive: Archive, tmp_path: Path) -> None:
    """They name no headers; they stood under another name."""
    cache = tmp_path / "cache"
    debian_source.fetch(booted(tmp_path), cache, quiet)
    (known,) = (cache / "debian/suites").glob("*/packages-2")
    known.rename(known.with_name("packages")).write_text("")
    said: list[str] = []
    (done,) = (cache / "debian/sources").glob(f"{RELEASE}_{VERSION}")
    debian_source.shutil.rmtree(done)
    debian_source.fetch(booted(tmp_path), cache, said.append)
    assert any("fetching the lists of sid" in line for line in said)


@ARCHIVE
def test_the_suite_that_a_kernel_was_built_in(archive: Archive, tmp_path: Path) -> None:
    """Its compiler is there; suites beside it have what is newer, and no compiler."""

    def suite(spec: str) -> str:
        found = replace(booted(tmp_path), source=spec)
        return debian_source.base_suite(found, VERSION, tmp_path / "cache", quiet).name

    assert suite("debian:trixie-backports") == "trixie"
    assert suite("debian:bookworm-security") == "bookworm"
    assert suite("debian:experimental") == "sid"
    assert suite("debian:sid/rt") == "sid", "a flavour"
    assert suite("debian:6.1.0-44") == "sid", "a version is looked for"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A kernel whose sources are here, and a note of each root that is asked for."""
    headers = tmp_path / "headers"
    (headers / "scripts/basic").mkdir(parents=True)
    (headers / "scripts/mod").mkdir(parents=True)
    shutil.copy("/bin/true", headers / "scripts/basic/fixdep")
    (headers / ".kernelvariables").write_text("CC = $(CROSS_COMPILE)gcc-98\n")
    made = debian_source.Debian(tmp_path / "source", headers, VERSION)
    asked: list[tuple[str, ...]] = []

    def provide(user: str, names: tuple[str, ...], *_: object) -> Path:
        asked.append((user, names[0]))
        return tmp_path / "root"

    monkeypatch.setattr(source.kernel, "find", lambda *_, **__: booted(tmp_path))
    monkeypatch.setattr(source.debian_source, "fetch", lambda *_: made)
    monkeypatch.setattr(source.private_root, "provide", provide)
    monkeypatch.setattr(source.private_root, "refused", lambda: "")
    return asked


@X86
def test_a_compiler_that_is_not_here_is_in_a_root_of_its_own(
    fetched: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source.of_debian("debian:sid", quiet).root == str(tmp_path / "root")
    assert fetched == [(f"{RELEASE}_{VERSION}", "gcc-98")]
    monkeypatch.setattr(source.private_root, "refused", lambda: "there is no way")
    with pytest.raises(MutationError, match=r"built: gcc-98 is missing \(install .*no way"):
        source.of_debian("debian:sid", quiet)


@X86
def test_another_architecture_has_a_compiler_of_its_own(fetched: list[tuple[str, ...]]) -> None:
    """The root is of this host's programs, and the kernel's own compiler among them."""
    found = source.of_debian("debian:trixie", quiet, named("riscv64"))
    assert fetched == [(f"{RELEASE}_{VERSION}", "gcc-98-riscv64-linux-gnu")]
    assert (found.compiler, found.arch) == ("riscv64-linux-gnu-gcc-98", "riscv64")
    assert found.parts == ("arch/riscv/kvm", "virt/kvm")


def test_an_architecture_whose_kvm_is_no_module(tmp_path: Path) -> None:
    for made in (
        lambda: source.of_debian("debian:trixie", quiet, named("arm64/nvhe")),
        lambda: source.of_tree(tmp_path, None, quiet, named("arm64")),
    ):
        with pytest.raises(MutationError, match=r"part of the kernel on arm64.*another --arch"):
            made()


@X86
@pytest.mark.parametrize("told", ["", "modpost: libc.so.6: version `GLIBC_2.99' not found (by x)"])
def test_kbuilds_programs_must_run_here(
    fetched: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    (tmp_path / "bin").mkdir()
    for name, text in {"gcc-98": "", "ldd": f'case $1 in *real*) echo "{told}" >&2;; esac'}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n".replace("`", "\\`"))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "headers/scripts/mod/modpost.real-64").touch()
    found = source.of_debian("debian:sid", quiet)
    assert bool(found.root) == bool(told)
    assert bool(fetched) == bool(told)


def test_a_kernel_that_is_not_debians(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(vmlinuz("6.1.0-mine"))
    mine = kernel.Kernel(image, "6.1.0-mine", "mine 6.1.0", tmp_path, "vmlinuz")
    with pytest.raises(KernelError, match=r"does not say that it is a kernel of Debian.*--tree"):
        debian_source.fetch(mine, tmp_path, quiet)
