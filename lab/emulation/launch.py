# SPDX-License-Identifier: GPL-2.0-only
"""A run in an emulated host, from the name of a kernel to the exit code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.reporting import variants
from harness.reporting.journal import new_run
from lab.emulation import cache as caches
from lab.emulation import conformance
from lab.emulation import kernel as kernels
from lab.emulation.console import last_lines
from lab.emulation.errors import KernelError
from lab.emulation.machine import CONSOLE, Limits, Machine
from lab.launch import output_folder
from lab.launch import request as requests
from lab.launch.exit_codes import Exit
from lab.launch.request import Request
from lab.launch.speaker import Speaker
from lab.launch.stopping import Stop


def launch(
    spec: str,
    machine: Machine,
    request: Request,
    to: Speaker,
    *,
    narrowed: bool,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    why: str = "",
    modules: Path | None = None,
) -> int:
    """Find the kernel, boot it, test it, complete the results; the exit code.

    ``why`` tells why this host's own KVM is not tested; ``modules`` replace the kernel's own KVM;
    ``narrowed``: the verdict keeps silent on what was not chosen.
    """
    try:
        machine.check()
        machine.check_programs()
        kernel = kernels.find(spec, say=to.say, foreign=machine.foreign)
        with caches.used(), output_folder.held(request.output, kernel.release) as output:
            asked = dataclasses.replace(request, run=new_run())
            return _launch(kernel, machine, asked, to, narrowed, output, limits, why, modules)
    except KernelError as error:
        return to.refuse(f"{error}.", Exit.SUITE_ERROR)
    except output_folder.ResultsError as error:
        return to.refuse(str(error), Exit.CANNOT_WRITE)
    except OSError as error:
        return to.refuse(output_folder.not_writable(error, request.output), Exit.CANNOT_WRITE)


def _launch(
    kernel: kernels.Kernel,
    machine: Machine,
    request: Request,
    to: Speaker,
    narrowed: bool,
    output: Path,
    limits: Limits,
    why: str,
    modules: Path | None,
) -> int:
    once = ", one variant of each test" if request.variants == variants.ONE else ""
    with_modules = f" with the KVM of {output_folder.nearest(modules.resolve())}" if modules else ""
    title = (
        f"Emulated host{why}: {kernel.name}{with_modules} in {machine.describe()}, "
        f"tier {machine.tier}{once}"
    )
    to.out(title)
    to.out(f"Results go to {output_folder.nearest(output)}")
    done = conformance.boot_and_test(
        kernel, machine, request, output, to, limits=limits, modules=modules
    )
    with Stop().taken() as late:
        how = (done.status, done.stopped_by)
        code = requests.complete(output, request, to, narrowed, *how, lost=done.lost)
    if late.code is not None and done.stopped_by is None:
        code = late.code
    if done.ended and not done.lost and not done.ended.has_kvm:
        said = machine.architecture.no_kvm
        text = said[0].upper() + said[1:]
        to.err(f"{text}; {output_folder.nearest(output)}{CONSOLE} may say why.")
    if done.lost:
        done.lost.show_console(to)
    if code == Exit.USAGE:  # pytest's own words went to the machine's console
        for line in last_lines(output / CONSOLE):
            if line.startswith("ERROR: "):
                to.err(line)
    to.out(f"{title}.")
    return code
