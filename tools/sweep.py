# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance sweep``: races.every_instruction, a kick at each instruction of the way in."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from lab.emulation import kernel as kernels
from lab.emulation.machine import Machine
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.pictures import landing_map
from lab.sweep import run as swept
from lab.sweep.report import Report
from lab.sweep.ways import WAYS
from tools import options
from tools.beforehand import missing_extension, missing_pictures
from tools.screen import sweep as sweep_report
from tools.screen.terminal import TERMINAL


@click.command(
    epilog="Exit codes: 0 no kick waited, 1 one did, 70 the sweep could not judge, 71 the machine"
    " was lost, 73 the results cannot be written, 130 and 143 interrupted.",
)
@click.option(
    "--kernel",
    default="default",
    show_default=True,
    metavar="KERNEL",
    help=f"One of {kernels.SPECS}.",
)
@click.option(
    "--way",
    "ways",
    multiple=True,
    type=click.Choice(list(WAYS)),
    help="The vCPU's state when it is run; all of them by default.",
)
@click.option(
    "--passes",
    type=click.IntRange(1, 100),
    default=swept.PASSES,
    show_default=True,
    help="How often each instruction is aimed at.",
)
@options.kvm_modules
@options.output("<time>-sweep-<kernel>")
@click.option("--qemu", default="", show_default="this architecture's", metavar="PROGRAM")
@click.option("--qemu-options", default="", metavar="WORDS", help="More words for QEMU.")
@click.option("--memory", default=Machine().memory, show_default=True, metavar="SIZE")
def sweep(
    kernel: str,
    ways: tuple[str, ...],
    passes: int,
    kvm_modules: Path | None,
    output: Path | None,
    qemu: str,
    qemu_options: str,
    memory: str,
) -> int:
    """Kick at every instruction from the check of the flag to the guest.

    Needs no /dev/kvm: on an emulated host one nanosecond is one instruction, so a timer meets
    each instruction of the kernel in turn. No guest may run on after a kick that came before it.
    """
    if message := missing_extension() or missing_pictures():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    machine = Machine(
        cpus=1,
        memory=memory,
        qemu=qemu,
        options=options.words(qemu_options, "--qemu-options"),
        instruction_clock=True,
    )
    return swept.sweep(
        kernel,
        machine,
        ways or tuple(WAYS),
        passes,
        output,
        TERMINAL,
        modules=kvm_modules,
        tell=_tell,
    )


def _tell(report: Report, folder: Path) -> None:
    ways = {each.way: report.of(each.way) for each in report.verdicts}
    pictures = [landing_map.draw(name, of, report.kernel, folder) for name, of in ways.items()]
    TERMINAL.out(sweep_report.text(report, shutil.get_terminal_size((100, 24)).columns))
    TERMINAL.out(f"Landing maps: {', '.join(nearest(path).rstrip('/') for path in pictures)}")
