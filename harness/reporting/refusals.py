# SPDX-License-Identifier: GPL-2.0-only
"""What the suites are not run with: ways to start pytest that give no verdict, or a wrong one.

Refused before anything runs, and only where tests of the suites are asked for. What slips through
is seen by its effect: harness/reporting/once.py and harness/reporting/whole.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.reporting import identity
from harness.reporting.whole import asks_for_suites

PLUGIN = "harness.reporting.plugin"

_AGAIN = "a second try hides the loss that the suite looks for"
_APART = "what a test leaves behind in a process of its own is not seen"
_CLOCK = "by a limit of time a busy host fails, not its kernel"


@dataclass(frozen=True)
class _Plugin:
    """A plugin of pytest, by the option, ini value or variable that makes it act on each test."""

    name: str
    option: str
    why: str
    idle: tuple[object, ...] = (None, False, 0, "", "0")


_PLUGINS = (
    _Plugin("pytest-rerunfailures", "reruns", _AGAIN),
    _Plugin("pytest-retry", "retries", _AGAIN),
    _Plugin("flaky", "force_flaky", _AGAIN),
    _Plugin("pytest-repeat", "count", _AGAIN, (None, 1, "1")),
    _Plugin("pytest-flakefinder", "flake_finder_enable", _AGAIN),
    _Plugin("pytest-forked", "forked", _APART),
    _Plugin("pytest-timeout", "timeout", _CLOCK),
)

_UNSEEN = "a thread of a test that dies, or a descriptor that is collected open, would only warn"
#: Parts of pytest without which a test passes that should not, or whose lack breaks pytest.
_NEEDED = {
    "warnings": _UNSEEN,
    "threadexception": _UNSEEN,
    "unraisableexception": _UNSEEN,
    "reports": "without it no worker can tell what a test found",
}
#: Errors by pytest.ini.
_ERRORS = (pytest.PytestUnhandledThreadExceptionWarning, pytest.PytestUnraisableExceptionWarning)


def check(config: pytest.Config) -> None:
    """Raise `pytest.UsageError`, with what to do instead."""
    home = _home(config)
    if not asks_for_suites(config, home):
        return
    why = next(filter(None, _reasons(config, home)), None)
    if why:
        raise pytest.UsageError(why)


def _reasons(config: pytest.Config, home: Path) -> Iterable[str]:
    if config.rootpath.resolve() != home or config.inipath != config.rootpath / "pytest.ini":
        yield (
            f"the suites run with {home / 'pytest.ini'} and --rootdir={home}, not with "
            f"{config.inipath or 'no configuration'} and {config.rootpath}: leave -c and --rootdir "
            f"out, and start pytest in {home}"
        )
    if not (home / identity.SUITES).is_dir():
        yield f"there is no folder {home / identity.SUITES}: this checkout is not whole"
    if getattr(config.option, "setuponly", False) or getattr(config.option, "setupplan", False):
        yield "--setup-only and --setup-plan run no test; --collect-only lists them"
    for spec in getattr(config.option, "tx", None) or []:
        if not spec.rpartition("*")[2].startswith("popen"):
            yield f"--tx={spec}: a worker on another machine would test that one's kernel"
    for name, why in _NEEDED.items():
        if not config.pluginmanager.has_plugin(name):
            yield f"-p no:{name}: {why}"
    for category in _ERRORS:
        try:
            config.issue_config_time_warning(category("tried by the suites"), stacklevel=2)
        except category:
            continue
        yield (
            f"{category.__name__} is no error here: {_UNSEEN}. Leave -W and -o filterwarnings out"
        )
    for plugin in _PLUGINS:
        value = _setting(config, plugin.option)
        if value not in plugin.idle:
            yield f"{plugin.name} ({plugin.option} = {value}) is at work: {plugin.why}"


def _setting(config: pytest.Config, name: str) -> Any:
    """An option's value; else that of the ini file, which -o may give; else of the environment."""
    value = getattr(config.option, name, None)
    if not value:
        try:
            value = config.getini(name)
        except (KeyError, ValueError):
            value = None  # no plugin has it
        else:
            value = value or os.environ.get(f"PYTEST_{name.upper()}")
    return value


def _home(config: pytest.Config) -> Path:
    """The folder of the conftest.py that names the plugin: the project's own root."""
    for module in config.pluginmanager.get_plugins():
        if PLUGIN in getattr(module, "pytest_plugins", ()):
            return Path(str(module.__file__)).resolve().parent
    return config.rootpath.resolve()
