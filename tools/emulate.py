# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance emulate``: the suites inside an emulated host, on any kernel."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.claims import CatalogueError, catalogue, chapters
from harness.emulation import kernel as kernels
from harness.emulation.errors import KernelError
from harness.emulation.machine import Limits, Machine
from harness.reporting.selection import Selection, SelectionError, select
from tools import emulated_run, finish
from tools.exit_codes import Exit
from tools.run import (
    EXTRA,
    Request,
    WithPytestArguments,
    check_budget,
    check_jobs,
    missing_extension,
    nearest,
    output_folder,
    refuse,
)

_DEFAULT = Machine()


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that describe an emulated machine."""
    options = (
        click.option(
            "--cpus", type=int, default=_DEFAULT.cpus, show_default=True, help="Emulated ones."
        ),
        click.option("--memory", default=_DEFAULT.memory, show_default=True, metavar="SIZE"),
        click.option("--qemu", default=_DEFAULT.qemu, show_default=True, metavar="PROGRAM"),
        click.option(
            "--qemu-options",
            default="",
            metavar="WORDS",
            help="More words for QEMU, as in a shell.",
        ),
        click.option(
            "--kernel-parameters", default="", metavar="WORDS", help="More for the command line."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def words(text: str, option: str) -> tuple[str, ...]:
    """An option's text split as a shell would. Raises `click.UsageError` for an open quote."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"{option}: {error} in {text!r}") from None


@click.command(
    cls=WithPytestArguments,
    options_metavar="[OPTIONS] [-- PYTEST OPTIONS]",
    epilog="Exit codes: those of `run`, and 71 where the machine was lost without a word of its"
    " kernel; a kernel that panics is 1.",
)
@click.option(
    "--kernel",
    default="default",
    show_default=True,
    metavar="KERNEL",
    help=f"One of {kernels.SPECS}.",
)
@machine_options
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Only this suite.")
@click.option(
    "--claim", "claims", multiple=True, metavar="ID", help="Only this claim, chapter or pattern."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the results go; default results/<time>-<kernel>.",
)
@click.option("--jobs", default="auto", metavar="N", callback=check_jobs, help="Workers inside.")
@click.option("--require-kvm", is_flag=True, help="A run that could test nothing is a failure.")
@click.option(
    "--budget",
    default=emulated_run.BUDGET,
    show_default=True,
    metavar="NAME|N",
    callback=check_budget,
    help="Kicks a race protocol gets: quick, ci, nightly, or a number.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=10),
    default=Limits.total_s,
    show_default=True,
    metavar="SECONDS",
    help="The machine is ended then.",
)
@click.pass_context
def emulate(
    ctx: click.Context,
    kernel: str,
    cpus: int,
    memory: str,
    qemu: str,
    qemu_options: str,
    kernel_parameters: str,
    suites: tuple[str, ...],
    claims: tuple[str, ...],
    output: Path | None,
    jobs: str,
    require_kvm: bool,
    budget: str,
    time_limit: float,
) -> int:
    """Boot a kernel in QEMU's software emulation and run the suites inside it.

    Needs no /dev/kvm: KVM runs inside the emulated host.
    """
    machine = Machine(
        cpus=cpus,
        memory=memory,
        qemu=qemu,
        options=words(qemu_options, "--qemu-options"),
        kernel_parameters=words(kernel_parameters, "--kernel-parameters"),
    )
    request = Request(suites, claims, output, jobs, require_kvm, budget, ctx.meta.get(EXTRA, ()))
    try:
        selection = select(
            catalogue(), chapters(), wanted_claims=request.claims, wanted_suites=request.suites
        )
    except SelectionError as error:
        raise click.UsageError(str(error)) from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None
    if message := missing_extension():
        return refuse(message, Exit.SUITE_ERROR)
    return launch(kernel, machine, request, selection, time_limit_s=time_limit)


def launch(
    spec: str,
    machine: Machine,
    request: Request,
    selection: Selection,
    *,
    time_limit_s: float = Limits.total_s,
    why: str = "",
) -> int:
    """Find the kernel, boot it, test it, complete the results; the exit code.

    ``why`` tells why this host's own KVM is not tested.
    """
    try:
        machine.check()
        kernel = kernels.find(spec, say=say)
        output = output_folder(request.output, kernel.release)
    except KernelError as error:
        return refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        name = error.filename or request.output or "results"
        text = f"the results cannot be written to {name}: {error.strerror}"
        return refuse(f"{text}. Choose another --output.", Exit.CANNOT_WRITE)
    title = (
        f"Emulated host{why}: {kernel.name} in {machine.qemu}, {machine.cpus} CPUs, "
        f"tier {machine.tier}"
    )
    click.echo(title)
    click.echo(f"Results go to {nearest(output)}")
    try:
        done = emulated_run.boot_and_test(
            kernel,
            machine,
            request,
            output,
            limits=Limits(total_s=time_limit_s),
            say=say,
        )
    except KernelError as error:
        return refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        text = f"the results cannot be written to {output}: {error.strerror}."
        return refuse(text, Exit.CANNOT_WRITE)
    code = finish.finish(
        output,
        status=done.status,
        stopped_by=done.stopped_by,
        require_kvm=request.require_kvm,
        narrowed=selection.narrowed,
        lost=done.lost,
    )
    if done.lost:
        click.echo("The console's last lines:", err=True)
        for line in done.lost.console:
            click.echo(f"  {line}", err=True)
    click.echo(f"{title}.")
    return code


def say(text: str) -> None:
    """A line about what takes long."""
    click.echo(f"  {text}", err=True)
