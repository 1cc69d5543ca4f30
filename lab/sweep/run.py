# SPDX-License-Identifier: GPL-2.0-only
"""A sweep, from the name of a kernel to its report: a machine is booted, and its passes judged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.kick.plan import Protocol
from harness.plain_text import line
from harness.signs import Signs
from lab.emulation import arch, bundle, cache, programs
from lab.emulation import kernel as kernels
from lab.emulation.conformance import booting, environment
from lab.emulation.errors import KernelError
from lab.emulation.kernel import Kernel
from lab.emulation.machine import CONSOLE, Job, Limits, Machine, MachineEnd, run
from lab.emulation.share import Share, fresh
from lab.launch import output_folder
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.launch.request import ROOT
from lab.launch.speaker import Speaker
from lab.launch.stopping import StoppedError, stoppable
from lab.sweep import kicks
from lab.sweep.inside import ERROR, PASS_SHIFT, Sweep
from lab.sweep.report import NAME, Report
from lab.sweep.verdict import SweepVerdict, judge
from lab.sweep.ways import WAYS

_FIRST = -100
_CONTROL_ROUNDS = 241
PASSES = 3
_MOST_OF_A_PASS = 1 << 30  # bytes
PROTOCOLS = (Protocol.HANDLER_WRITES, Protocol.SIGNAL_MASK, Protocol.CONTROL)


def sweep(
    spec: str,
    machine: Machine,
    ways: Sequence[str],
    passes: int,
    wanted: Path | None,
    to: Speaker,
    *,
    modules: Path | None,
    tell: Callable[[Report, Path], None],
) -> int:
    """Find the kernel, boot it, sweep each of the `ways` `passes` times; the exit code.

    ``wanted`` is the folder of results, None for a new one; ``modules`` replace the kernel's own
    KVM; ``tell`` gets what was found and the folder, while that is held.
    """
    try:
        machine.check()
        programs.check(machine.program)
        kernel = kernels.find(spec, say=to.say)
        if kernel.is_realtime:
            raise KernelError(
                f"{kernel.name} has PREEMPT_RT, which sends a timer's signal from a thread of its "
                "own: no instruction of the way into the guest can be aimed at; sweep a kernel "
                "without it"
            )
        with cache.used(), output_folder.held(wanted, f"sweep-{kernel.release}") as folder:
            _clear(folder)
            to.out(f"Sweep of {kernel.name}: tier {machine.tier}, {', '.join(ways)}")
            to.out(f"Results go to {nearest(folder)}")
            sweeps = _sweeps(ways, passes)
            with stoppable(), fresh(folder) as share:
                share.write("request.json", json.dumps({"sweeps": sweeps}))
                ended = _boot(kernel, machine, share, modules and modules.resolve(), sweeps, to)
                for name in ("calibration.json", "cost.json", "symbols", "done", ERROR):
                    share.take(name, folder / name)
                for name in _files(sweeps):
                    share.take(name, folder / name, _MOST_OF_A_PASS)
            if why := _nothing(kernel, folder, ended, to):
                return why
            report = _report(kernel, folder, ways, passes)
            (folder / NAME).write_text(report.as_json())
            tell(report, folder)
            return report.exit_code()
    except (KernelError, kicks.SweepError) as error:
        return to.refuse(f"{error}.", Exit.SUITE_ERROR)
    except StoppedError as stopped:
        to.err(f"Stopped by {stopped.number.name}; no verdict.")
        return Exit.of_signal(stopped.number)
    except output_folder.ResultsError as error:
        return to.refuse(str(error), Exit.CANNOT_WRITE)
    except OSError as error:
        return to.refuse(output_folder.not_writable(error, wanted), Exit.CANNOT_WRITE)


def _sweeps(ways: Sequence[str], passes: int) -> list[tuple[str, str, int, int, int]]:
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
    to: Speaker,
) -> MachineEnd:
    job = Job(
        [sys.executable, "-m", "lab.sweep.inside", str(share.path)],
        ROOT,
        environment(machine),
        modules=modules,
    )
    image = bundle.image(cache.root(), to.say)
    limits, is_up = Limits(), False
    rounds = [name for name in _files(sweeps) if name.endswith(".rounds")]

    def doing() -> str:
        if not is_up:
            return booting(kernel, limits)
        # A pass is written whole, at its end.
        done = sum(share.size(name) >= 0 for name in rounds)
        return f"sweeping, {done} of {len(rounds)} passes through"

    signs = Signs(to.say, doing)

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
        say=to.say,
    )


def _nothing(kernel: Kernel, folder: Path, ended: MachineEnd, to: Speaker) -> int:
    """Why there is nothing to judge, as an exit code; 0 if there is."""
    if ended.lost:
        to.refuse(f"{ended.lost.describe()}.", Exit.LOST_VM)
        ended.lost.show_console(to)
        return Exit.FAILED if ended.lost.against_kernel else Exit.LOST_VM
    if not ended.has_kvm:
        text = f"{arch.here().no_kvm}; {nearest(folder)}{CONSOLE} may say why."
        return to.refuse(text, Exit.SUITE_ERROR)
    if ended.status or not (folder / "done").exists():
        why = f"broke off with exit code {ended.status}; see its output above"
        if (folder / ERROR).exists():
            why = (
                f"broke off: {line((folder / ERROR).read_text(encoding='utf-8', errors='replace'))}"
            )
        return to.refuse(f"the sweep of {kernel.name} {why}.", Exit.SUITE_ERROR)
    return Exit.HELD


def _report(kernel: Kernel, folder: Path, ways: Sequence[str], passes: int) -> Report:
    """Reads what is there, and judges it. Raises `kicks.SweepError`."""
    symbols = kicks.Symbols(folder / "symbols")
    return Report(
        kernel=kernel.name,
        release=kernel.release,
        steps=kicks.calibration(kicks.load_nops(folder / "calibration.json")),
        cost=kicks.load_cost(folder / "cost.json"),
        verdicts=tuple(each for name in ways for each in judge_way(folder, name, passes, symbols)),
    )


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
