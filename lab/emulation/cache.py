# SPDX-License-Identifier: GPL-2.0-only
"""Where fetched kernels are kept, and how processes share that folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import file_lock, signs
from lab.emulation import programs
from lab.emulation.errors import KernelError

Say = Callable[[str], None]
#: Called now and then while something goes on.
Look = Callable[[], None]

VARIABLE = "KVM_CONFORMANCE_CACHE"
_NO_SPACE = "No space left on device"
_TEXTS = {"LC_ALL": "C", "LANGUAGE": "C"}  # errors are recognised by their English texts


def root() -> Path:
    """The cache's folder: $KVM_CONFORMANCE_CACHE, else the project's own under the user's cache.

    It need not exist. The place of a user's cache is the XDG Base Directory Specification's.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative XDG_CACHE_HOME is to be ignored, says the specification.
    base = Path(home) if home.startswith("/") else Path("~/.cache").expanduser()
    return base / "kvm-immediate-exit-conformance"


def make_folder(folder: Path) -> None:
    """Makes a folder of the cache, with its parents.

    Raises KernelError where it cannot be made or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KernelError(_unwritable(folder, error.strerror or str(error))) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise KernelError(_unwritable(folder, "no permission to write there"))


@contextmanager
def used() -> Iterator[None]:
    """What cannot be read or written in the cache is told as that: it is no file of the results.

    Raises KernelError for such an OSError, and lets others pass.
    """
    try:
        yield
    except OSError as error:
        if sentence := cannot_use(error):
            raise KernelError(sentence) from error
        raise


def cannot_use(error: OSError) -> str:
    """The sentence for a file of the cache; empty for any other."""
    name = Path(os.fsdecode(error.filename)).absolute() if error.filename else None
    if name is None or not name.is_relative_to(root()):
        return ""
    within = name.relative_to(root()).parts
    # debian/sources/RELEASE and the like are fetched whole, and mutants/RELEASE is made whole.
    entry = root().joinpath(*within[: 3 if within[:1] == ("debian",) else 2])
    return (
        f"the cache's file {name} cannot be used: {error.strerror}; what is missing there is "
        f"fetched or made again once {entry} is removed"
    )


def need_room(folder: Path, needed: int, what: str) -> None:
    """Raises KernelError unless the file system of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise KernelError(
            f"no room on disk for {what}: it needs {megabytes(needed)}, and {folder} has "
            f"{megabytes(free)}; make room there or set {VARIABLE} to a folder elsewhere"
        )


@contextmanager
def lock(path: Path, say: Say, waiting_for: str, shared: bool = False) -> Iterator[int]:
    """Holds the lock file `path`; waits for another holder, and says so.

    Yields the descriptor: a child process that inherits it keeps the lock when this process is
    killed, so that nobody touches what the child still writes.
    """
    make_folder(path.parent)
    try:
        descriptor = file_lock.opened(path, 0o666)
    except OSError as error:
        raise KernelError(_unwritable(path, error.strerror or str(error))) from error
    try:
        if not file_lock.taken(descriptor, shared=shared):
            waiting = f"waiting for another process that {waiting_for}"
            say(waiting)
            file_lock.wait(
                lambda: file_lock.taken(descriptor, shared=shared) or None,
                signs.Signs(say, lambda: f"still {waiting}").look,
            )
        yield descriptor
    finally:
        os.close(descriptor)


def run(
    command: Sequence[str | Path],
    *,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
    held: int | None = None,
    look: Look = lambda: None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end without a terminal, and returns its texts and exit code.

    The program is one of setup/programs.txt, or this Python; `held` is a lock to hand down, and
    `look` is called now and then. Raises KernelError where the program is missing, or met a full
    disk.
    """
    program = str(command[0])
    try:
        done = signs.run(
            [str(word) for word in command],
            look,
            cwd=folder,
            env={**os.environ, "PATH": programs.places(), **_TEXTS, **(environment or {})},
            pass_fds=() if held is None else (held,),
        )
    except FileNotFoundError as error:
        package = programs.package_of(program)
        raise KernelError(
            f"the program {program} is missing; on Debian it is in the package {package}"
        ) from error
    if done.returncode != 0 and _NO_SPACE in done.stdout + done.stderr:
        raise KernelError(
            f"the disk became full while {Path(program).name} wrote to the cache; make room, "
            f"or set {VARIABLE} to a folder elsewhere"
        )
    return done


def megabytes(size: int) -> str:
    """A size in bytes, for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _unwritable(path: Path, why: str) -> str:
    return (
        f"the cache cannot be written: {path}: {why}; make it writable, or set {VARIABLE} to a "
        "folder that is"
    )
