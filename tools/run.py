# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance run``: the suites on this host, a folder of results, and an exit code.

pytest runs as a child in its own process group. The exit code comes from the journal, not from
pytest: a run that was killed, crashed or skipped everything has a code of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import files
from harness.claims import CatalogueError, catalogue, chapters
from harness.emulation.lost import LostVm
from harness.reporting import variants
from harness.reporting.asserting import OPTIMIZED
from harness.reporting.identity import SUITES
from harness.reporting.journal import new_run
from harness.reporting.selection import Selection, SelectionError, select
from tools import ending, finish, folder_lock, options, process_group
from tools.exit_codes import Exit, untold
from tools.kernel_log import Copy
from tools.run_signs import RunSigns

if TYPE_CHECKING:
    from harness.host import Obstacle  # which loads the native extension

ROOT = Path(__file__).resolve().parent.parent

#: Variables that would change what pytest does (options for it follow ``--``), or what it takes
#: this host for: an emulated one, where tools/emulated_run.py sets them, is excused for more.
_NOT_HANDED_ON = (
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONOPTIMIZE"),
    *("KVM_CONFORMANCE_TIER", "KVM_CONFORMANCE_EMULATOR"),
)

DEFAULT_BUDGET = "quick"

EXTRA = "tools.run.pytest_arguments"

#: Options of pytest with which it only prints something.
_RUN_NO_TEST = (
    *("-h", "--help", "-V", "--version", "--co", "--collect-only", "--markers"),
    *("--fixtures", "--funcargs", "--fixtures-per-test", "--cache-show"),
)


class WithPytestArguments(click.Command):
    """A command that leaves what follows ``--`` to pytest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the arguments at ``--``."""
        if "--" in args:
            place = args.index("--")
            ctx.meta[EXTRA] = extra = tuple(args[place + 1 :])
            args = args[:place]
            if idle := [word for word in extra if word.partition("=")[0] in _RUN_NO_TEST]:
                raise click.UsageError(
                    f"with {idle[0]} pytest runs no test: `run --list` lists what would run,"
                    " and pytest without the launcher prints the rest",
                    ctx,
                )
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Request:
    """What was asked for. ``output`` is None for a new folder under ./results.

    ``run`` is the id that the journal gets; pytest makes one where it is empty.
    """

    suites: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    output: Path | None = None
    jobs: str = "auto"
    require_kvm: bool = False
    budget: str = DEFAULT_BUDGET
    pytest_arguments: tuple[str, ...] = ()
    variants: str = variants.ALL
    run: str = ""


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
@options.jobs("Workers; 0 is one process.")
@click.option("--require-kvm", is_flag=True, help="A run that could test nothing is a failure.")
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
        suites, claims, output, jobs, require_kvm, budget, extra, variants=chosen_variants
    )
    selection = chosen(request)
    if message := missing_extension():
        return refuse(message, Exit.SUITE_ERROR)
    if message := ending.no_temporary_folder():
        return refuse(message, Exit.CANNOT_WRITE)
    if listing:
        return list_tests(request)
    obstacle = _obstacle()
    if obstacle is None:
        return launch(request, selection)
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
    return launch(request, selection)


def _given(ctx: click.Context) -> set[str]:
    """The parameters that were on the command line, not left to their defaults."""
    default = click.core.ParameterSource.DEFAULT
    return {name for name in ctx.params if ctx.get_parameter_source(name) is not default}


def chosen(request: Request) -> Selection:
    """What --suite and --claim choose. Raises click's exceptions."""
    try:
        return select(
            catalogue(), chapters(), wanted_claims=request.claims, wanted_suites=request.suites
        )
    except SelectionError as error:
        raise click.UsageError(str(error)) from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None


def missing_extension() -> str:
    """Why the native extension cannot be used, or an empty text."""
    try:
        importlib.import_module("harness.native")
    except ImportError as error:
        return f"the native extension cannot be loaded ({error}). Run `make setup`."
    return ""


def _obstacle() -> Obstacle | None:
    host = importlib.import_module("harness.host")
    found: Obstacle | None = host.preflight()
    return found


def list_tests(request: Request, *, root: Path = ROOT) -> int:
    """Print result id and claim of each test that would run. Opens no device."""
    with tempfile.NamedTemporaryFile(prefix="kvm-conformance-plan-") as plan:
        command = [
            *pytest_command(request, root),
            *request.pytest_arguments,
            *("--collect-only", "-qq", f"--plan={plan.name}"),
        ]
        done = subprocess.run(
            command, cwd=root, env=environment(), check=False, capture_output=True, text=True
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


def launch(request: Request, selection: Selection, *, root: Path = ROOT) -> int:
    """Run the suites below ``root``, and complete the folder of results."""
    if sys.flags.optimize:
        return refuse(OPTIMIZED, Exit.USAGE)
    try:
        with output_folder(request.output) as output:
            return _launch(dataclasses.replace(request, run=new_run()), selection, root, output)
    except OSError as error:
        return refuse(not_writable(error, request.output), Exit.CANNOT_WRITE)
    except folder_lock.HeldError as error:
        return refuse(taken(error, request.output), Exit.CANNOT_WRITE)


def _launch(request: Request, selection: Selection, root: Path, output: Path) -> int:
    if not (root / SUITES).is_dir():
        text = f"there is no folder {root / SUITES}: this checkout is not whole"
        return refuse(text, Exit.SUITE_ERROR)
    kernel_log = Copy(output / "kernel.log")
    click.echo(f"Results go to {nearest(output)}")
    command = [
        *pytest_command(request, root),
        *("-p", "xdist.plugin", f"--numprocesses={request.jobs}"),
        *recording(request, output),
    ]
    words = {finish.LAST_WORDS: str(output / finish.LAST_WORDS_FILE)}
    signs = RunSigns(output / finish.JOURNAL)

    def tick() -> None:
        kernel_log.more()
        signs.look()

    def afterwards(ended: process_group.Ended) -> int:
        kernel_log.close()
        how = (ended.status, ended.stopped_by)
        code = complete(output, request, selection, *how, alarms=kernel_log.alarms)
        if kernel_log.lost:
            return refuse(f"kernel.log cannot be written: {kernel_log.lost}.", untold(code))
        return code

    try:
        return process_group.run(
            command, cwd=root, env={**environment(), **words}, tick=tick, afterwards=afterwards
        )
    except process_group.NotStartedError as error:
        return refuse(
            f"pytest cannot be started by {sys.executable}: {error}. Run `make setup` as "
            "this user, or choose another Python by PYTHON=.",
            Exit.SUITE_ERROR,
        )


def complete(
    output: Path,
    request: Request,
    selection: Selection,
    status: int,
    stopped_by: signal.Signals | None,
    *,
    lost: LostVm | None = None,
    alarms: Sequence[tuple[str, str]] = (),
) -> int:
    """`finish.finish` of a run that was asked for; the exit code."""
    return finish.finish(
        output,
        status=status,
        stopped_by=stopped_by,
        require_kvm=request.require_kvm,
        narrowed=selection.narrowed,
        lost=lost,
        run=request.run,
        alarms=alarms,
    )


def recording(request: Request, output: Path) -> list[str]:
    """pytest's words for a run whose results are kept, and at last those of the user."""
    return [
        f"--results={output}",
        # pytest follows a link there; in the folder of another user it is made afterwards.
        *([f"--junitxml={output / finish.JUNIT}"] if _is_own(output) else []),
        *([f"--run-id={request.run}"] if request.run else []),
        *(["--require-kvm"] if request.require_kvm else []),
        *request.pytest_arguments,
    ]


def environment() -> dict[str, str]:
    """This process's, without what changes pytest; a line tells what was dropped.

    pytest then loads the plugins that it is told to, and none because it is installed.
    """
    dropped = [name for name in _NOT_HANDED_ON if os.environ.get(name)]
    if dropped:
        text = f"Not handed on to pytest: {', '.join(dropped)}. Options for it follow `--`."
        click.secho(text, fg="yellow", err=True)
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def pytest_command(request: Request, root: Path) -> list[str]:
    """pytest with what was asked for; without workers and results."""
    return [
        *(sys.executable, "-m", "pytest", "-c", str(root / "pytest.ini"), f"--rootdir={root}"),
        *("-p", "no:cacheprovider", "--no-signs"),
        *(f"--suite={name}" for name in request.suites),
        *(f"--claim={name}" for name in request.claims),
        *([f"--budget={request.budget}"] if request.budget != DEFAULT_BUDGET else []),
        *([f"--variants={request.variants}"] if request.variants != variants.ALL else []),
    ]


@contextlib.contextmanager
def output_folder(wanted: Path | None, release: str = "") -> Iterator[Path]:
    """The folder, held for the block, and emptied of an earlier run's files.

    ``release`` is the kernel's.

    :raises OSError: it cannot be made or written.
    :raises HeldError: another run writes there.
    """
    if wanted is None:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
        folder = _new_folder(Path("results") / f"{stamp}-{release or os.uname().release}")
        _point_latest_to(folder)
    else:
        folder = wanted
        folder.mkdir(parents=True, exist_ok=True)
    with folder_lock.held(folder):
        for name in finish.FILES:
            (folder / name).unlink(missing_ok=True)
        probe = folder / finish.JOURNAL
        os.close(files.create(probe))
        probe.unlink()
        yield folder.resolve()


def not_writable(error: OSError, wanted: Path | None) -> str:
    """The sentence for results that cannot be written."""
    name = error.filename or wanted or "results"
    return f"the results cannot be written to {name}: {error.strerror}. Choose another --output."


def taken(holder: folder_lock.HeldError, wanted: Path | None) -> str:
    """The sentence for a folder that another run has."""
    return f"{holder} writes its results to {wanted}: wait for it, or choose another --output."


def _is_own(folder: Path) -> bool:
    return folder.stat().st_uid == os.geteuid()


def _new_folder(wanted: Path) -> Path:
    # Apart, for what stands in the place of its parents is no reason to try another name.
    wanted.parent.mkdir(parents=True, exist_ok=True)
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")


def _point_latest_to(folder: Path) -> None:
    latest = folder.parent / "latest"
    fresh = folder.parent / f".latest-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    if latest.is_dir() and not latest.is_symlink():
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.unlink(missing_ok=True)
        return  # somebody's own folder of that name
    fresh.replace(latest)


def nearest(path: Path) -> str:
    """A folder's path for people."""
    try:
        return f"{path.relative_to(Path.cwd())}/"
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return f"{path}/"


def refuse(message: str, code: int) -> int:
    """Say what is wrong; the exit code."""
    click.echo(f"Error: {message}", err=True)
    return code
