# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel of Debian was made from: its headers and its sources, of exactly its version.

Fetched by apt with directories of its own, unpacked into the cache, and not installed. A kernel of
another architecture has its headers from there, and the programs of its build from this host's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.signs import Signs
from lab.emulation import arch, image, programs
from lab.emulation.apt import Apt, Package, Suite
from lab.emulation.arch import Board, EmulatedArchitecture, Foreign
from lab.emulation.cache import Look, Say, lock, make_folder, megabytes, need_room, run
from lab.emulation.debian import Archive, Wanted, parse, unpack, version_key
from lab.emulation.errors import KernelError, NotInArchiveError
from lab.emulation.kernel import Kernel
from lab.emulation.stored import lock_of, mark_used

_PROGRAMS = "linux-kbuild-"  # how the packages with the build's programs are called
_SPARE = 50_000_000  # bytes for what is taken out of the sources


def parts(of: EmulatedArchitecture) -> tuple[str, ...]:
    """The folders of a kernel's tree that make up its KVM."""
    return of.kvm, "virt/kvm", *of.beside


@dataclass(frozen=True)
class Debian:
    """The folder of a kernel's KVM sources, that of its headers, and its package's version."""

    sources: Path
    headers: Path
    version: str


def fetch(
    kernel: Kernel,
    cache: Path,
    say: Say,
    need_compiler: Callable[[str], None] = lambda _: None,
    foreign: Foreign | None = None,
) -> Debian:
    """Headers and KVM sources of a kernel, from the cache or from Debian's archive.

    `need_compiler` gets the compiler's name before the fetching, where the packages tell it;
    `foreign` is the kernel's architecture, where it is not this host's. Raises KernelError for a
    kernel that is not Debian's, and as lab.emulation.debian.fetch().
    """
    version = package_version(kernel)
    home = cache / "debian" / "sources"
    name = f"{kernel.release}_{version}"
    done = home / name
    found = Debian(done / "source", done / f"usr/src/linux-headers-{kernel.release}", version)
    if done.is_dir():
        mark_used(done)
        return found
    programs.need("sources", "archive")
    make_folder(cache)
    with lock(lock_of(done), say, f"fetches the sources of {kernel.release}") as held:
        if done.is_dir():  # another process was faster
            return found
        apt = Apt(cache, say)
        packages = _look_up(kernel, version, apt, say, foreign)
        for name in _compilers(packages[0]):
            need_compiler(name)
        part, debs = home / f"{name}.part", cache / "debian/downloads" / f"sources-{name}"
        size = sum(package.size for package in packages)
        make_folder(debs)
        room = size + sum(package.installed_size for package in packages) + _SPARE
        need_room(debs, room, f"the sources of {kernel.release}")
        say(f"fetching headers and sources of {kernel.release} ({version}), {megabytes(size)}")
        files = apt.download(list(packages), debs, held)
        say(f"unpacking headers and sources of {kernel.release}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            look = Signs(say, lambda: f"unpacking the sources of {kernel.release}").look
            unpack(files, part, held, look)
            _arrange(part, done, kernel.release, parts(arch.of(foreign)), held, look)
            part.rename(done)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(debs, ignore_errors=True)
    return found


def base_suite(
    kernel: Kernel, version: str, cache: Path, say: Say, foreign: Foreign | None = None
) -> Suite:
    """The suite that a kernel was built in, with its compiler and C library; for this host.

    Packages for backports and security fixes are built in the suite that they are for. Raises
    KernelError.
    """
    apt = Apt(cache, say)
    if kernel.source.startswith("debian:") and (
        named := parse(kernel.source, _board(foreign)).suite
    ):
        suite = Suite(Archive(apt, say).uri, named)
    else:
        suite = _look_up(kernel, version, apt, say, foreign)[0].suite
    name = re.sub(r"-(?:backports|backports-sloppy|updates|security)$", "", suite.name)
    name = re.sub(r"^experimental$", "sid", name)
    return Suite(suite.uri.removesuffix("-security"), name)


def package_version(kernel: Kernel) -> str:
    """The version of a kernel's package, such as 6.1.192-2, as the image says it of itself."""
    found = re.search(r" Debian (\S+) \(", image.read(kernel.image).banner)
    if not found:
        raise KernelError(
            f"{kernel.name} does not say that it is a kernel of Debian, so its sources cannot be "
            "fetched; build its tree and give that with --tree"
        )
    return found[1]


def _board(foreign: Foreign | None) -> Board | None:
    return foreign.board if foreign else None


def _look_up(
    kernel: Kernel, version: str, apt: Apt, say: Say, foreign: Foreign | None
) -> tuple[Package, ...]:
    wanted = Wanted(kernel.source, None, version, "generic", _board(foreign))
    if kernel.source.startswith("debian:"):
        wanted = parse(kernel.source, wanted.board)
    archive = Archive(apt, say)

    def packages(again: bool) -> list[Package]:
        found = archive.packages(wanted, again)
        if not foreign:
            return found
        # The build's programs run here: Debian has them for each architecture (Multi-Arch).
        ours = archive.packages(replace(wanted, board=None), again)
        theirs = [each for each in found if not each.name.startswith(_PROGRAMS)]
        return theirs + [each for each in ours if each.name.startswith(_PROGRAMS)]

    try:
        return _chosen(kernel.release, version, packages(again=False))
    except NotInArchiveError:  # the lists may be older than the kernel
        return _chosen(kernel.release, version, packages(again=True))


def _chosen(release: str, version: str, packages: list[Package]) -> tuple[Package, ...]:
    """The packages of headers, of the build's programs, and of the sources.

    The programs have no revision in their name, so those of a kernel's own are gone as soon as the
    next one is published, days before it is signed. Any of the same kernel's version will do.
    """

    def take(name: str) -> Package:
        named = [package for package in packages if package.name == name]
        for package in named:
            if package.version == version:
                return package
        others = [each for each in named if _upstream(each.version) == _upstream(version)]
        if others and name.startswith(_PROGRAMS):
            return max(others, key=lambda package: version_key(package.version))
        raise NotInArchiveError(
            f"{name} {version} is not in the archive, which keeps the sources of its newest kernels"
            " only; take a newer kernel, or a tree of your own by --tree"
        )

    headers = take(f"linux-headers-{release}")
    needed = [
        name
        for alternatives in headers.depends
        for name in alternatives[:1]
        if re.match(r"linux-(?:headers|kbuild)-", name)
    ]
    short = ".".join(release.split(".")[:2])
    return headers, *map(take, needed), take(f"linux-source-{short}")


def _upstream(version: str) -> str:
    """6.1.192 of the package's version 6.1.192-2."""
    return version.rpartition("-")[0]


def _compilers(headers: Package) -> set[str]:
    """The compilers that a package of headers depends on: `linux-compiler-gcc-12-...`, `gcc-12`."""
    names = (name for alternatives in headers.depends for name in alternatives[:1])
    return {found[0] for name in names if (found := re.search(r"gcc-\d+", name))}


def take_out(packed: Path, names: Sequence[str], place: Path, held: int, look: Look) -> None:
    """Unpacks what has one of these names, below the top, of a package's packed sources.

    `held` and `look` as in cache.run(). Raises KernelError.
    """
    top = packed.name.removesuffix(".tar.xz")
    words: list[str | Path] = ["tar", "-xJf", packed, "-C", place, "--strip-components=1"]
    words += [f"{top}/{name}" for name in names]
    done = run(words, held=held, look=look)
    if done.returncode != 0:
        raise KernelError(f"{packed.name} cannot be unpacked: {done.stderr.strip()[-300:]}")


def _arrange(
    part: Path, place: Path, release: str, kvm: Sequence[str], held: int, look: Look
) -> None:
    """Takes KVM out of the sources, and tells the headers where they are going to be."""
    packed = next(iter((part / "usr/src").glob("linux-source-*.tar.xz")), None)
    makefile = part / f"usr/src/linux-headers-{release}/Makefile"
    if packed is None or not makefile.is_file():
        raise KernelError(
            f"the packages of {release} hold no sources or no headers, so Debian packs them in a "
            "way that this program does not know; give a tree of your own by --tree"
        )
    (part / "source").mkdir()
    take_out(packed, kvm, part / "source", held, look)
    packed.unlink()
    # They name /usr/src, where they would be installed.
    text = makefile.read_text()
    makefile.write_text(
        re.sub(r"(?m)^(include |KBUILD_OUTPUT ?= ?)/usr/src/", rf"\1{place}/usr/src/", text)
    )
