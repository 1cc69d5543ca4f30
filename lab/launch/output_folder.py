# SPDX-License-Identifier: GPL-2.0-only
"""The folder that a run's results go to: new or emptied, and held until it has ended."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness import files
from lab.launch import finish, folder_lock


class ResultsError(Exception):
    """The results cannot be written; the text is a sentence that says where, and what to do."""


@contextlib.contextmanager
def held(wanted: Path | None, release: str = "") -> Iterator[Path]:
    """The folder, held for the block, and emptied of an earlier run's files.

    ``release`` is the kernel's.

    :raises ResultsError: another run writes there, it cannot be made, or the block raised OSError.
    """
    try:
        with _held(wanted, release) as folder:
            yield folder
    except OSError as error:
        raise ResultsError(not_writable(error, wanted)) from error
    except folder_lock.HeldError as holder:
        text = f"{holder} writes its results to {wanted}: wait for it, or choose another --output."
        raise ResultsError(text) from holder


@contextlib.contextmanager
def _held(wanted: Path | None, release: str) -> Iterator[Path]:
    if wanted is None:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
        folder = _new_folder(Path("results") / f"{stamp}-{release or os.uname().release}")
        _point_latest_to(folder)
    else:
        folder = wanted
        folder.mkdir(parents=True, exist_ok=True)
    with folder_lock.held(folder):
        for name in finish.FILES:
            (folder / name).unlink(missing_ok=True)
        probe = folder / finish.JOURNAL
        os.close(files.create(probe))
        probe.unlink()
        yield folder.resolve()


def not_writable(error: OSError, wanted: Path | None) -> str:
    """The sentence for results that cannot be written."""
    name = error.filename or wanted or "results"
    return f"the results cannot be written to {name}: {error.strerror}. Choose another --output."


def nearest(path: Path) -> str:
    """A folder's path for people."""
    try:
        return f"{path.relative_to(Path.cwd())}/"
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return f"{path}/"


def _new_folder(wanted: Path) -> Path:
    # Apart, for what stands in the place of its parents is no reason to try another name.
    wanted.parent.mkdir(parents=True, exist_ok=True)
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")


def _point_latest_to(folder: Path) -> None:
    latest = folder.parent / "latest"
    fresh = folder.parent / f".latest-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    if latest.is_dir() and not latest.is_symlink():
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.unlink(missing_ok=True)
        return  # somebody's own folder of that name
    fresh.replace(latest)
