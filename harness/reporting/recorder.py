# SPDX-License-Identifier: GPL-2.0-only
"""From pytest's hooks to results, the journal and the exit status.

It works in one process only: pytest's own, or the controller of pytest-xdist.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.claims import catalogue, chapters
from harness.reporting import (
    environment,
    identity,
    journal,
    markers,
    output,
    plan,
    proof,
    results,
    verdict,
)

NAME = "conformance-recorder"


class Recorder:
    """Takes the hooks of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._output = output.keep(1)  # before pytest's reporter takes hold of it
        self._assembler = results.Assembler(proof=self._proof)
        self._results: list[results.Result] = []
        self._collection_errors = 0
        self._plan: plan.Plan = {}
        self._journal: journal.Writer | None = None
        self._done: set[str] = set()
        self._proofs = proof.Proofs()

    # ---- the session's beginning

    def pytest_sessionstart(self) -> None:
        """Begin the journal, if there is to be one."""
        folder = self._config.option.results
        if folder is None or self._config.option.collectonly:
            return
        host = environment.of(self._config)
        self._assembler = results.Assembler(common=host, proof=self._proof)
        directory = Path(folder)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            text = json.dumps(host, indent=2, sort_keys=True)
            (directory / "environment.json").write_text(f"{text}\n", encoding="utf-8")
            self._journal = journal.Writer(directory / journal.NAME, full=self._full)
            self._journal.session(host, self._config.option.run_id or journal.new_run())
        except OSError as error:
            raise pytest.UsageError(
                f"--results: cannot write {error.filename or directory}: {error.strerror}"
            ) from None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected is an error of the suite."""
        if report.failed:
            self._trouble(report.nodeid, results.shorten(report.longreprtext))

    def _trouble(self, where: str, message: str) -> None:
        self._collection_errors += 1
        if self._journal:
            self._journal.collection_error(where, message)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without workers the plan is known here."""
        if session.items:
            self._planned(plan.of_items(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        plan.lend(self._config, node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """A worker has collected; all collect the same."""
        found = plan.take_back(self._config, node)
        if not self._plan:
            self._planned(found)

    def _planned(self, found: plan.Plan) -> None:
        self._plan = found
        if self._journal and found:
            self._journal.planned(dict(found.values()))

    # ---- each test

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        if identity.is_suite_test(nodeid):
            self._proofs.begin(identity.result_id(nodeid))
            if self._journal:
                self._journal.start(identity.result_id(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is through."""
        if not identity.is_suite_test(report.nodeid):
            return
        node = getattr(report, "node", None)
        worker = str(node.gateway.id) if node is not None else ""
        result = self._assembler.add(report, now=journal.now(), worker=worker)
        if result is None:
            return
        self._proofs.end()
        self._take(result, report.nodeid)

    def _full(self, error: OSError) -> None:
        """A run whose results cannot be kept is over."""
        why = f"the journal cannot be written: {error.strerror}"
        pytest.exit(why, returncode=output.UNTOLD)

    def _proof(self, identifier: str) -> str:
        return self._proofs.of(identifier)

    def _take(self, result: results.Result, nodeid: str = "") -> None:
        if not result.claim:
            known = self._plan.get(nodeid, ("", ""))[1]
            result = dataclasses.replace(result, claim=known)
        if result.id in self._done:
            self._trouble(nodeid, f"a second result, {result.outcome.value}: {result.message}")
            return
        self._done.add(result.id)
        self._results.append(result)
        if self._journal:
            self._journal.result(result)

    # ---- the session's end

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Decide the exit status first, end the journal and tell the verdict last."""
        for result in self._assembler.abandoned(now=journal.now()):
            self._take(result)
        if self._nothing_tested() and session.exitstatus == pytest.ExitCode.OK:
            required = self._config.option.require_kvm
            session.exitstatus = (
                pytest.ExitCode.TESTS_FAILED if required else pytest.ExitCode.NO_TESTS_COLLECTED
            )
        if self._no_verdict() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield
        self._proofs.close()
        if self._journal:
            left_out = len(self._plan) - len(self._results)
            if self._config.option.stop_after is not None and left_out > 0:
                self._journal.stopped_early(self._config.option.stop_after, left_out)
            self._journal.end(int(session.exitstatus))
            self._journal.close()
        if (self._plan or self._results) and not self._config.option.collectonly:
            self._tell()
        told_nothing = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._output is not None and self._output.lost() and session.exitstatus in told_nothing:
            session.exitstatus = output.UNTOLD

    def _no_verdict(self) -> bool:
        """Whether a test broke, or never ran, in a way that pytest itself takes for a success."""
        well = (results.Outcome.PASSED, results.Outcome.SKIPPED)
        config = self._config.option
        missing = len(self._done) < len(self._plan) and config.stop_after is None
        broken = any(result.outcome not in well for result in self._results)
        return bool(self._collection_errors) or broken or (missing and not config.collectonly)

    def _nothing_tested(self) -> bool:
        skipped = results.Outcome.SKIPPED
        return bool(self._results) and all(r.outcome is skipped for r in self._results)

    def _tell(self) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        findings = verdict.judge(
            self._results,
            planned=dict(self._plan.values()),
            claims=catalogue(),
            collection_errors=self._collection_errors,
        )
        whole = not markers.chosen(self._config).narrowed
        lines = verdict.render(
            findings,
            environment=environment.of(self._config),
            claims=catalogue(),
            chapters=chapters(),
            width=terminal._tw.fullwidth,
            absent=whole,
            architecture=markers.host_architecture(),
        )
        terminal.write_line("")
        for line in lines:
            terminal.write_line(line.text, **line.markup)
