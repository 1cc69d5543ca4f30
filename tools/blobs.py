# SPDX-License-Identifier: GPL-2.0-only
"""Build the guest programs, and prove that the committed binaries are what their sources give."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

import guest_blobs
from guest_blobs import build

EXIT_DIFFERS = 1
EXIT_SUITE_ERROR = 70


@click.command(name="blobs")
@click.option("--write", is_flag=True, help="Replace the committed binaries and the manifest.")
def blobs(write: bool) -> None:
    """Rebuild the guest programs and compare them with the committed binaries.

    Exit codes: 0 the same, 1 something differs, 70 they cannot be built.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="guest-blobs-") as scratch:
            built = Path(scratch)
            count = len(build.build_all(built))
            if write:
                build.replace(built, guest_blobs.FOLDER)
            found = build.differences(built, guest_blobs.FOLDER)
    except (build.BlobBuildError, OSError) as error:
        click.echo(f"blobs: {error}", err=True)
        sys.exit(EXIT_SUITE_ERROR)
    if found:
        for sentence in found:
            click.echo(f"blobs: {sentence}", err=True)
        click.echo(
            "blobs: the committed guest programs are not what their sources give; "
            "to replace them: python -m tools.blobs --write",
            err=True,
        )
        sys.exit(EXIT_DIFFERS)
    click.echo(f"blobs: {count} guest programs, each the same as its source gives")


if __name__ == "__main__":
    blobs()
