# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance emulate``: the suites inside an emulated host, on any kernel."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.reporting import variants
from harness.reporting.journal import new_run
from harness.reporting.selection import Selection
from lab.emulation import conformance, programs
from lab.emulation import kernel as kernels
from lab.emulation.console import last_lines
from lab.emulation.errors import EmulationError, KernelError
from lab.emulation.machine import CONSOLE, Limits, Machine
from lab.launch import process_group
from lab.launch.exit_codes import Exit
from lab.launch.folder_lock import HeldError
from lab.launch.lost import LostVm
from tools import options
from tools.run import (
    EXTRA,
    ROOT,
    Request,
    WithPytestArguments,
    chosen,
    complete,
    missing_extension,
    nearest,
    not_writable,
    output_folder,
    refuse,
    taken,
)

_DEFAULT = Machine()
_WHY_EMULATED = ", because this host has no usable /dev/kvm"
NO_KVM = "this kernel brought up no KVM for the emulated AMD processor"


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that describe an emulated machine."""
    described = (
        click.option(
            "--cpus", type=int, default=_DEFAULT.cpus, show_default=True, help="Emulated ones."
        ),
        click.option(
            "--cpu-threads",
            "threads",
            is_flag=True,
            help="A thread for each of them: they race in earnest, but QEMU 7.2 freezes with it.",
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
        options.kvm_modules,
    )
    for option in reversed(described):
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
@options.suites
@options.claims
@options.output("<time>-<kernel>")
@options.jobs("Workers inside.")
@click.option("--require-kvm", is_flag=True, help="A run that could test nothing is a failure.")
@options.kicks(conformance.BUDGET)
@options.variant(conformance.VARIANTS)
@options.limit("--time-limit", Limits.total_s, "The machine is ended then.")
@options.limit("--boot-limit", Limits.boot_s, "It is given up if it is not up by then.")
@click.pass_context
def emulate(
    ctx: click.Context,
    kernel: str,
    cpus: int,
    threads: bool,
    memory: str,
    qemu: str,
    qemu_options: str,
    kernel_parameters: str,
    kvm_modules: Path | None,
    suites: tuple[str, ...],
    claims: tuple[str, ...],
    output: Path | None,
    jobs: str,
    require_kvm: bool,
    budget: str,
    chosen_variants: str,
    time_limit: float,
    boot_limit: float,
) -> int:
    """Boot a kernel in QEMU's software emulation and run the suites inside it.

    Needs no /dev/kvm: KVM runs inside the emulated host.
    """
    machine = Machine(
        cpus=cpus,
        threads=threads,
        memory=memory,
        qemu=qemu,
        options=words(qemu_options, "--qemu-options"),
        kernel_parameters=words(kernel_parameters, "--kernel-parameters"),
    )
    extra = ctx.meta.get(EXTRA, ())
    request = Request(
        suites, claims, output, jobs, require_kvm, budget, extra, variants=chosen_variants
    )
    selection = chosen(request)
    if message := missing_extension():
        return refuse(message, Exit.SUITE_ERROR)
    limits = Limits(boot_s=boot_limit, total_s=time_limit)
    return launch(kernel, machine, request, selection, limits=limits, modules=kvm_modules)


def instead(request: Request, selection: Selection, *, given: set[str]) -> int:
    """What `run` asked for, in an emulated host; what was not `given` gets the default of here.

    Sets up first what emulated hosts need, where something is missing.
    """
    machine = Machine()
    request = dataclasses.replace(
        request,
        budget=request.budget if "budget" in given else conformance.BUDGET,
        variants=request.variants if "chosen_variants" in given else conformance.VARIANTS,
    )
    try:
        programs.check(machine.qemu)
    except EmulationError:
        done = subprocess.run([ROOT / "tools" / "bootstrap.sh", "--emulation"], check=False)
        if done.returncode:
            return Exit.SUITE_ERROR
        programs.qemu_version.cache_clear()
    return launch("default", machine, request, selection, why=_WHY_EMULATED)


def launch(
    spec: str,
    machine: Machine,
    request: Request,
    selection: Selection,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    why: str = "",
    modules: Path | None = None,
) -> int:
    """Find the kernel, boot it, test it, complete the results; the exit code.

    ``why`` tells why this host's own KVM is not tested; ``modules`` replace the kernel's own KVM.
    """
    try:
        machine.check()
        programs.check(machine.qemu)
        kernel = kernels.find(spec, say=say)
        with output_folder(request.output, kernel.release) as output:
            asked = dataclasses.replace(request, run=new_run())
            return _launch(kernel, machine, asked, selection, output, limits, why, modules)
    except KernelError as error:
        return refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        return refuse(not_writable(error, request.output), Exit.CANNOT_WRITE)
    except HeldError as error:
        return refuse(taken(error, request.output), Exit.CANNOT_WRITE)


def _launch(
    kernel: kernels.Kernel,
    machine: Machine,
    request: Request,
    selection: Selection,
    output: Path,
    limits: Limits,
    why: str,
    modules: Path | None,
) -> int:
    once = ", one variant of each test" if request.variants == variants.ONE else ""
    with_modules = f" with the KVM of {nearest(modules.resolve())}" if modules else ""
    title = (
        f"Emulated host{why}: {kernel.name}{with_modules} in {machine.describe()}, "
        f"tier {machine.tier}{once}"
    )
    click.echo(title)
    click.echo(f"Results go to {nearest(output)}")
    done = conformance.boot_and_test(
        kernel,
        machine,
        request,
        output,
        limits=limits,
        say=say,
        modules=modules,
    )
    with process_group.Watch().installed() as late:
        how = (done.status, done.stopped_by)
        code = complete(output, request, selection, *how, lost=done.lost)
    if late.first is not None and done.stopped_by is None:
        code = Exit.of_signal(late.first)
    if done.ended and not done.lost and not done.ended.has_kvm:
        text = NO_KVM[0].upper() + NO_KVM[1:]
        click.echo(f"{text}; {nearest(output)}{CONSOLE} may say why.", err=True)
    if done.lost:
        show_console(done.lost)
    if code == Exit.USAGE:  # pytest's own words went to the machine's console
        for line in last_lines(output / CONSOLE):
            if line.startswith("ERROR: "):
                click.echo(line, err=True)
    click.echo(f"{title}.")
    return code


def show_console(lost: LostVm) -> None:
    """The last lines of a machine that was lost."""
    click.echo("The console's last lines:", err=True)
    for line in lost.console:
        click.echo(f"  {line}", err=True)


def say(text: str) -> None:
    """A line about what takes long."""
    click.echo(f"  {text}", err=True)
