# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance bench``: what a KVM_RUN costs on this host, with and without a signal mask."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from guest_blobs import BlobError
from harness import files
from harness.host import description, obstacles
from harness.signs import Signs
from lab.benchmark import measurement
from lab.benchmark.measurement import Bench, BenchSettings, CannotMeasureError
from lab.benchmark.results import BenchResults
from lab.launch.exit_codes import Exit
from lab.launch.stopping import Stop, StoppedError
from tools import options
from tools.screen import bench as bench_report
from tools.screen.terminal import TERMINAL

_DEFAULT_THREADS = "doubling"


@click.command(
    epilog="Exit codes: 0 measured, 4 nothing could be measured, 64 wrong usage, 70 a case has no"
    " valid batch, or a call hung, 73 the file cannot be written, 130 and 143 interrupted."
)
@click.option(
    "--threads",
    default=_DEFAULT_THREADS,
    metavar="N,N,...",
    help="Numbers of threads; `max` is one a processor. Default: 1, 2, 4, ... up to max.",
)
@click.option(
    "--rounds", default=100, show_default=True, type=click.IntRange(1, 10_000), metavar="N",
    help="How often each case is measured.",
)  # fmt: skip
@click.option(
    "--batch-time", "batch_ms", default=10.0, show_default=True, metavar="MS",
    type=options.Number(0.1, 60_000), help="How long one batch of calls lasts.",
)  # fmt: skip
@click.option(
    "--mode", default="", metavar="MODE", help="The guest's mode; default: the architecture's last."
)
@click.option(
    "--output", type=options.Place(), metavar="FILE",
    help="Also write everything, raw batches too, as JSON.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON on the terminal, not the tables.")
def bench(
    threads: str, rounds: int, batch_ms: float, mode: str, output: Path | None, as_json: bool
) -> int:
    """Measure what a KVM_RUN costs: with immediate_exit set, with a signal mask, with an exit."""
    _check_mode(mode)
    counts = thread_counts(threads, len(measurement.allowed_cpus()))
    obstacle = obstacles.preflight()
    if obstacle is not None:
        return TERMINAL.refuse(f"{obstacle.sentence} {obstacle.advice}", Exit.NOTHING_TESTED)
    _check_limit(counts)
    settings = BenchSettings(threads=counts, rounds=rounds, batch_s=batch_ms / 1000, mode=mode)
    try:
        if output is not None:
            _check_writable(output)
        return _measure_and_report(settings, output, as_json)
    except OSError as error:
        return TERMINAL.refuse(
            f"{output} cannot be written: {error.strerror}. Choose another --output.",
            Exit.CANNOT_WRITE,
        )


def thread_counts(text: str, cpus: int) -> tuple[int, ...]:
    """The numbers in --threads, sorted, each once. Raises `click.BadParameter`."""
    if text == _DEFAULT_THREADS:
        return tuple(sorted({*(1 << power for power in range(cpus.bit_length())), cpus}))
    found = set()
    for word in text.split(","):
        word = word.strip()
        if word == "max":
            found.add(cpus)
        elif word.isascii() and word.isdigit() and len(word) <= 10 and int(word) > 0:
            found.add(int(word))
        else:
            raise click.BadParameter(
                f"{word!r} is neither a number from 1 on nor 'max'; an example: 1,2,max",
                param_hint="--threads",
            )
    return tuple(sorted(found))


def _check_mode(mode: str) -> None:
    from harness.kvm import arch

    try:
        known = arch.current().MODES
    except arch.UnsupportedArchitectureError:
        return  # the preflight says it, with its own exit code
    if mode and mode not in known:
        raise click.BadParameter(f"{mode!r} is not one of {', '.join(known)}", param_hint="--mode")


def _check_limit(counts: tuple[int, ...]) -> None:
    limit = measurement.max_vcpus()
    if max(counts) > limit:
        raise click.BadParameter(
            f"{max(counts)} threads are more than the {limit} vCPUs that a guest can have here "
            "(KVM_CAP_MAX_VCPUS)",
            param_hint="--threads",
        )


def _check_writable(path: Path) -> None:
    """Before anything is measured. Raises OSError."""
    if _is_stream(path) or (path.exists() and not os.access(path, os.W_OK)):
        path.open("a", encoding="utf-8").close()  # raises what is in the way
    else:
        files.check_place(path)


def _write(path: Path, text: str) -> None:
    """Whole, or not at all. Raises OSError."""
    if _is_stream(path):
        path.write_text(text, encoding="utf-8")
    else:
        files.replace(path, text)


def _is_stream(path: Path) -> bool:
    """A device, or a pipe: nothing takes its place."""
    return path.exists() and not path.is_file()


def _measure_and_report(settings: BenchSettings, output: Path | None, as_json: bool) -> int:
    results: BenchResults | None = None
    code: int = Exit.HELD
    try:
        # SIGTERM ends the measurement as Ctrl-C does, and each further one what is left of it.
        with (
            Stop(Stop.raise_it).taken((signal.SIGTERM,), ignored_after=False),
            Bench(settings) as machine,
        ):
            results = BenchResults(settings, machine.cases)
            code = _measure(machine, results, settings.batch_s)
    except (CannotMeasureError, BlobError) as error:
        click.echo(f"Error: {error}", err=True)
        code = Exit.SUITE_ERROR
    except StoppedError as stopped:
        code = Exit.of_signal(stopped.number)
    except KeyboardInterrupt:
        code = Exit.SIGINT
    if results is None:
        return code
    described = description.describe()
    text = json.dumps(results.document(described.properties()), indent=1) + "\n"
    if output is not None:
        _write(output, text)
    if as_json:
        click.echo(text, nl=False)
    else:
        bench_report.show(results, described.headline(), bench_report.console())
    missing = results.without_result()
    if code == Exit.HELD and missing:
        words = ", ".join(f"{case} with {threads}" for case, threads in missing)
        return TERMINAL.refuse(f"no valid batch of: {words} (threads).", Exit.SUITE_ERROR)
    return code


def _measure(machine: Bench, results: BenchResults, batch_s: float) -> int:
    screen = bench_report.console(stderr=True)
    progress = Progress(
        TextColumn("measuring"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} batches"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        # Drawn between batches only: a thread that draws would take a processor from them.
        auto_refresh=False,
        disable=not sys.stderr.isatty(),
    )
    signs = Signs(
        lambda text: click.echo(f"  {text}", err=True),
        lambda: f"measuring, {len(results.batches)} of {results.expected} batches",
    )
    with progress:
        bar = progress.add_task("", total=results.expected)
        for batch in machine.batches():
            results.take(batch)
            progress.advance(bar)
            if len(results.batches) % 10 == 0:
                progress.refresh()
            if progress.disable:
                signs.look(batch_s)
            if batch.hung:
                click.echo(
                    f"Error: {batch.case}: {batch.problem}. The benchmark ends here: run "
                    "`kvm-conformance run` to see which claims this kernel breaks.",
                    err=True,
                )
                return Exit.SUITE_ERROR
    results.complete = True
    return Exit.HELD
