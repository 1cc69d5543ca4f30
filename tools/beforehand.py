# SPDX-License-Identifier: GPL-2.0-only
"""What a command that tests looks at before it begins."""

from __future__ import annotations

import importlib

import click

from harness.claims import CatalogueError, catalogue, chapters
from harness.reporting.selection import Selection, SelectionError, select
from lab import set_up
from lab.launch.request import Request
from lab.pictures import can_draw


def chosen(request: Request) -> Selection:
    """What --suite and --claim choose. Raises click's exceptions."""
    try:
        return select(
            catalogue(), chapters(), wanted_claims=request.claims, wanted_suites=request.suites
        )
    except SelectionError as error:
        raise click.UsageError(str(error)) from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None


def missing_pictures() -> str:
    """Why no picture can be drawn, or an empty text."""
    if not can_draw():
        return f"matplotlib is missing, which draws the pictures. Run `{set_up.command('plot')}`."
    return ""


def missing_extension() -> str:
    """Why the native extension cannot be used, or an empty text."""
    try:
        importlib.import_module("harness.native")
    except ImportError as error:
        return f"the native extension cannot be loaded ({error}). {set_up.again()}"
    return ""
