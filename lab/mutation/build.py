# SPDX-License-Identifier: GPL-2.0-only
"""KVM's modules, stock or with one defect, built outside of the kernel's tree.

The stock KVM is compiled once for each kernel and kept, objects and all. For a mutant the folder of
work is brought back to that state, times included, and gets the changed files: make compiles them
and links. The folder must be the same each time, for kbuild compares command lines, in which it
stands. Finished modules are kept by what they were made of.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.emulation import cache as caches
from lab.emulation import private_root
from lab.emulation.arch import EmulatedArchitecture
from lab.emulation.cache import Say
from lab.emulation.stored import lock_of, mark_used
from lab.mutation.errors import BuildError
from lab.mutation.source import Source

DIFFERENCE = "difference.patch"
_RECIPE = "1"  # changes with what is done here, so that no older modules are taken
_ROOM = 200_000_000  # bytes: two copies of KVM with its objects, and modules
# CONFIG_DEBUG_INFO_BTF_MODULES would need the kernel's vmlinux; warnings of a mutant are no errors.
_SETTINGS = (*("CONFIG_DEBUG_INFO_BTF_MODULES=", "CONFIG_DEBUG_INFO=", "CONFIG_KVM_WERROR="),)
# Its Makefile looks for KVM in the kernel's tree, and define_trace.h for trace.h beside itself.
_MAKEFILE = (
    (r"-I ?(?:\$\(srctree\)/)?(arch/\w+)/kvm", r"-I $(src) -I $(src)/../../../\1"),
    (r"\$\(srctree\)/virt/kvm/Makefile\.kvm", "$(src)/../../../virt/kvm/Makefile.kvm"),
)


def folder_of(source: Source) -> Path:
    """The folder of the cache for what is made of a kernel's sources."""
    return caches.root() / "mutants" / source.label


def key(source: Source, files: Mapping[str, str]) -> str:
    """Names the modules of these sources with these files changed."""
    whole = hashlib.sha256(f"{_RECIPE}\0{source.digest}\0{source.compiler}".encode())
    for name, text in sorted(files.items()):
        whole.update(f"\0{name}\0{text}".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:16]


def modules(source: Source, files: Mapping[str, str], difference: str, say: Say) -> Path:
    """The folder with the modules of a kernel, some of whose files have other texts.

    Raises `BuildError` where the changed files do not compile, `MutationError` where nothing can
    be built here, and KernelError where the cache cannot be written.
    """
    home = folder_of(source)
    done = home / "modules" / key(source, files)
    of = source.architecture
    if _is_whole(done, of):
        mark_used(home)
        return done
    caches.make_folder(home)
    with caches.lock(lock_of(home), say, f"builds the KVM of {source.release}") as held:
        if _is_whole(done, of):
            return done
        shutil.rmtree(done, ignore_errors=True)
        stock = _stock(source, home, say, held)
        work = home / "work"
        _bring_back(stock, work)
        for name, text in files.items():
            (work / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        if files:
            _make(source, work, held)
        part = done.with_name(f"{done.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for path in _modules(work, of):
            shutil.copy(path, part)
        (part / DIFFERENCE).write_text(difference, encoding="utf-8", errors="surrogateescape")
        part.rename(done)
    return done


def _is_whole(done: Path, of: EmulatedArchitecture) -> bool:
    """Whether all modules are there: somebody may have tidied up in the cache."""
    names = (*(f"{name}.ko" for name in of.modules), DIFFERENCE)
    return all((done / name).is_file() for name in names)


def _stock(source: Source, home: Path, say: Say, held: int) -> Path:
    """The folder with the stock KVM, built; made now where it is not there for these sources."""
    stock = home / f"stock-{key(source, {})}"
    if stock.is_dir():
        return stock
    for old in home.glob("stock-*"):
        shutil.rmtree(old, ignore_errors=True)
    work = home / "work"
    shutil.rmtree(work, ignore_errors=True)
    caches.need_room(home, _ROOM, f"the KVM of {source.release}")
    say(f"building the stock KVM of {source.release}, which takes a minute or two")
    for part in source.parts:
        shutil.copytree(Path(source.tree, part), work / part, ignore=_products)
    makefile = work / source.architecture.kvm / "Makefile"
    text = makefile.read_text()
    for pattern, words in _MAKEFILE:
        text = re.sub(pattern, words, text)
    makefile.write_text(text)
    _make(source, work, held)
    whole = home / "stock.part"
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(work, whole, symlinks=True)
    whole.rename(stock)
    return stock


def _products(_: str, names: list[str]) -> list[str]:
    """What a build of the user's left beside the sources: it is not taken."""
    ends = (".o", ".ko", ".mod", ".mod.c", ".cmd", ".a", ".order", ".symvers", "asm-offsets.s")
    return [name for name in names if name.endswith((*ends, "asm-offsets.h"))]


def _make(source: Source, work: Path, held: int) -> None:
    of = source.architecture
    words = [
        *("make", "-C", source.build, f"M={work / of.kvm}", f"-j{_processors()}"),
        *(*_cross(source), *(f"{name}=n" for name in of.unbuilt), *_SETTINGS, "modules"),
    ]
    # What a make above this one, or the user, set for other builds is not for this one.
    emptied = dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KCFLAGS", "O", "V", "W"), "")
    if source.root:
        # Debian's headers name folders beside them.
        reached = Path(os.path.commonpath((source.build, source.tree)))
        done = private_root.run(
            Path(source.root),
            (reached, work),
            words,
            environment={**emptied, "TMPDIR": str(work)},
            held=held,
        )
    else:
        done = caches.run(words, environment=emptied, held=held)
    (work / "make.log").write_text(done.stdout + done.stderr, encoding="utf-8", errors="replace")
    lacking = [path for path in _modules(work, of) if not path.is_file()]
    if done.returncode or lacking:
        raise BuildError(
            f"KVM of {source.release} does not build: "
            f"{_complaint(done.stdout + done.stderr, work) or 'no modules came of it'}"
        )


def _cross(source: Source) -> list[str]:
    """Words for make where it builds for another architecture."""
    foreign = source.foreign
    if foreign is None:
        return []
    return [f"ARCH={foreign.architecture.tree_name}", f"CROSS_COMPILE={foreign.board.triple}-"]


def _modules(work: Path, of: EmulatedArchitecture) -> list[Path]:
    """KVM's modules, once they are built."""
    return [work / of.kvm / f"{name}.ko" for name in of.modules]


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _complaint(text: str, work: Path) -> str:
    """The first line that tells an error, without the folder's path."""
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if re.search(r"(?i)\berror\b|undefined!|No such file", line)]
    first = told[0] if told else next((line for line in reversed(lines) if line), "")
    return first.replace(f"{work}/", "").rstrip(".")


def _bring_back(stock: Path, work: Path) -> None:
    """Makes `work` equal to `stock`, with the times of files; touches only what differs."""
    wanted, there = dict(_files(stock)), dict(_files(work))
    for name in there.keys() - wanted.keys():
        (work / name).unlink()
    for name, state in wanted.items():
        if there.get(name) != state:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(stock / name, work / name)


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each file with its size and its time, in nanoseconds."""
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            status = path.lstat()
            yield str(path.relative_to(folder)), (status.st_size, status.st_mtime_ns)
