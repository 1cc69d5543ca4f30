# SPDX-License-Identifier: GPL-2.0-only
"""Signs of life of plain `pytest -n auto`, from the controller of pytest-xdist.

A thread tells them, for xdist's loop calls nobody while no worker reports. Only the controller has
one: it runs no test, so no check for threads left behind and no signal of a test meets it. One
process that runs the tests itself stays silent, and so does `-q`. The launcher forbids these
signs and tells its own from outside (lab/launch/signs.py), in each of its ways to run pytest alike.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from harness.reporting import identity
from harness.reporting.standing import Standing
from harness.signs import Signs

NAME = "conformance-alive"
THREAD = "signs of life"
_TICK_S = 0.5


def add_options(parser: pytest.Parser) -> None:
    """--no-signs."""
    parser.getgroup("immediate_exit conformance").addoption(
        "--no-signs",
        action="store_true",
        help="no line that tells what runs when no test of -n ended for 10 s",
    )


class Alive:
    """Takes the hooks of a controller's session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._standing = Standing()
        # Held while pytest prints a report, and while a sign is printed.
        self._printing = threading.RLock()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Signs while xdist's loop goes on, collection included."""
        plugins = self._config.pluginmanager
        terminal = plugins.get_plugin("terminalreporter")
        if terminal is None or not plugins.has_plugin("dsession"):
            return (yield)
        if self._config.option.no_signs or self._config.option.verbose < 0:
            return (yield)
        over = threading.Event()
        thread = threading.Thread(target=self._tell, args=(terminal, over), name=THREAD)
        thread.start()
        try:
            return (yield)
        finally:
            over.set()
            thread.join()

    def _tell(self, terminal: pytest.TerminalReporter, over: threading.Event) -> None:
        def say(text: str) -> None:
            # pytest's writer knows whether its line of dots is open.
            if terminal._tw.width_of_current_line:
                terminal._tw.line()
            terminal.write_line(f"  {text}")
            terminal.flush()  # a pipe or a file would get it with the next test's dot

        signs = Signs(say, self._standing.describe)
        reported = self._standing.reported
        while not over.wait(_TICK_S):
            with self._printing:
                if reported != self._standing.reported:
                    reported = self._standing.reported
                    signs.said()
                signs.look()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """A worker has collected; all collect the same."""
        with self._printing:
            self._standing.planned = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        with self._printing:
            self._standing.start(_name(nodeid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Iterator[None]:
        """A phase of a test is through; that of a worker that died has no name of its own."""
        with self._printing:
            if report.when not in ("setup", "call"):
                self._standing.finish(_name(report.nodeid))
            return (yield)


def _name(nodeid: str) -> str:
    try:
        return identity.result_id(nodeid)
    except identity.IdentityError:
        return nodeid
