# SPDX-License-Identifier: GPL-2.0-only
"""Modules of mutants: what is compiled, what is kept, and what a failed build says."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lab.emulation import cache as caches
from lab.emulation.errors import KernelError
from lab.mutation import build
from lab.mutation.errors import BuildError
from lab.mutation.source import Source

MAIN = "virt/kvm/kvm_main.c"
MAKEFILE = """\
ccflags-y += -I $(srctree)/arch/x86/kvm
include $(srctree)/virt/kvm/Makefile.kvm
"""
# Plays make: "compiles" each C file that is newer than its object, and "links" them.
MAKE = """\
#!/bin/sh
for word; do case "$word" in M=*) kvm=${word#M=} ;; esac; done
echo "make $* MAKEFLAGS=$MAKEFLAGS" >>"$NOTES"
cd "$kvm/../../.." || exit 1
for c in virt/kvm/*.c arch/x86/kvm/*.c; do
    if grep -q syntax "$c"; then echo "$c:7:1: error: expected something" >&2; exit 2; fi
    [ "$c" -nt "${c%.c}.o" ] || [ ! -e "${c%.c}.o" ] || continue
    echo "CC $c" >>"$NOTES"
    cp "$c" "${c%.c}.o"
done
[ -e nothing ] && exit 0
cat virt/kvm/*.o >arch/x86/kvm/kvm.ko
cat arch/x86/kvm/*.o >arch/x86/kvm/kvm-amd.ko
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/make").write_text(MAKE)
    (tmp_path / "bin/make").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("MAKEFLAGS", "w -- V=1")
    monkeypatch.setenv("KVM_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "notes").touch()
    return tmp_path / "notes"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    tree = tmp_path / "tree"
    for name, text in {
        MAIN: "stock\n",
        "virt/kvm/eventfd.c": "events\n",
        "virt/kvm/eventfd.o": "of an older build\n",
        "arch/x86/kvm/svm.c": "svm\n",
        "arch/x86/kvm/Makefile": MAKEFILE,
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
        os.utime(tree / name, ns=(10**18, 10**18 + 1))
    return Source(
        boot="",
        release="6.1.0-test",
        name="a test",
        version="6.1",
        tree=str(tree),
        build="/the/headers",
        compiler="gcc-12",
        label="test",
        digest="1",
    )


def modules(source: Source, **files: str) -> Path:
    changed = dict.fromkeys([MAIN] if files else [], "".join(files.values()))
    return build.modules(source, changed, f"the difference of {files}", say=lambda _: None)


def compiled(notes: Path) -> list[str]:
    """What was compiled since the last question."""
    lines = notes.read_text().splitlines()
    notes.write_text("")
    return [line.removeprefix("CC ") for line in lines if line.startswith("CC ")]


def test_a_mutant_compiles_what_it_changes_and_the_next_one_starts_from_stock(
    source: Source, notes: Path
) -> None:
    stock = modules(source)
    assert (stock / "kvm.ko").read_text() == "events\nstock\n"
    assert len(compiled(notes)) == 3, "the user's own objects are not taken"
    one = modules(source, one="one\n")
    assert (one / "kvm.ko").read_text() == "events\none\n"
    assert (one / "difference.patch").read_text().startswith("the difference")
    assert compiled(notes) == [MAIN]
    other = build.modules(source, {"virt/kvm/eventfd.c": "2\n"}, "", say=lambda _: None)
    assert (other / "kvm.ko").read_text() == "2\nstock\n", "nothing of the mutant before is left"
    assert compiled(notes) == ["virt/kvm/eventfd.c"]
    assert (Path(source.tree) / "arch/x86/kvm/Makefile").read_text() == MAKEFILE
    assert not (Path(source.tree) / "virt/kvm/kvm_main.o").exists(), "the tree is not written to"


def test_what_was_built_is_not_built_again(source: Source, notes: Path) -> None:
    first = modules(source, one="one\n")
    notes.write_text("")
    assert modules(source, one="one\n") == first
    assert notes.read_text() == ""
    (first / "kvm.ko").unlink()
    assert modules(source, one="one\n") == first
    assert (first / "kvm.ko").is_file(), "somebody tidied up, and it is built again"


def test_how_make_is_called(source: Source, notes: Path) -> None:
    modules(source)
    line = notes.read_text().splitlines()[0]
    for word in ("-C /the/headers", "CONFIG_KVM_INTEL=n", "CONFIG_DEBUG_INFO_BTF_MODULES= "):
        assert word in line
    assert line.endswith("modules MAKEFLAGS="), "a make above this one does not reach it"
    text = (build.folder_of(source) / "work/arch/x86/kvm/Makefile").read_text()
    assert "srctree" not in text


def test_make_for_another_architecture(source: Source, notes: Path) -> None:
    tree = Path(source.tree)
    (tree / "arch/x86").rename(tree / "arch/riscv")
    makefile = tree / "arch/riscv/kvm/Makefile"
    makefile.write_text("ccflags-y += -I $(src)\ninclude $(srctree)/virt/kvm/Makefile.kvm\n")
    made = Path(os.environ["PATH"].partition(":")[0], "make")
    made.write_text(MAKE.replace("arch/x86", "arch/riscv").replace("kvm-amd.ko", "other.ko"))
    of = replace(source, arch="riscv64")
    assert [path.name for path in modules(of).glob("*.ko")] == ["kvm.ko"]
    line = notes.read_text().splitlines()[0]
    assert " ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- " in line
    assert "CONFIG_KVM_INTEL" not in line
    makefile = build.folder_of(source) / "work/arch/riscv/kvm/Makefile"
    assert "$(src)/../../../virt/kvm/Makefile.kvm" in makefile.read_text()


def test_make_in_a_root_of_its_own(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Path
) -> None:
    """It sees the headers with what is beside them, and the folder of work; keys are the same."""
    calls: list[tuple[object, ...]] = []

    def run(root: Path, paths: list[Path], words: list[str], **more: object) -> object:
        calls.append((root, *paths, more["environment"]["TMPDIR"]))  # type: ignore[index]
        return caches.run(words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(build.private_root, "run", run)
    headers = str(tmp_path / "usr/src/headers")
    other = replace(source, root="/the/root", build=headers)
    assert modules(other).name == build.key(source, {})
    work = build.folder_of(source) / "work"
    assert calls == [(Path("/the/root"), tmp_path, work, str(work))]


def test_other_sources_are_built_anew(source: Source, notes: Path) -> None:
    first = modules(source)
    compiled(notes)
    other = Source(**{**vars(source), "digest": "2"})
    (Path(source.tree) / MAIN).write_text("newer\n")
    assert modules(other) != first
    assert (modules(other) / "kvm.ko").read_text() == "events\nnewer\n"
    assert len(compiled(notes)) == 3


def test_what_does_not_compile(source: Source, notes: Path) -> None:
    modules(source)
    for _ in range(2):
        with pytest.raises(BuildError) as caught:
            modules(source, bad="syntax\n")
        assert "kvm_main.c:7:1: error: expected something" in str(caught.value)
        assert "cache" not in str(caught.value)
    assert (modules(source, one="one\n") / "kvm.ko").read_text() == "events\none\n"


def test_a_make_that_makes_no_modules(source: Source, notes: Path, tmp_path: Path) -> None:
    modules(source)
    (build.folder_of(source) / f"stock-{build.key(source, {})}" / "nothing").touch()
    for path in build.folder_of(source).rglob("*.ko"):
        if "stock-" in str(path):
            path.unlink()
    with pytest.raises(BuildError, match="no modules came of it"):
        modules(source, one="one\n")


def test_without_make(source: Source, monkeypatch: pytest.MonkeyPatch, notes: Path) -> None:
    monkeypatch.setattr(build.caches.programs, "places", lambda: "/nowhere")
    with pytest.raises(KernelError, match="make is missing") as caught:
        modules(source)
    assert not isinstance(caught.value, BuildError)
