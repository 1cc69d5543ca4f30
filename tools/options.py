# SPDX-License-Identifier: GPL-2.0-only
"""Options that several commands share, each with its check."""

from __future__ import annotations

import importlib
import math
import os
import platform
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from harness.claims import catalogue, chapters
from harness.reporting import variants
from lab.comparison import baseline as baselines
from lab.comparison.baseline import Baseline, BaselineError
from lab.comparison.expected import Expectation
from lab.emulation import arch
from lab.launch.duration import duration
from lab.results.dialects import DIALECTS
from lab.results.exports import Exports
from lab.results.formats import FORMATS
from tools.dialect import Spoken, checked

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

#: More than any host has processors for.
MOST_AT_ONCE = 999
MONTH_S = 30 * 86_400


class Place(click.Path):
    """A path. An empty one, which a script's unset variable gives, would be the current folder."""

    def __init__(self, **limits: bool) -> None:
        super().__init__(path_type=Path, **limits)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the empty path, and a folder of results of which only names can be read."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        path = super().convert(value, param, ctx)
        if self.exists and os.path.isdir(path) and not os.access(path, os.X_OK):  # noqa: PTH112
            self.fail(f"folder {str(path)!r} may not be entered by this user", param, ctx)
        return path


class Number(click.FloatRange):
    """A number in a range, where click lets NaN through: each comparison with it is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse NaN."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def _modules() -> str:
    """KVM's modules by name, where it has some: `kvm.ko and ...`."""
    here = arch.known().get(platform.machine())
    return " and ".join(f"{name}.ko" for name in here.modules) if here else ""


EXTRA = "tools.options.pytest_arguments"

suites = click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME",
    help="Only this suite.",
    shell_complete=lambda ctx, param, word: _beginning(word, chapters()),
)
claims = click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="ID",
    help="Only this claim, chapter or pattern.",
    shell_complete=lambda ctx, param, word: _beginning(word, [*chapters(), *catalogue()]),
)
exports = click.option(
    "--export",
    "exports",
    multiple=True,
    metavar="FORMAT=FILE",
    callback=lambda ctx, param, values: (*map(_export, values), *_of_dialect(ctx)),
    help="Also render the results so, as `export` does; can be given more than once.",
)
dialect = click.option(
    "--dialect",
    type=click.Choice(list(DIALECTS)),
    metavar="NAME",
    expose_value=False,
    callback=checked,
    help="Exit code and standard output as NAME takes them:"
    f" {', '.join(DIALECTS)} (docs/consumers.md).",
)
architecture = click.option(
    "--arch",
    "architecture",
    default="",
    show_default="this host's",
    metavar="ARCH[/MODE]",
    help=f"Another architecture: {', '.join(arch.choices())}.",
)
kvm_modules = click.option(
    "--kvm-modules",
    type=Place(exists=True, file_okay=False),
    metavar="DIR",
    help=f"Load {_modules() or 'KVM'} from here instead of the kernel's own.",
)


def _beginning(word: str, names: Iterable[str]) -> list[str]:
    """Those that a shell may make of a word."""
    return [name for name in names if name.startswith(word)]


require_kvm = click.option(
    "--require-kvm",
    is_flag=True,
    callback=lambda ctx, param, value: _check_required(ctx, value),
    help="A run that could test nothing is a failure.",
)


def output(name: str) -> Option:
    """--output, a folder that is new by default: results/`name`."""
    return click.option(
        "--output",
        type=Place(),
        metavar="DIR",
        help=f"Where the results go; default results/{name}.",
    )


def jobs(text: str) -> Option:
    """--jobs, the workers of pytest-xdist."""
    return click.option(
        "--jobs", default="auto", show_default=True, metavar="N", callback=_check_jobs, help=text
    )


def kicks(default: str, name: str = "--budget") -> Option:
    """The budget of the races, by default under the name --budget."""
    return click.option(
        name,
        default=default,
        show_default=True,
        metavar="NAME|N",
        callback=_check_kicks,
        help="Kicks a race protocol gets: quick, ci, nightly, or a number.",
    )


def variant(default: str) -> Option:
    """--variants."""
    return click.option(
        "--variants",
        "chosen_variants",
        type=click.Choice([variants.ALL, variants.ONE]),
        default=default,
        show_default=True,
        help="Each test in every guest mode and with every interrupt controller, or in one.",
    )


def expected(command: Callable[..., Any]) -> Callable[..., Any]:
    """--expect and --strict-skips, of which `expectation` makes one value."""
    strict = click.option(
        "--strict-skips",
        is_flag=True,
        help="With --expect: where it does not declare a skip, the run is no success (70).",
    )
    given = click.option(
        "--expect",
        "baseline",
        type=Place(),
        metavar="FILE",
        callback=_check_baseline,
        help="What may be skipped and what is known to fail, by `baseline`; all else is told.",
    )
    return given(strict(command))


def expectation(baseline: Baseline | None, strict_skips: bool) -> Expectation | None:
    """What `expected` took. Raises `click.UsageError` for one half without the other."""
    if baseline is not None:
        return Expectation(baseline, strict_skips)
    if strict_skips:
        raise click.UsageError("--strict-skips needs --expect FILE, which may declare nothing")
    return None


def limit(name: str, default_s: float, text: str) -> Option:
    """A bound in seconds for an emulated machine."""
    return click.option(
        name,
        type=Number(10, MONTH_S),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def lasting(default: str | None = None) -> Option:
    """--for, a duration in seconds; it must be given where it has no default."""
    given: dict[str, Any] = {"default": default, "show_default": True}
    return click.option(
        "--for",
        "seconds",
        metavar="TIME",
        callback=check_duration,
        help="How long: 90s, 15m, 8h, 2d, 1h30m.",
        **(given if default else {"required": True}),
    )


def check_duration(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """A text such as 90s as seconds."""
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _check_required(ctx: click.Context, required: bool) -> bool:
    """A failure that says nothing about the kernel is none to git."""
    if required and isinstance(ctx.obj, Spoken) and ctx.obj.name == "bisect":
        raise click.UsageError(
            "--require-kvm would make git blame a commit of which nothing is known"
        )
    return required


def _of_dialect(ctx: click.Context) -> Exports:
    """The file that the dialect needs."""
    return ctx.obj.exports if isinstance(ctx.obj, Spoken) else ()


def _check_baseline(
    _ctx: click.Context, _param: click.Parameter, value: Path | None
) -> Baseline | None:
    """A path as what its file declares."""
    if value is None:
        return None
    try:
        return baselines.read(value)
    except BaselineError as error:
        raise click.BadParameter(f"{error}.") from None


def _export(value: str) -> tuple[str, Path]:
    """FORMAT=FILE as a pair."""
    wanted, _, file = value.partition("=")
    if wanted not in FORMATS:
        raise click.BadParameter(f"{wanted!r} is none of {', '.join(FORMATS)}.")
    if not file:
        raise click.BadParameter(f"{value!r} names no file: {wanted}=FILE.")
    if not Path(file).parent.is_dir():
        raise click.BadParameter(f"there is no folder {Path(file).parent} for {Path(file).name}.")
    return wanted, Path(file)


def _check_jobs(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A number, or auto."""
    if value == "auto":
        return value
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is neither a number of workers nor 'auto'")
    if len(value) > len(str(MOST_AT_ONCE)):
        raise click.BadParameter(f"{value:.20} workers: there may be {MOST_AT_ONCE} at most")
    return value


def _check_kicks(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A budget that cannot be is wrong usage."""
    try:
        budget = importlib.import_module("harness.kick.budget")
    except ImportError:
        return value  # without the extension nothing runs, and the sentence for that comes later
    try:
        budget.Budget.of(value)
    except budget.BudgetError as error:
        raise click.BadParameter(str(error)) from None
    return value


def words(text: str, option: str) -> tuple[str, ...]:
    """An option's text split as a shell would. Raises `click.UsageError` for an open quote."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"{option}: {error} in {text!r}") from None


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
