# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance mutate``: KVMs with one defect each, judged by the suites: do they notice?"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import click

from harness import files
from harness.claims import CatalogueError, known_issues
from lab.campaign import side_by_side
from lab.emulation import arch, conformance
from lab.emulation import cache as caches
from lab.emulation import kernel as kernels
from lab.emulation.errors import KernelError
from lab.emulation.machine import Limits, Machine
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.launch.stopping import Stop
from lab.mutation import catalogue, result, source
from lab.mutation import found as mutation_found
from lab.mutation import runs as mutate_runs
from lab.mutation.catalogue import Mutant
from lab.mutation.keep import MEMORY_MB
from lab.mutation.lanes import Lanes
from lab.mutation.source import Source
from lab.results import junit
from lab.results.exports import Exports, hand_on
from tools import options, run_child
from tools.beforehand import missing_extension
from tools.resuming import Remembering, held, resumable, typed
from tools.screen import mutation_table
from tools.screen.progress import CampaignProgress
from tools.screen.terminal import TERMINAL

OUTPUT = Path("results/mutants")
JUNIT, MARKDOWN = "junit.xml", "kill-matrix.md"
#: Kernels whose compiler is that of one Debian release, an old and a newer KVM.
KERNELS = ("debian:bookworm", "debian:bookworm-backports")
BUDGET_S = 60.0


def _modular() -> list[str]:
    """The architectures of other hosts whose KVM is a module."""
    return [word for word in arch.choices() if arch.of(arch.named(word)).modules]


EXPLORED_S = 120.0
LIMIT_S = 600.0


@click.command(
    cls=Remembering,
    epilog="Exit codes: 0 the claims that were foretold killed every mutant, and the stock kernels"
    " hold; 1 a mutant survived or was killed otherwise, a stock kernel failed, or a reproducer"
    " proves nothing; 4 every mutant was left out; 70 one could not be judged; 64 wrong usage, 73"
    " the results cannot be written, 130 and 143 interrupted.",
)
@click.option(
    "--kernel",
    "wanted",
    multiple=True,
    metavar="KERNEL",
    help=f"A kernel of Debian, one of {kernels.SPECS}; default {' and '.join(KERNELS)}, and of"
    f" another architecture {kernels.DEFAULT_ELSEWHERE}.",
)
@click.option(
    "--arch",
    "architecture",
    default="",
    show_default="this host's",
    metavar="ARCH",
    help=f"Kernels and mutants of another architecture: {', '.join(_modular())}.",
)
@click.option(
    "--tree",
    type=options.Place(),
    metavar="PATH",
    help="A kernel's tree in which you ran make, with KVM as modules; it is not written to.",
)
@click.option("--mutant", "ids", multiple=True, metavar="ID", help="Only this one, or a pattern.")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Only of this class.")
@click.option("--claim", "claims", multiple=True, metavar="ID", help="Only what breaks this claim.")
@click.option(
    "--subset", type=click.Choice(["ci"]), help="ci: the cheapest of each class of defects."
)
@click.option(
    "--judge",
    type=click.Choice(["claims", "explore"]),
    default="claims",
    show_default=True,
    help="explore: the random sequences alone, of what the functional tests see.",
)
@click.option(
    "--reproduce",
    multiple=True,
    metavar="ID",
    help="Of this one, or of a pattern, also make a C program of what failed, and run it on the"
    " mutant and on the stock KVM.",
)
@click.option("--list", "listing", is_flag=True, help="Only print the mutants.")
@resumable(OUTPUT)
@options.exports
@click.option(
    "--budget",
    type=options.Number(0, options.MONTH_S),
    metavar="SECONDS",
    help="No test of a mutant begins later, but those of the claims foretold. By default"
    f" {BUDGET_S:.0f}. With --judge explore sequences are played for so long, by default"
    f" {EXPLORED_S:.0f}.",
)
@options.kicks(conformance.BUDGET, "--kicks")
@options.limit(
    "--time-limit", LIMIT_S, "A mutant's machine is ended then; after half, if it judged others."
)
@options.limit(
    "--boot-limit", Limits.boot_s, "A machine that is not up by then is booted once more."
)
@click.option("--no-sweep", is_flag=True, help="Leave out what only the instruction sweep can see.")
def mutate(
    wanted: tuple[str, ...],
    architecture: str,
    tree: Path | None,
    ids: tuple[str, ...],
    classes: tuple[str, ...],
    claims: tuple[str, ...],
    subset: str | None,
    judge: str,
    reproduce: tuple[str, ...],
    listing: bool,
    output: Path,
    fresh: bool,
    parallel: int | None,
    exports: Exports,
    budget: float | None,
    kicks: str,
    time_limit: float,
    boot_limit: float,
    no_sweep: bool,
) -> int:
    """Build KVMs with one defect each, boot them, and see whether the suites notice.

    The same command goes on where it was interrupted.
    """
    if message := missing_extension():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    try:
        foreign = arch.named(architecture) if architecture else None
        name = catalogue.name_of(arch.of(foreign).machine)
        chosen = _chosen(ids, classes, claims, subset, judge, name)
        known_issues.of_version("1.0")  # what is wrong with the file is told before anything runs
    except (CatalogueError, KernelError) as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    if listing:
        return _list(chosen)
    if tree is not None and len(wanted) > 1:
        raise click.UsageError("--tree is one kernel: give at most one --kernel to boot with it.")
    if reproduce and foreign:
        raise click.UsageError(
            f"--reproduce builds a program in the machine, and one of {foreign.name} has no"
            " compiler: leave it out."
        )
    explores = judge == "explore"
    plan = mutate_runs.Campaign(
        mutants=catalogue.FOLDER,
        kicks=kicks,
        budget_s=budget if budget is not None else EXPLORED_S if explores else BUDGET_S,
        limit_s=time_limit,
        boot_limit_s=boot_limit,
        sweeps=not no_sweep,
        reproduce=reproduce,
        explores=explores,
    )
    try:
        Machine(foreign=foreign).check_programs("mutation")
        with caches.used(), held(output, "mutate") as folder:
            sources = _sources(wanted, tree, foreign)
            return _launch(
                sources, chosen, folder, plan, fresh=fresh, parallel=parallel, exports=exports
            )
    except KernelError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        text = f"the results cannot be written to {error.filename or output}: {error.strerror}"
        return TERMINAL.refuse(f"{text}. Choose another --output.", Exit.CANNOT_WRITE)


def _chosen(
    ids: Sequence[str],
    classes: Sequence[str],
    claims: Sequence[str],
    subset: str | None,
    judge: str,
    architecture: str,
) -> list[Mutant]:
    from lab.sweep.ways import WAYS  # loads the extension

    known = catalogue.read(ways=WAYS)
    try:
        found = catalogue.choose(known, ids=ids, classes=classes, claims=claims)
    except catalogue.ChoiceError as error:
        raise click.UsageError(f"{error}.") from None
    found = catalogue.of_architecture(found, architecture)
    found = catalogue.one_of_each_class(found) if subset else found
    found = catalogue.for_sequences(found) if judge == "explore" else found
    if not found:
        raise click.UsageError(
            f"No mutant of {architecture} is left: the options have none in common."
        )
    return found


def _list(mutants: Sequence[Mutant]) -> int:
    width = max(len(each.id) for each in mutants)
    for each in mutants:
        told = f"{each.defect} Allowed by {each.allowed_by}" if each.allowed_by else each.defect
        click.echo(f"{each.id:<{width}}  {each.mutant_class:<15} {each.tier:<10} {told}")
    click.echo(f"{len(mutants)} mutants", err=True)
    return Exit.HELD


def _sources(
    wanted: Sequence[str], tree: Path | None, foreign: arch.Foreign | None
) -> list[Source]:
    """What the kernels are built from. Raises KernelError."""
    if tree is not None:
        spec = wanted[0] if wanted else None
        return [source.of_tree(tree, spec, TERMINAL.say, foreign)]
    default = (kernels.DEFAULT_ELSEWHERE,) if foreign else KERNELS
    found = [source.of_debian(spec, TERMINAL.say, foreign) for spec in wanted or default]
    return list({each.label: each for each in found}.values())


def _launch(
    sources: Sequence[Source],
    mutants: Sequence[Mutant],
    folder: Path,
    plan: mutate_runs.Campaign,
    *,
    fresh: bool,
    parallel: int | None,
    exports: Exports,
) -> int:
    runs: dict[Source, list[mutate_runs.MutantTask]] = {}
    for each in sources:
        place = folder / each.label
        place.mkdir(exist_ok=True)
        each.write(place / mutate_runs.SOURCE)
        runs[each] = mutate_runs.of_kernel(each, mutants, place, plan)
    every = [run for of_kernel in runs.values() for run in of_kernel]
    parallel = parallel or side_by_side.most_at_once(MEMORY_MB)
    names = ", ".join(each.name for each in sources)
    click.echo(
        f"Mutants: {len(mutants)} on {names}, at most {parallel} machines at once, "
        f"tier {Machine().tier}"
    )
    click.echo(f"Results go to {nearest(folder)}")
    with Stop().taken() as stop:
        with (
            contextlib.closing(
                Lanes(run_child.PROGRAM, parallel, [folder / each.label for each in sources])
            ) as lanes,
            CampaignProgress(every, busy_only=True) as progress,
        ):
            for run in every:
                run.lanes = lanes
            side_by_side.run_all(
                every,
                program=run_child.PROGRAM,
                parallel=parallel,
                fresh=fresh,
                stop=stop,
                show=progress.show,
            )
        # Signals are still held off: the results are written whole.
        found = result.of_runs(runs)
        code = stop.code or found.code
        known = result.as_json(found, code)
        files.replace(folder / mutation_found.MUTATION, json.dumps(known, indent=2) + "\n")
        files.replace(folder / MARKDOWN, mutation_table.markdown(found))
        files.replace(folder / JUNIT, junit.render(mutation_found.suites(found)))
    mutation_table.show(found)
    if stop.first is not None:
        text = f"Stopped by {stop.first.name}; what is there is kept. The same command goes on: "
        click.echo(text + typed("mutate"), err=True)
    return hand_on(exports, mutation_found.suites(found), code, TERMINAL)
