# SPDX-License-Identifier: GPL-2.0-only
"""A root of its own: programs of another release of Debian, which need that release's libraries.

Packages with all that they depend on are unpacked into a folder of the cache; nothing is installed,
and none of their scripts runs. A command in it (confine.py) sees this folder at /, read-only, and
of this host a few paths.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import files
from harness.signs import Signs
from lab.emulation import cache as caches
from lab.emulation import confine, programs, reach
from lab.emulation.apt import Apt, Package, Suite
from lab.emulation.cache import Say
from lab.emulation.debian import unpack
from lab.emulation.errors import KernelError
from lab.emulation.stored import lock_of, mark_used

# Another number once a root is made otherwise from the same packages.
_RECIPE = "1"
# Links into /usr, once it is merged; older packages bring folders.
_MERGED = ("bin", "sbin", "lib", "lib64")
# What packages leave to their scripts and to update-alternatives.
_LINKS = {"usr/bin/awk": "mawk", "usr/bin/sh": "dash"}
# Where a kernel says that users may make no namespaces, and the value that says so.
_REFUSING = {
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
    "user.max_user_namespaces": "0",
}
_SYSCTL = Path("/proc/sys")
_SPARE = 20_000_000  # bytes beside the packages and what is in them


def refused() -> str:
    """Why no command can run in such a root here, with what to do; mostly empty."""
    return _refusal(reach.refused()) if reach.refused() else ""


def stored(user: str, names: Sequence[str], cache: Path) -> Path | None:
    """The root that `provide` has given this user for these packages, where it is still there."""
    home = cache / "debian" / "roots"
    note = _note(user, names, home)
    if note.is_file() and (done := home / note.read_text().strip()).is_dir():
        mark_used(done)
        return done
    return None


def _note(user: str, names: Sequence[str], home: Path) -> Path:
    asked = hashlib.sha256(" ".join((_RECIPE, *sorted(names))).encode()).hexdigest()[:8]
    return home / f"{user}_{asked}.root"


def provide(
    user: str, names: Sequence[str], suite: Callable[[], Suite], cache: Path, say: Say
) -> Path:
    """The root with these packages for `user`, from the cache or made now.

    A suite may change each day; a user keeps the root that it had first, as long as that is in the
    cache. Users of the same packages share one. `suite` is asked where the root must be made.
    Raises KernelError as lab.emulation.debian.fetch().
    """
    home = cache / "debian" / "roots"
    if done := stored(user, names, cache):
        return done
    note = _note(user, names, home)
    programs.need("archive")
    caches.make_folder(home)
    apt, of = Apt(cache, say), suite()
    done = _made(of, apt.with_dependencies(of, names), apt, home, say)
    files.replace(note, done.name)
    return done


def run(
    root: Path,
    paths: Sequence[Path],
    command: Sequence[str],
    *,
    environment: dict[str, str] | None = None,
    held: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program of the root, which sees these paths of this host, as cache.run() does.

    Raises KernelError where this host refuses that.
    """
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-root-") as empty:
        words: list[str | Path] = [sys.executable, confine.__file__, "--root", root, empty, *paths]
        words += ["--", *command]
        done = caches.run(words, environment=environment, held=held)
    if done.returncode == confine.CANNOT:
        raise KernelError(_refusal(done.stderr.strip().removeprefix("confine: ")))
    return done


def _made(suite: Suite, packages: list[Package], apt: Apt, home: Path, say: Say) -> Path:
    """The folder with these packages; made now unless an earlier call did."""
    chosen = sorted(f"{package.name}={package.version}" for package in packages)
    words = (_RECIPE, suite.uri, *filter(None, (suite.architecture,)), *chosen)
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    done = home / f"{suite.name}-{digest}"
    with caches.lock(lock_of(done), say, f"makes a root of {suite.name}") as held:
        if done.is_dir():
            mark_used(done)
            return done
        what = f"a root of {suite.name} with {len(packages)} packages"
        part, debs = home / f"{done.name}.part", home.parent / "downloads" / f"root-{done.name}"
        size = sum(package.size for package in packages)
        caches.make_folder(debs)
        room = size + sum(package.installed_size for package in packages) + _SPARE
        caches.need_room(debs, room, what)
        say(f"fetching {what}, {caches.megabytes(size)}")
        debs_there = apt.download(packages, debs, held)
        say(f"unpacking {what}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            unpack(debs_there, part, held, Signs(say, lambda: f"unpacking {what}").look)
            _arrange(part)
            part.rename(done)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(debs, ignore_errors=True)
    return done


def _arrange(root: Path) -> None:
    """Does for unpacked packages what their scripts would."""
    for name in _MERGED:
        place, target = root / name, root / "usr" / name
        target.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            _move_into(place, target)
        if not place.is_symlink():
            place.symlink_to(f"usr/{name}")
    for link, program in _LINKS.items():
        place = root / link
        if not place.is_symlink() and place.with_name(program).exists():
            place.symlink_to(program)


def _move_into(folder: Path, target: Path) -> None:
    for each in list(folder.iterdir()):
        place = target / each.name
        if each.is_dir() and not each.is_symlink() and place.is_dir():
            _move_into(each, place)
        else:
            each.rename(place)
    folder.rmdir()


def _refusal(why: str) -> str:
    """A sentence of `why` and of what to do."""
    guilty = [name for name, value in _REFUSING.items() if _setting(name) == value]
    way = f" (sysctl {', '.join(guilty)})" if guilty else ""
    return (
        f"programs of another release cannot run here in a root of their own: {why}; allow this "
        f"user mount and user namespaces{way}, or be root"
    )


def _setting(name: str) -> str:
    try:
        return _SYSCTL.joinpath(*name.split(".")).read_text().strip()
    except OSError:
        return ""
