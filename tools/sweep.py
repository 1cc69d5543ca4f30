# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance sweep``: races.every_instruction, a kick at each instruction of the way in."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from harness.kick.plan import Protocol
from harness.plain_text import line
from harness.signs import Signs
from lab.emulation import bundle, cache, programs
from lab.emulation import kernel as kernels
from lab.emulation.conformance import booting, environment
from lab.emulation.errors import KernelError
from lab.emulation.kernel import Kernel
from lab.emulation.machine import CONSOLE, Ended, Job, Limits, Machine, run
from lab.emulation.share import Share, fresh
from lab.emulation.stopping import StoppedError, stoppable
from lab.launch.exit_codes import Exit
from lab.launch.folder_lock import HeldError
from lab.sweep import kicks
from lab.sweep.inside import ERROR, PASS_SHIFT, Sweep
from lab.sweep.verdict import SweepVerdict, judge
from lab.sweep.ways import WAYS
from tools import options
from tools.emulate import NO_KVM, say, show_console, words
from tools.run import ROOT, missing_extension, nearest, output_folder, refuse, taken
from tools.screen import sweep as sweep_report
from tools.screen import sweep_picture

_FIRST = -100
_CONTROL_ROUNDS = 241
_PASSES = 3
_MOST_OF_A_PASS = 1 << 30  # bytes
PROTOCOLS = (Protocol.HANDLER_WRITES, Protocol.SIGNAL_MASK, Protocol.CONTROL)


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
    default=_PASSES,
    show_default=True,
    help="How often each instruction is aimed at.",
)
@options.kvm_modules
@options.output("<time>-sweep-<kernel>")
@click.option("--qemu", default=Machine().qemu, show_default=True, metavar="PROGRAM")
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
    if message := missing_extension():
        return refuse(message, Exit.SUITE_ERROR)
    machine = Machine(
        cpus=1,
        memory=memory,
        qemu=qemu,
        options=words(qemu_options, "--qemu-options"),
        instruction_clock=True,
    )
    chosen = ways or tuple(WAYS)
    try:
        machine.check()
        programs.check(machine.qemu)
        found = kernels.find(kernel, say=say)
        if found.is_realtime:
            raise KernelError(
                f"{found.name} has PREEMPT_RT, which sends a timer's signal from a thread of its "
                "own: no instruction of the way into the guest can be aimed at; sweep a kernel "
                "without it"
            )
        with output_folder(output, f"sweep-{found.release}") as folder:
            _clear(folder)
            click.echo(f"Sweep of {found.name}: tier {machine.tier}, {', '.join(chosen)}")
            click.echo(f"Results go to {nearest(folder)}")
            sweeps, modules = _sweeps(chosen, passes), kvm_modules and kvm_modules.resolve()
            with stoppable(), fresh(folder) as share:
                share.write("request.json", json.dumps({"sweeps": sweeps}))
                ended = _boot(found, machine, share, modules, sweeps)
                for name in ("calibration.json", "cost.json", "symbols", "done", ERROR):
                    share.take(name, folder / name)
                for name in _files(sweeps):
                    share.take(name, folder / name, _MOST_OF_A_PASS)
            return _finish(found, folder, chosen, passes, ended)
    except KernelError as error:
        return refuse(f"{error}.", Exit.SUITE_ERROR)
    except StoppedError as stopped:
        click.echo(f"Stopped by {stopped.number.name}; no verdict.", err=True)
        return Exit.of_signal(stopped.number)
    except HeldError as error:
        return refuse(taken(error, output), Exit.CANNOT_WRITE)
    except OSError as error:
        return refuse(f"the results cannot be written: {error}.", Exit.CANNOT_WRITE)


def _sweeps(ways: tuple[str, ...], passes: int) -> list[tuple[str, str, int, int, int]]:
    """What is asked of the program inside: lab.sweep.inside.Sweep's fields."""
    made = []
    for name in ways:
        for protocol in PROTOCOLS:
            # Odd: what alternates from round to round meets each position in both its states.
            rounds = WAYS[name].length | 1
            if protocol is Protocol.CONTROL:
                rounds = _CONTROL_ROUNDS
            made.append((name, protocol.value, _FIRST, rounds, passes))
    return made


def _files(sweeps: list[tuple[str, str, int, int, int]]) -> list[str]:
    """The files that the passes of these sweeps leave."""
    shapes = [Sweep(*each) for each in sweeps]
    stems = [shape.stem(number) for shape in shapes for number in range(shape.passes)]
    return [f"{stem}.{kind}" for stem in stems for kind in ("rounds", "trace")]


def _clear(folder: Path) -> None:
    """Files of an earlier sweep must not be taken for this one's."""
    for pattern in ("*.rounds", "*.trace", "symbols", "done", ERROR, "*.json", "landing-*"):
        for path in folder.glob(pattern):
            path.unlink()


def _boot(
    kernel: Kernel,
    machine: Machine,
    share: Share,
    modules: Path | None,
    sweeps: list[tuple[str, str, int, int, int]],
) -> Ended:
    job = Job(
        [sys.executable, "-m", "lab.sweep.inside", str(share.path)],
        ROOT,
        environment(machine),
        modules=modules,
    )
    image = bundle.image(cache.root(), say)
    limits, is_up = Limits(), False
    rounds = [name for name in _files(sweeps) if name.endswith(".rounds")]

    def doing() -> str:
        if not is_up:
            return booting(kernel, limits)
        # A pass is written whole, at its end.
        done = sum(share.size(name) >= 0 for name in rounds)
        return f"sweeping, {done} of {len(rounds)} passes through"

    signs = Signs(say, doing)

    def tick(up: bool) -> None:
        nonlocal is_up
        is_up = up
        signs.look()

    return run(
        kernel,
        machine,
        job,
        share,
        bundle=image,
        limits=limits,
        signs_of_life=lambda: sum(share.size(name) for name in rounds),
        tick=tick,
        say=say,
    )


def _finish(kernel: Kernel, folder: Path, ways: tuple[str, ...], passes: int, ended: Ended) -> int:
    """Reads what is there, judges it, and tells it."""
    if ended.lost:
        refuse(f"{ended.lost.describe()}.", Exit.LOST_VM)
        show_console(ended.lost)
        return Exit.FAILED if ended.lost.against_kernel else Exit.LOST_VM
    if not ended.has_kvm:
        return refuse(f"{NO_KVM}; {nearest(folder)}{CONSOLE} may say why.", Exit.SUITE_ERROR)
    if ended.status or not (folder / "done").exists():
        why = f"broke off with exit code {ended.status}; see its output above"
        if (folder / ERROR).exists():
            why = (
                f"broke off: {line((folder / ERROR).read_text(encoding='utf-8', errors='replace'))}"
            )
        return refuse(f"the sweep of {kernel.name} {why}.", Exit.SUITE_ERROR)
    try:
        symbols = kicks.Symbols(folder / "symbols")
        report = sweep_report.Report(
            kernel=kernel.name,
            release=kernel.release,
            steps=kicks.calibration(kicks.load_nops(folder / "calibration.json")),
            cost=kicks.load_cost(folder / "cost.json"),
            verdicts=tuple(
                each for name in ways for each in judge_way(folder, name, passes, symbols)
            ),
        )
    except kicks.SweepError as error:
        return refuse(f"{error}.", Exit.SUITE_ERROR)
    (folder / "sweep.json").write_text(report.as_json())
    pictures = [sweep_picture.draw(name, report.of(name), kernel.name, folder) for name in ways]
    click.echo(report.text(shutil.get_terminal_size((100, 24)).columns))
    click.echo(f"Landing maps: {', '.join(nearest(path).rstrip('/') for path in pictures)}")
    return report.exit_code()


def judge_way(folder: Path, name: str, passes: int, symbols: kicks.Symbols) -> list[SweepVerdict]:
    """The verdicts on one way, the control's last."""
    way = WAYS[name]
    made: list[SweepVerdict] = []
    for protocol in PROTOCOLS:
        shape = Sweep(name, protocol.value, _FIRST, 0, passes)
        read = [
            kicks.read(folder, shape.stem(number), _FIRST - number * PASS_SHIFT)
            for number in range(passes)
        ]
        # The handler's sweep tells where the check is, and a control is too short for the entry.
        check = made[0].check if made else None
        entry = made[0].entry if protocol is Protocol.CONTROL else None
        made.append(judge(read, way, protocol, symbols, check=check, entry=entry))
    return made
