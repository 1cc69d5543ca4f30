# SPDX-License-Identifier: GPL-2.0-only
"""The results that a command is given to read."""

from __future__ import annotations

from pathlib import Path

import click

from harness.claims import CatalogueError, catalogue
from lab.results import folder
from lab.results.found import FoundSuite


def read(*places: Path) -> list[FoundSuite]:
    """Those of all places (`folder.read_all`). Raises click's exceptions, of code 70."""
    try:
        return folder.read_all(places, catalogue())
    except folder.NoResultsError as error:
        raise click.ClickException(f"{error}.") from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None
