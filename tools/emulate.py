# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance emulate``: the suites inside an emulated host, on any kernel."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.reporting.selection import Selection
from lab import set_up
from lab.comparison.baseline import Baseline
from lab.emulation import arch, conformance, programs
from lab.emulation import kernel as kernels
from lab.emulation.errors import EmulationError
from lab.emulation.launch import launch
from lab.emulation.machine import Limits, Machine
from lab.launch.exit_codes import Exit
from lab.launch.request import ROOT, Request
from lab.results.exports import Exports
from tools import options
from tools.beforehand import chosen, missing_extension
from tools.options import EXTRA, WithPytestArguments
from tools.screen.terminal import TERMINAL

_DEFAULT = Machine()
_WHY_EMULATED = ", because this host has no usable /dev/kvm"


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
        click.option("--qemu", default="", show_default="this architecture's", metavar="PROGRAM"),
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
@options.architecture
@machine_options
@options.suites
@options.claims
@options.output("<time>-<kernel>")
@options.exports
@options.dialect
@options.expected
@options.jobs("Workers inside.")
@options.require_kvm
@options.kicks(conformance.BUDGET)
@options.variant(conformance.VARIANTS)
@options.limit("--time-limit", Limits.total_s, "The machine is ended then.")
@options.limit("--boot-limit", Limits.boot_s, "It is given up if it is not up by then.")
@click.pass_context
def emulate(
    ctx: click.Context,
    kernel: str,
    architecture: str,
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
    exports: Exports,
    baseline: Baseline | None,
    strict_skips: bool,
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
    try:
        foreign = arch.named(architecture) if architecture else None
    except EmulationError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    machine = Machine(
        foreign=foreign,
        cpus=cpus,
        threads=threads,
        memory=memory,
        qemu=qemu,
        options=options.words(qemu_options, "--qemu-options"),
        kernel_parameters=options.words(kernel_parameters, "--kernel-parameters"),
    )
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
    return launch(
        kernel,
        machine,
        request,
        TERMINAL,
        narrowed=selection.narrowed,
        limits=Limits(boot_s=boot_limit, total_s=time_limit),
        modules=kvm_modules,
    )


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
        machine.check_programs()
    except EmulationError as error:
        if not set_up.IS_CHECKOUT:
            return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
        done = subprocess.run([ROOT / "tools" / "bootstrap.sh", "--emulation"], check=False)
        if done.returncode:
            return Exit.SUITE_ERROR
        programs.qemu_version.cache_clear()
    return launch(
        "default", machine, request, TERMINAL, narrowed=selection.narrowed, why=_WHY_EMULATED
    )
