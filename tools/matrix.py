# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance matrix``: the suites in emulated hosts, on a list of kernels."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from harness import files
from harness.claims import CatalogueError, catalogue, chapters
from harness.reporting import markers
from harness.reporting.selection import SelectionError, select
from lab.campaign import side_by_side, state
from lab.comparison import expected as expectations
from lab.comparison.baseline import Baseline
from lab.comparison.expected import Expectation
from lab.emulation import cache as caches
from lab.emulation import conformance
from lab.emulation.errors import KernelError
from lab.emulation.machine import Limits, Machine
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.launch.stopping import Stop
from lab.matrix import found as matrix_found
from lab.matrix import kernel_list, result
from lab.matrix import runs as matrix_runs
from lab.results import junit
from lab.results.exports import Exports, hand_on
from lab.results.found import FoundSuite
from tools import options, run_child
from tools.beforehand import missing_extension
from tools.resuming import Remembering, held, resumable, typed
from tools.screen import matrix_table as tables
from tools.screen.progress import CampaignProgress
from tools.screen.terminal import TERMINAL

OUTPUT = Path("results/matrix")
JUNIT, MARKDOWN = "junit.xml", "matrix.md"


@click.command(
    cls=Remembering,
    epilog="Exit codes: that of the worst kernel, 1 a claim failed, 71 a machine was lost, 70 a"
    " kernel came to no verdict or could not be had, 4 nothing could be tested, 0 all held; 64"
    " wrong usage, 73 the results cannot be written, 130 and 143 interrupted.",
)
@click.option(
    "--kernels",
    "listed",
    type=options.Place(),
    default=kernel_list.DEFAULT,
    metavar="FILE",
    help="The list, as TOML; default is lab/matrix/kernels.toml, which tells the form.",
)
@options.suites
@options.claims
@resumable(OUTPUT)
@options.exports
@options.expected
@options.jobs("Workers inside.")
@options.kicks(conformance.BUDGET)
@options.variant(conformance.VARIANTS)
@options.limit("--time-limit", Limits.total_s, "A machine is ended then.")
@options.limit("--boot-limit", Limits.boot_s, "A machine is given up if it is not up by then.")
def matrix(
    listed: Path,
    suites: tuple[str, ...],
    claims: tuple[str, ...],
    output: Path,
    fresh: bool,
    parallel: int | None,
    exports: Exports,
    baseline: Baseline | None,
    strict_skips: bool,
    jobs: str,
    budget: str,
    chosen_variants: str,
    time_limit: float,
    boot_limit: float,
) -> int:
    """Run the suites in emulated hosts, on each kernel of a list.

    The same command goes on where it was interrupted.
    """
    expected = options.expectation(baseline, strict_skips)
    try:
        entries = kernel_list.read(listed)
        select(catalogue(), chapters(), wanted_claims=claims, wanted_suites=suites)
    except (kernel_list.ListError, SelectionError) as error:
        raise click.UsageError(f"{error}".rstrip(".") + ".") from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None
    if message := missing_extension():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    asked = [
        *(f"--suite={name}" for name in suites),
        *(f"--claim={name}" for name in claims),
        *(f"--jobs={jobs}", f"--budget={budget}", f"--variants={chosen_variants}"),
        *(f"--time-limit={time_limit:g}", f"--boot-limit={boot_limit:g}"),
    ]
    try:
        if not all(entry.arch for entry in entries):
            Machine().check_programs()
        with caches.used(), held(output, "matrix") as folder:
            return _launch(
                entries,
                folder,
                asked,
                fresh=fresh,
                parallel=parallel,
                exports=exports,
                expected=expected,
            )
    except KernelError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        text = f"the results cannot be written to {error.filename or output}: {error.strerror}"
        return TERMINAL.refuse(f"{text}. Choose another --output.", Exit.CANNOT_WRITE)


def _launch(
    entries: Sequence[kernel_list.ListedKernel],
    folder: Path,
    asked: Sequence[str],
    *,
    fresh: bool,
    parallel: int | None,
    exports: Exports,
    expected: Expectation | None,
) -> int:
    runs = [
        matrix_runs.KernelTask(
            folder / entry.label,
            asked={**dataclasses.asdict(entry), "name": "", "options": list(asked)},
            entry=entry,
            options=asked,
        )
        for entry in entries
    ]
    largest = max(entry.megabytes for entry in entries)
    parallel = parallel or side_by_side.most_at_once(largest)
    click.echo(f"Matrix: {len(runs)} kernels, at most {parallel} at once, tier {Machine().tier}")
    click.echo(f"Results go to {nearest(folder)}")
    with Stop().taken() as stop:
        with CampaignProgress(runs) as progress:
            side_by_side.run_all(
                runs,
                program=run_child.PROGRAM,
                parallel=parallel,
                fresh=fresh,
                stop=stop,
                show=progress.show,
            )
        # Signals are still held off: the results are written whole.
        found = result.of_runs(runs, catalogue(), chapters(), markers.host_architecture())
        code = stop.code or found.code
        suites = matrix_found.suites(found, catalogue())
        changes, less = expectations.held(expected, suites), ""
        if expected is not None:
            code, less = expectations.left(expected, changes, code)
        suites = expectations.noted(expected, suites, changes)
        _write(found, folder, asked, code, suites)
    click.echo()
    click.echo(tables.terminal(found, shutil.get_terminal_size((tables.WIDEST, 24)).columns))
    if stop.first is not None:
        click.echo(
            f"Stopped by {stop.first.name}; what is there is kept. The same command goes on: "
            f"{typed('matrix')}",
            err=True,
        )
    if expected is not None:
        expectations.tell(expected, changes, TERMINAL)
    if less:
        click.echo(less, err=True)
    return hand_on(exports, suites, code, TERMINAL)


def _write(
    found: result.Matrix,
    folder: Path,
    asked: Sequence[str],
    code: int,
    suites: Sequence[FoundSuite],
) -> None:
    """The merged files. Raises OSError."""
    known = result.as_json(found, state.suites_version(), asked, code)
    files.replace(folder / matrix_found.MATRIX, json.dumps(known, indent=2) + "\n")
    files.replace(folder / MARKDOWN, tables.markdown(found))
    files.replace(folder / JUNIT, junit.render(suites))
