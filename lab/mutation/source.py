# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's KVM is built from: its sources, the headers of its build, and its compiler.

Two ways: a kernel of Debian, whose headers and sources are fetched, or a tree of the user's in
which ``make`` ran. Neither is ever written to.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import files
from harness.shapes import from_json
from lab.emulation import arch, debian_source, image, kernel, options, programs
from lab.emulation import cache as caches
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError
from lab.mutation.errors import MutationError

#: The folders of a kernel's tree that a mutant may change.
parts = debian_source.parts
_LARGEST = 1024 * files.MEGABYTE
_HEADERS = (
    "include/linux/kvm*",
    "include/kvm/*.h",
    "arch/*/include/**/kvm*",
    "include/uapi/**/kvm*",
)


@dataclass(frozen=True)
class Source:
    """One kernel's.

    boot      what `emulate --kernel` is given to boot it
    release   such as 6.1.0-56-amd64, `name` the kernel for people, `version` such as 6.1
    tree      the folder with its `parts`
    build     the folder for `make -C`
    compiler  the C compiler's program
    label     names it among all kernels, in letters of lab.emulation.machine.SHARE
    digest    of all that decides about the modules
    """

    boot: str
    release: str
    name: str
    version: str
    tree: str
    build: str
    compiler: str
    label: str
    digest: str

    def write(self, path: Path) -> None:
        """Writes it, for another process. Raises OSError."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Source:
        """Reads what `write` wrote. Raises OSError, ShapeError."""
        return from_json(path.read_bytes(), Source)


def of_debian(spec: str, say: Say) -> Source:
    """The sources of one of Debian's kernels, fetched where they must be.

    `spec` is a kernel as `emulate --kernel` takes it. Raises KernelError.
    """
    found = kernel.find(spec, say=say)
    if found.modules is None:
        raise MutationError(f"{spec} is a tree: give it with --tree")
    made = debian_source.fetch(
        found, caches.root(), say, lambda name: _need_compiler(name, found.release)
    )
    source = Source(
        boot=str(found.image),
        release=found.release,
        name=found.name,
        version=_short(found.release),
        tree=str(made.sources),
        build=str(made.headers),
        compiler=_compiler_of_headers(made.headers),
        label=label(found.release, made.version),
        digest=f"{found.release}_{made.version}",
    )
    _need_compiler(source.compiler, found.release)
    return source


def label(release: str, version: str) -> str:
    """A kernel's release with its package's version, in letters of machine.SHARE."""
    return f"{release}_{version}".replace("~", "-")


def of_tree(tree: Path, spec: str | None, say: Say) -> Source:
    """The sources of a tree in which the user built a kernel with KVM as modules.

    `spec` is the kernel to boot if that is not the tree's own image. Raises KernelError for a tree
    that is not built, whose KVM is no module or lacks what QEMU needs, or that is of another
    version than the kernel to boot.
    """
    tree = tree.expanduser().absolute()
    if not tree.is_dir():
        raise MutationError(f"there is no folder {tree}; --tree is a kernel's tree that was built")
    lacking = [part for part in parts() if not (tree / part).is_dir()]
    if lacking:
        raise MutationError(
            f"{tree} is no kernel's tree: it has no {lacking[0]}; a folder for build products alone"
            " (make O=) does not do"
        )
    if not (tree / ".config").is_file():
        raise MutationError(f"{tree} is not configured (it has no .config); run make there")
    _need_modular_kvm(tree)
    booted = kernel.find(spec or str(tree), say=say)
    built = tree / "include/config/kernel.release"
    release = kernel.release_of(built) if built.exists() else ""
    running = image.read(booted.image).release
    if not release or release != running:
        raise MutationError(
            f"{tree} is of version {release or 'unknown'}, and the kernel to boot is {running}: "
            "modules fit only the kernel that they were built with; run make in the tree"
        )
    if not (tree / "Module.symvers").is_file():
        raise MutationError(
            f"{tree} has no Module.symvers, so modules cannot be linked against its kernel; run "
            f"make -C {tree} to its end"
        )
    source = Source(
        boot=str(booted.image) if spec else str(tree),
        release=release,
        name=f"{tree.name} {release}",
        version=_short(release),
        tree=str(tree),
        build=str(tree),
        compiler=_compiler_of_config(tree / ".config"),
        label=f"tree-{release}-{hashlib.sha256(os.fsencode(tree)).hexdigest()[:8]}",
        digest=_read_digest(tree, booted.image),
    )
    programs.need("mutation")
    _need_compiler(source.compiler, release)
    return source


def _need_modular_kvm(tree: Path) -> None:
    """Raises `MutationError` unless the tree's KVM, with what QEMU needs, is made of modules."""
    config = options.read(tree / ".config")
    for name, what in arch.here().options.items():
        state = config.get(name, "n")
        if state != "m":
            how = "is built into the kernel" if state == "y" else "is not built"
            raise MutationError(
                f"{what} {how} in {tree} (CONFIG_{name}={state}), and a mutant is loaded as a "
                f"module: configure it with CONFIG_{name}=m, and run make"
            )


def _need_compiler(name: str, release: str) -> None:
    """Raises `MutationError` where the compiler of a kernel is missing."""
    if shutil.which(name, path=programs.places()) is None:
        set_up = any(each.name == name for each in programs.listed() if "compiler" in each.uses)
        way = "build a kernel here and give its tree by --tree"
        if set_up:
            way = f"run `{programs.SETUP['compiler']}`"
        raise MutationError(
            f"{name} is missing, and the mutants of {release} are built with it: {way}, or install "
            f"Debian's package {name}"
        )


def _short(release: str) -> str:
    return ".".join(release.split(".")[:2])


def _compiler_of_headers(headers: Path) -> str:
    """The compiler that Debian's headers name; their build refuses others."""
    text = (headers / ".kernelvariables").read_text()
    found = re.search(r"^CC = .*?(gcc-\d+)$", text, re.M)
    if not found:
        raise KernelError(
            f"{headers}/.kernelvariables names no compiler, so Debian packs its headers in a way "
            "that this program does not know; give a tree of your own by --tree"
        )
    return found[1]


def _compiler_of_config(config: Path) -> str:
    """The compiler of which the tree's .config says that it built the kernel."""
    text = options.read(config).get("CC_VERSION_TEXT", "").strip('"')
    first = text.split(" ")[0]
    if not first or not re.search("gcc", first):
        raise MutationError(
            f"{config.parent} was built by {text or 'an unknown compiler'}, and mutants are built "
            "by gcc: build the tree with it"
        )
    return first


def _read_digest(tree: Path, booted: Path) -> str:
    """The same as `_digest`. Raises `MutationError` where a file cannot be read."""
    try:
        return _digest(tree, booted)
    except OSError as error:
        raise MutationError(f"{error.filename or tree} cannot be read: {error.strerror}") from error


def _digest(tree: Path, booted: Path) -> str:
    """Of the sources and KVM's headers, of what is linked against, and of the kernel that loads it.

    Any other header may change what both agree about; the kernel is another one then.
    """
    whole = hashlib.sha256(hashlib.sha256(files.read_regular(booted, _LARGEST)).digest())
    paths = [tree / ".config", tree / "Module.symvers"]
    for part in parts():
        paths += sorted((tree / part).rglob("*.[chS]"))
        paths += sorted((tree / part).rglob("Makefile*"))
    for pattern in _HEADERS:
        paths += sorted(tree.glob(pattern))
    for path in paths:
        whole.update(f"{path.relative_to(tree)}\0".encode())
        whole.update(hashlib.sha256(files.read_regular(path, _LARGEST)).digest())
    return whole.hexdigest()[:16]
