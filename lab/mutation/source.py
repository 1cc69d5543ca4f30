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
from harness.claims import MACHINES
from harness.claims.known_issues import KnownIssue, of_version
from harness.shapes import from_json
from lab.emulation import arch, debian_source, image, kernel, options, private_root, programs
from lab.emulation import cache as caches
from lab.emulation.arch import EmulatedArchitecture, Foreign
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError
from lab.mutation.errors import MutationError

# What a kernel's build runs beside its compiler, by Debian's packages.
_BUILDING = (
    *("make", "dash", "coreutils", "sed", "grep", "mawk", "findutils", "diffutils", "binutils"),
    "libelf1",
)
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
    root      the folder with the compiler and what it takes, `` for this host's own
    arch      another architecture than this host's, as `emulate --arch` takes it
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
    root: str = ""
    arch: str = ""

    @property
    def foreign(self) -> Foreign | None:
        """Its architecture, where that is another than this host's. Raises `EmulationError`."""
        return arch.named(self.arch) if self.arch else None

    @property
    def architecture(self) -> EmulatedArchitecture:
        """Its architecture, whichever that is. Raises `EmulationError`."""
        return arch.of(self.foreign)

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders of the tree that a mutant may change. Raises `EmulationError`."""
        return debian_source.parts(self.architecture)

    @property
    def bugs(self) -> tuple[KnownIssue, ...]:
        """Those that it was released with and the suites find. Raises `EmulationError`."""
        machine = self.architecture.machine
        own = ("", MACHINES.get(machine, machine))
        return tuple(each for each in of_version(self.version) if each.architecture in own)

    def write(self, path: Path) -> None:
        """Writes it, for another process. Raises OSError."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Source:
        """Reads what `write` wrote. Raises OSError, ShapeError."""
        return from_json(path.read_bytes(), Source)


def of_debian(spec: str, say: Say, foreign: Foreign | None = None) -> Source:
    """The sources of one of Debian's kernels, fetched where they must be.

    `spec` is a kernel as `emulate --kernel` takes it. Raises KernelError.
    """
    _need_modules(arch.of(foreign))
    found = kernel.find(spec, say=say, foreign=foreign)
    if found.modules is None:
        raise MutationError(f"{spec} is a tree: give it with --tree")
    release = found.release
    made = debian_source.fetch(
        found,
        caches.root(),
        say,
        lambda name: _may_lack(_lacks(_prefix(foreign) + name), release),
        foreign,
    )
    compiler = _prefix(foreign) + _compiler_of_headers(made.headers)
    named = label(release, made.version)
    root = ""
    if lacks := _lacks(compiler) or _kbuild_lacks(made.headers):
        _may_lack(lacks, release)
        root = str(
            private_root.provide(
                named,
                (_package_of(compiler), *_BUILDING),
                lambda: debian_source.base_suite(found, made.version, caches.root(), say, foreign),
                caches.root(),
                say,
            )
        )
    return Source(
        boot=str(found.image),
        release=found.release,
        name=found.name,
        version=_short(found.release),
        tree=str(made.sources),
        build=str(made.headers),
        compiler=compiler,
        label=named,
        digest=f"{found.release}_{made.version}",
        root=root,
        arch=foreign.name if foreign else "",
    )


def label(release: str, version: str) -> str:
    """A kernel's release with its package's version, in letters of machine.SHARE."""
    return f"{release}_{version}".replace("~", "-")


def of_tree(tree: Path, spec: str | None, say: Say, foreign: Foreign | None = None) -> Source:
    """The sources of a tree in which the user built a kernel with KVM as modules.

    `spec` is the kernel to boot if that is not the tree's own image. Raises KernelError for a tree
    that is not built, whose KVM is no module or lacks what QEMU needs, or that is of another
    version than the kernel to boot.
    """
    tree = tree.expanduser().absolute()
    if not tree.is_dir():
        raise MutationError(f"there is no folder {tree}; --tree is a kernel's tree that was built")
    of = arch.of(foreign)
    _need_modules(of)
    lacking = [part for part in debian_source.parts(of) if not (tree / part).is_dir()]
    if lacking:
        raise MutationError(
            f"{tree} is no kernel's tree: it has no {lacking[0]}; a folder for build products alone"
            " (make O=) does not do"
        )
    if not (tree / ".config").is_file():
        raise MutationError(f"{tree} is not configured (it has no .config); run make there")
    _need_modular_kvm(tree, of)
    booted = kernel.find(spec or str(tree), say=say, foreign=foreign)
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
        digest=_read_digest(tree, booted.image, of),
        arch=foreign.name if foreign else "",
    )
    programs.need("mutation")
    if lacks := _lacks(source.compiler):
        raise MutationError(
            f"{lacks}, and the mutants of {release} are built with it; or build a kernel here and "
            "give its tree by --tree"
        )
    return source


def _need_modules(of: EmulatedArchitecture) -> None:
    """Raises `MutationError` for an architecture whose KVM is never a module."""
    if not of.modules:
        raise MutationError(
            f"KVM is always part of the kernel on {of.name}, and a mutant is loaded as a module; "
            "choose another --arch"
        )


def _need_modular_kvm(tree: Path, of: EmulatedArchitecture) -> None:
    """Raises `MutationError` unless the tree's KVM, with what QEMU needs, is made of modules."""
    config = options.read(tree / ".config")
    for name, what in of.options.items():
        state = config.get(name, "n")
        if state != "m":
            how = "is built into the kernel" if state == "y" else "is not built"
            raise MutationError(
                f"{what} {how} in {tree} (CONFIG_{name}={state}), and a mutant is loaded as a "
                f"module: configure it with CONFIG_{name}=m, and run make"
            )


def _lacks(compiler: str) -> str:
    """That a compiler is missing here, and how to get it; mostly empty."""
    if shutil.which(compiler, path=programs.places()) is not None:
        return ""
    if any(each.name == compiler for each in programs.listed() if "compiler" in each.uses):
        return f"{compiler} is missing ({programs.way_out('compiler', [compiler])})"
    return f"{compiler} is missing (install Debian's package {_package_of(compiler)})"


def _prefix(foreign: Foreign | None) -> str:
    """What the names of an architecture's compilers begin with on a host of another."""
    return f"{foreign.board.triple}-" if foreign else ""


def _package_of(compiler: str) -> str:
    """Debian's package with a compiler: gcc-14-TRIPLE has TRIPLE-gcc-14."""
    triple, between, own = compiler.rpartition("-gcc-")
    return f"gcc-{own}-{triple}" if between else compiler


def _kbuild_lacks(headers: Path) -> str:
    """What the programs of a kernel's build miss of this host's libraries; mostly empty.

    They were compiled where the kernel was, and may stand behind others (modpost.real-...).
    """
    scripts = headers / "scripts"
    for program in (scripts / "basic/fixdep", *sorted((scripts / "mod").glob("modpost*"))):
        told = caches.run(["ldd", program])
        if found := re.search(r"\S+ (?:=> )?not found", told.stdout + told.stderr):
            return f"{program.name} does not run here: {found[0]}"
    return ""


def _may_lack(lacks: str, release: str) -> None:
    """Raises `MutationError` where a root of its own is needed, and cannot be had."""
    if lacks and (why := private_root.refused()):
        raise MutationError(f"the mutants of {release} cannot be built: {lacks}; {why}")


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


def _read_digest(tree: Path, booted: Path, of: EmulatedArchitecture) -> str:
    """The same as `_digest`. Raises `MutationError` where a file cannot be read."""
    try:
        return _digest(tree, booted, of)
    except OSError as error:
        raise MutationError(f"{error.filename or tree} cannot be read: {error.strerror}") from error


def _digest(tree: Path, booted: Path, of: EmulatedArchitecture) -> str:
    """Of the sources and KVM's headers, of what is linked against, and of the kernel that loads it.

    Any other header may change what both agree about; the kernel is another one then.
    """
    whole = hashlib.sha256(hashlib.sha256(files.read_regular(booted, _LARGEST)).digest())
    paths = [tree / ".config", tree / "Module.symvers"]
    for part in debian_source.parts(of):
        paths += sorted((tree / part).rglob("*.[chS]"))
        paths += sorted((tree / part).rglob("Makefile*"))
    for pattern in _HEADERS:
        paths += sorted(tree.glob(pattern))
    for path in paths:
        whole.update(f"{path.relative_to(tree)}\0".encode())
        whole.update(hashlib.sha256(files.read_regular(path, _LARGEST)).digest())
    return whole.hexdigest()[:16]
