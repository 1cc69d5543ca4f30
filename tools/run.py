# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance run``: the suites on this host, a folder of results, and an exit code."""

from __future__ import annotations

import importlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.reporting import variants
from lab.comparison.baseline import Baseline
from lab.launch import finish
from lab.launch import request as requests
from lab.launch.exit_codes import Exit
from lab.launch.request import DEFAULT_BUDGET, ROOT, Request
from lab.launch.run import launch
from lab.results.exports import Exports
from tools import ending, options
from tools.beforehand import chosen, missing_extension
from tools.options import EXTRA, WithPytestArguments
from tools.screen.terminal import TERMINAL

if TYPE_CHECKING:
    from harness.host.obstacles import Obstacle  # which loads the native extension


@click.command(
    cls=WithPytestArguments,
    options_metavar="[OPTIONS] [-- PYTEST OPTIONS]",
    epilog="Exit codes: 0 all held, 1 a claim failed, 4 nothing could be tested, 64 wrong usage,"
    " 70 the suite itself broke, 71 an emulated host was lost,"
    " 73 the results cannot be written, 130 and 143 interrupted.",
)
@options.suites
@options.claims
@options.output("<time>-<kernel>")
@options.exports
@options.dialect
@options.expected
@options.jobs("Workers; 0 is one process.")
@options.require_kvm
@options.kicks(DEFAULT_BUDGET)
@options.variant(variants.ALL)
@click.option("--list", "listing", is_flag=True, help="Only print what would run.")
@click.option(
    "--else-emulate",
    is_flag=True,
    help="Where this host has no usable KVM, run `emulate` with the same options instead.",
)
@click.pass_context
def run(
    ctx: click.Context,
    suites: tuple[str, ...],
    claims: tuple[str, ...],
    output: Path | None,
    exports: Exports,
    baseline: Baseline | None,
    strict_skips: bool,
    jobs: str,
    require_kvm: bool,
    budget: str,
    chosen_variants: str,
    listing: bool,
    else_emulate: bool,
) -> int:
    """Run the suites on this host and say which claims hold."""
    extra = ctx.meta.get(EXTRA, ())
    request = Request(
        *(suites, claims, output, jobs, require_kvm, budget, extra),
        variants=chosen_variants,
        exports=exports,
        expected=options.expectation(baseline, strict_skips),
    )
    selection = chosen(request)
    if message := missing_extension():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    if message := ending.no_temporary_folder():
        return TERMINAL.refuse(message, Exit.CANNOT_WRITE)
    if listing and ctx.obj is not None:
        raise click.UsageError("--list runs nothing: it has no dialect")
    if listing:
        return list_tests(request)
    obstacle = _obstacle()
    if obstacle is None:
        return launch(request, TERMINAL, narrowed=selection.narrowed)
    if else_emulate and obstacle.token != "other_architecture":
        way_out = f"To test this host's own KVM: {obstacle.advice}"
        so = "So the suites run in an emulated host."
        click.secho(f"{obstacle.sentence} {so} {way_out}", fg="yellow", err=True)
        emulate = importlib.import_module("tools.emulate")
        code: int = emulate.instead(request, selection, given=_given(ctx))
        # Once more: by now much has been said about emulation, and about what it lacks.
        click.secho(f"{obstacle.sentence} {way_out}", fg="yellow", err=True)
        return code
    # Beforehand, why nothing can be tested; each test then skips with the same reason.
    click.secho(f"{obstacle.sentence} {obstacle.advice}", fg="yellow", err=True)
    return launch(request, TERMINAL, narrowed=selection.narrowed)


def _given(ctx: click.Context) -> set[str]:
    """The parameters that were on the command line, not left to their defaults."""
    default = click.core.ParameterSource.DEFAULT
    return {name for name in ctx.params if ctx.get_parameter_source(name) is not default}


def _obstacle() -> Obstacle | None:
    obstacles = importlib.import_module("harness.host.obstacles")
    found: Obstacle | None = obstacles.preflight()
    return found


def list_tests(request: Request, *, root: Path = ROOT) -> int:
    """Print result id and claim of each test that would run. Opens no device."""
    requests.tell_dropped(TERMINAL)
    with tempfile.NamedTemporaryFile(prefix="kvm-conformance-plan-") as plan:
        command = [
            *requests.pytest_command(request, root),
            *request.pytest_arguments,
            *("--collect-only", "-qq", f"--plan={plan.name}"),
        ]
        done = subprocess.run(
            command,
            cwd=root,
            env=requests.environment(),
            check=False,
            capture_output=True,
            text=True,
        )
        text = Path(plan.name).read_text(encoding="utf-8")
    if done.returncode not in (0, 5):
        click.echo(done.stdout + done.stderr, err=True)
        return Exit.USAGE if done.returncode == finish.PYTEST_USAGE else Exit.SUITE_ERROR
    pairs = json.loads(text or "[]")
    width = max((len(pair[0]) for pair in pairs), default=0)
    for name, claim in pairs:
        click.echo(f"{name:<{width}}  {claim}")
    click.echo(f"{len(pairs)} tests", err=True)
    return Exit.HELD
