# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of Debian's archive: found by suite or by version, fetched, unpacked, and kept."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.signs import Signs
from lab.emulation import programs
from lab.emulation.apt import MIRROR, Apt, Package, Suite, architecture, mirror
from lab.emulation.arch import Board
from lab.emulation.cache import VARIABLE as CACHE
from lab.emulation.cache import Look, Say, lock, make_folder, megabytes, need_room, run
from lab.emulation.errors import (
    ChangedError,
    EmulationError,
    KernelError,
    NotInArchiveError,
    OfflineError,
)
from lab.emulation.stored import lock_of, mark_used

DEFAULT_MIRROR = "https://deb.debian.org/debian"
# Where a version is looked for: the releases whose kernels are in the archive.
SEARCHED = (
    *("bullseye", "bookworm", "bookworm-backports"),
    *("trixie", "trixie-backports", "forky", "sid"),
)
_GENERIC = "generic"
_SPARE = 50_000_000  # bytes beside the packages and what is in them, for depmod's indexes

# A suite whose packages come out in three places: itself, its security fixes, its updates.
_ALONE = re.compile(r"sid|unstable|experimental|.*-(?:backports|backports-sloppy|updates|security)")


@dataclass(frozen=True)
class Wanted:
    """What `debian:SUITE[/FLAVOUR]` or `debian:VERSION[/FLAVOUR]` asks for.

    `board` is of another architecture than this host's.
    """

    spec: str
    suite: str | None
    version: str | None
    flavour: str
    board: Board | None = None

    @property
    def kernels(self) -> str:
        """What the names of kernels of its architecture end with, but for a size of pages."""
        return self.board.kernels if self.board else architecture()


def parse(spec: str, board: Board | None = None) -> Wanted:
    """Reads `debian:...`. Raises KernelError for what is neither a suite nor a version."""
    found = re.fullmatch(
        r"debian:(?:(\d[A-Za-z0-9.+~-]*)|([a-z][a-z0-9-]*))(?:/([a-z0-9]+))?", spec
    )
    if not found:
        raise KernelError(
            f"{spec}: after debian: comes a suite (trixie, sid), or a version (6.12), and then "
            "perhaps a flavour (/rt, /cloud)"
        )
    version, suite, flavour = found.groups()
    if flavour is None or flavour == (board.kernels if board else architecture()):
        # A release such as 6.1.0-44-rt-amd64 names its flavour by itself.
        own = _flavour(version, board.kernels if board else architecture()) if version else ""
        flavour = own or _GENERIC
    return Wanted(spec, suite, version, flavour, board)


def fetch(spec: str, cache: Path, say: Say, board: Board | None = None) -> Path:
    """The folder of a kernel of Debian's archive: boot/vmlinuz-RELEASE, lib/modules/RELEASE.

    Of another architecture than this host's with `board`; its modules then have no index.
    The folder is in the cache, and complete: what was interrupted is not there. Raises KernelError
    for a suite or version that is not in the archive, no network, a signature that does not check,
    and a disk that is full.
    """
    wanted = parse(spec, board)
    try:
        programs.need("archive")
    except EmulationError as error:
        raise EmulationError(
            f"{spec} is fetched from Debian's archive: {error}; or give the path of a vmlinuz or "
            "of a build tree instead"
        ) from None
    make_folder(cache)
    apt = Apt(cache, say)
    try:
        return _fetch(wanted, Archive(apt, say), apt, cache / "debian", say)
    except OSError as error:
        raise KernelError(
            f"the cache {cache} cannot be written: {error.strerror or error}; make room or make "
            f"it writable, or set {CACHE} to a folder elsewhere"
        ) from error


def _fetch(wanted: Wanted, archive: Archive, apt: Apt, home: Path, say: Say) -> Path:
    try:
        return _provide(archive.look_up(wanted)[0], apt, home, say, wanted.board)
    except NotInArchiveError:
        pass  # the lists may be older than the kernel, or than its removal
    fitting = archive.look_up(wanted, again=True)
    for found in fitting[:-1]:
        try:
            return _provide(found, apt, home, say, wanted.board)
        except NotInArchiveError as error:
            # A mirror that is not complete: its lists are right, and a file is missing.
            say(f"{error}, so {found.release} is not to be had; taking the next older kernel")
    return _provide(fitting[-1], apt, home, say, wanted.board)


@dataclass(frozen=True)
class Found:
    """A kernel in the archive: its release, its package's version, and what to unpack."""

    release: str
    version: str
    packages: tuple[Package, ...]


class Archive:
    """What Debian's archive has in kernels."""

    def __init__(self, apt: Apt, say: Say) -> None:
        self._apt = apt
        self._say = say

    @cached_property
    def uri(self) -> str:
        """The mirror: $KVM_CONFORMANCE_DEBIAN_MIRROR, the machine's own, or Debian's."""
        named = os.environ.get(MIRROR, "").rstrip("/")
        return named or mirror() or DEFAULT_MIRROR

    def look_up(self, wanted: Wanted, again: bool = False) -> list[Found]:
        """The kernels that fit, the newest first and at least one.

        `again` fetches the lists of the archive in any case. Raises NotInArchiveError where no
        kernel fits.
        """
        packages = self.packages(wanted, again)
        newest_first = functools.partial(
            sorted, key=lambda package: version_key(package.version), reverse=True
        )
        images = newest_first(
            package
            for package in packages
            if re.match(r"linux-image-\d", package.name)
            and _flavour(_release(package), wanted.kernels) == wanted.flavour
        )
        if wanted.suite:
            meta = f"linux-image-{_ending(wanted.flavour, wanted.kernels)}"
            fitting = newest_first(package for package in packages if package.name == meta)
            # What the suite still has of earlier kernels, should the mirror have lost this one.
            fitting += images if fitting else []
        else:
            fitting = [package for package in images if _matches(package, wanted.version or "")]
        if not fitting:
            raise NotInArchiveError(self._what_there_is(wanted, packages))
        # A release stands twice where the metapackage 6.1 fits beside the image 6.1.0-44.
        found = {each.packages: each for each in (_complete(one, packages) for one in fitting)}
        return list(found.values())

    def packages(self, wanted: Wanted, again: bool = False) -> list[Package]:
        """Every package of the suites in which `wanted` is looked for. Raises KernelError."""
        found: list[Package] = []
        answered = False
        last: KernelError | None = None
        unknown: dict[str, list[str]] = {}  # suites by the reason why nothing is known of them
        for suite in self._suites(wanted):
            try:
                found += self._apt.packages(suite, again)
                answered = True
            except NotInArchiveError as error:
                if suite.name == wanted.suite:
                    raise NotInArchiveError(
                        f"{wanted.spec}: {error}; releases that are no longer kept up move to "
                        f"archive.debian.org: set {MIRROR} for one of those"
                    ) from error
                last = last or error  # not every mirror carries every suite
            except (OfflineError, ChangedError) as error:
                if suite.name == wanted.suite:
                    raise
                last = error
                unknown.setdefault(str(error), []).append(suite.name)
        if last and not answered:
            raise last
        for reason, names in unknown.items():
            self._say(f"left out: {', '.join(names)} ({reason})")
        return found

    def _suites(self, wanted: Wanted) -> Iterator[Suite]:
        of = wanted.board.debian if wanted.board else ""
        for name in [wanted.suite] if wanted.suite else SEARCHED:
            yield Suite(self.uri, name, of)
            if not _ALONE.fullmatch(name):
                yield Suite(self.uri, f"{name}-updates", of)
                yield Suite(f"{self.uri}-security", f"{name}-security", of)

    def _what_there_is(self, wanted: Wanted, packages: list[Package]) -> str:
        if wanted.suite:
            of = wanted.kernels
            meta = re.compile(rf"linux-image-(?:([a-z]+)-)?{of}(?:-(\d+k))?")
            names = (meta.fullmatch(package.name) for package in packages)
            flavours = {found[1] or found[2] or _GENERIC for found in names if found}
            return (
                f"{wanted.spec}: {wanted.suite} has no kernel of the flavour {wanted.flavour} for "
                f"{of}; it has {', '.join(sorted(flavours)) or 'none at all'}"
            )
        versions = sorted(
            {package.version for package in packages if re.match(r"linux-image-\d", package.name)},
            key=version_key,
        )
        near = _nearest(versions, wanted.version or "")
        return (
            f"{wanted.spec}: no kernel of this version ({wanted.flavour}) is in the archive; the "
            f"nearest are {', '.join(near) or 'none'}"
        )


def _provide(found: Found, apt: Apt, home: Path, say: Say, board: Board | None) -> Path:
    """The folder of a kernel, which is made now unless an earlier call did."""
    name = f"{found.release}_{found.version}"
    done = home / "kernels" / name
    if done.is_dir():
        mark_used(done)
        return done
    with lock(lock_of(done), say, f"fetches {found.release}") as held:
        if done.is_dir():  # another process was faster
            return done
        debs, part = home / "downloads" / name, home / "kernels" / f"{name}.part"
        size = sum(package.size for package in found.packages)
        room = size + sum(package.installed_size for package in found.packages) + _SPARE
        make_folder(debs)
        need_room(debs, room, f"the kernel {found.release}")
        say(f"fetching {found.release} ({found.version}), {megabytes(size)}")
        files = apt.download(list(found.packages), debs, held)
        say(f"unpacking {found.release}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            look = Signs(say, lambda: f"unpacking {found.release}").look
            unpack(files, part, held, look)
            _arrange(part, found.release, board.image_file if board else "vmlinuz")
            if board is None:  # virtme-ng asks modprobe
                _index(part, found.release, held, look)
            part.rename(done)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(debs, ignore_errors=True)
    return done


def unpack(files: list[Path], folder: Path, held: int, look: Look) -> None:
    """Unpacks packages into a folder, with `held` and `look` of cache.run(). Raises KernelError."""
    make_folder(folder)
    for file in files:
        done = run(["dpkg-deb", "-x", file, folder], held=held, look=look)
        if done.returncode != 0:
            raise KernelError(f"{file.name} cannot be unpacked: {done.stderr.strip()}")


def _arrange(folder: Path, release: str, image_file: str) -> None:
    """Makes a folder of unpacked packages one kernel: image and modules."""
    if not (folder / "lib").exists():
        (folder / "lib").symlink_to("usr/lib")
    modules = folder / "lib/modules" / release
    image = folder / "boot" / f"{image_file}-{release}"
    # From 7.3 on the image stands with the modules, and so does its configuration.
    for beside, name in ((image, "vmlinuz"), (folder / "boot" / f"config-{release}", "config")):
        if not beside.exists() and (modules / name).is_file():
            beside.parent.mkdir(exist_ok=True)
            beside.hardlink_to(modules / name)
    if not image.is_file() or not modules.is_dir():
        raise KernelError(
            f"the packages of {release} hold no image or no modules, so Debian packs its kernels "
            "in a way that this program does not know; give the path of a vmlinuz instead"
        )


def _index(folder: Path, release: str, held: int, look: Look) -> None:
    done = run(["depmod", "-b", folder, release], held=held, look=look)
    if done.returncode != 0:
        raise KernelError(f"depmod failed for {release}: {done.stderr.strip()[-300:]}")


def _complete(image: Package, packages: list[Package]) -> Found:
    """A kernel with all packages that hold a part of it; `image` may be a metapackage."""

    def resolve(alternatives: tuple[str, ...], version: str) -> Package | None:
        fitting = [package for package in packages if package.name in alternatives]
        fitting.sort(
            key=lambda package: (
                package.version == version,
                version_key(package.version),
                -alternatives.index(package.name),
            )
        )
        return fitting[-1] if fitting else None

    while True:
        next_images = [a for a in image.depends if any(n.startswith("linux-image-") for n in a)]
        following = resolve(next_images[0], image.version) if next_images else None
        if following is None:
            break
        image = following
    release = _release(image)
    part = re.compile(rf"linux-(?:binary|modules|base)(?:-unsigned)?-{re.escape(release)}")
    chosen, todo = {image.name: image}, [image]
    while todo:
        package = todo.pop()
        for alternatives in package.depends:
            if any(part.fullmatch(name) for name in alternatives):
                needed = resolve(alternatives, package.version)
                if needed is None:
                    raise NotInArchiveError(
                        f"{package.name} needs {alternatives[0]}, which the archive does not have "
                        "now; it may be changing: try again in an hour"
                    )
                if needed.name not in chosen:
                    chosen[needed.name] = needed
                    todo.append(needed)
    return Found(release, image.version, tuple(chosen.values()))


def _release(package: Package) -> str:
    return package.name.removeprefix("linux-image-")


def _flavour(release: str, kernels: str) -> str:
    """Of a kernel of this architecture; empty for one of another."""
    found = re.search(rf"(?:-([a-z]\w*))?-{kernels}(?:-(\d+k))?$", release)
    return (found[1] or found[2] or _GENERIC) if found else ""


def _ending(flavour: str, kernels: str) -> str:
    """What a kernel's name ends with: a size of pages comes last, other flavours first."""
    if flavour == _GENERIC:
        return kernels
    return f"{kernels}-{flavour}" if re.fullmatch(r"\d+k", flavour) else f"{flavour}-{kernels}"


def _matches(package: Package, version: str) -> bool:
    """Whether a package's version or its kernel's release is `version` or begins with it."""
    return any(
        re.match(rf"{re.escape(version)}(?![A-Za-z0-9])", text)
        for text in (package.version, _release(package))
    )


def _nearest(versions: list[str], wanted: str) -> list[str]:
    """Up to two versions below and two above, of a sorted list."""
    below = [version for version in versions if version_key(version) < version_key(wanted)]
    above = versions[len(below) :]
    return [*below[-2:], *above[:2]]


def version_key(version: str) -> tuple[object, ...]:
    """A key that sorts versions as Debian does (deb-version(7)), epochs apart."""

    def order(letter: str) -> int:
        return -1 if letter == "~" else ord(letter) + (0 if letter.isalpha() else 256)

    upstream, _, revision = version.rpartition("-") if "-" in version else (version, "", "")
    return tuple(
        tuple(
            (*(order(letter) for letter in text), 0) if index % 2 == 0 else int(text or 0)
            for index, text in enumerate(re.split(r"(\d+)", part))
        )
        for part in (upstream, revision)
    )
