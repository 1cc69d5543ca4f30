# SPDX-License-Identifier: GPL-2.0-only
"""From pytest's hooks to results, the journal and the exit status.

It works in one process only: pytest's own, or the controller of pytest-xdist.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import files
from harness.claims import catalogue, chapters
from harness.reporting import (
    environment,
    journal,
    markers,
    output,
    plan,
    proof,
    results,
    verdict,
    verdict_text,
    whole,
)
from harness.reporting.selection import Rest

NAME = "conformance-recorder"
#: The exit status where nothing failed and there is no verdict: the launcher's Exit.SUITE_ERROR.
NO_VERDICT = os.EX_SOFTWARE
#: The exit statuses of this process's sessions, for who must tell them from Python's and pytest's.
concluded: list[int] = []


class Recorder:
    """Takes the hooks of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._output = output.keep(1)  # before pytest's reporter takes hold of it
        self._assembler = results.Assembler(proof=self._proof)
        self._results: list[results.Result] = []
        self._collection_errors = 0
        self._plan: plan.TestPlan = {}
        self._rest = Rest()
        self._is_planned = False
        self._begun: dict[str, None] = {}
        self._done: set[str] = set()
        self._broke = ""
        self._journal: journal.Writer | None = None
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
            files.write(directory / "environment.json", f"{text}\n")
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

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(
        self, excrepr: Any, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> None:
        """pytest itself broke, or a worker of it: whatever was found, there is no verdict.

        pytest prints a traceback behind this. Where the journal keeps it, a sentence does.
        """
        # pytest-xdist raises a worker's traceback anew, as the text of `assert False`.
        lines = excinfo.exconly().removesuffix("assert False").split("\n")
        self._broke = f"pytest broke off: {[line.strip() for line in lines if line.strip()][-1]}"
        self._trouble("pytest", results.shorten(str(excrepr)))
        if self._journal:
            file = Path(self._config.option.results) / journal.NAME
            told = f"{self._broke}; the traceback is in {file}"
            excrepr.toterminal = lambda writer: writer.line(told)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without workers the plan is known here."""
        self._planned(plan.of_items(session.items), whole.rest(session))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        plan.lend(self._config, node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """A worker has collected; all collect the same."""
        found = plan.take_back(self._config, node)
        if found is None:
            self._trouble(str(node.gateway.id), "a worker on another machine tells no plan")
        elif not self._is_planned:
            self._planned(*found)

    def _planned(self, found: plan.TestPlan, rest: Rest) -> None:
        self._plan, self._rest, self._is_planned = found, rest, True
        if self._journal and (found or rest):
            self._journal.planned(dict(found.values()), rest)

    def _identifier(self, nodeid: str, report: pytest.TestReport | None = None) -> str:
        """A suite's test by its result id, which travels with its reports; else an empty text."""
        told = dict(report.user_properties).get("id", "") if report else ""
        return str(told) or self._plan.get(nodeid, ("", ""))[0]

    # ---- each test

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        identifier = self._identifier(nodeid)
        if identifier:
            self._begun[identifier] = None
            self._proofs.begin(identifier)
            if self._journal:
                self._journal.start(identifier)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is through."""
        identifier = self._identifier(report.nodeid, report)
        if not identifier:
            return
        node = getattr(report, "node", None)
        worker = str(node.gateway.id) if node is not None else ""
        result = self._assembler.add(report, identifier, now=journal.now(), worker=worker)
        if result is None:
            return
        self._proofs.end()
        self._take(result)

    def _full(self, error: OSError) -> None:
        """A run whose results cannot be kept is over."""
        why = f"the journal cannot be written: {error.strerror}"
        pytest.exit(why, returncode=output.UNTOLD)

    def _proof(self, identifier: str) -> str:
        return self._proofs.of(identifier)

    def _take(self, result: results.Result) -> None:
        if not result.claim:
            known = dict(self._plan.values()).get(result.id, "")
            result = dataclasses.replace(result, claim=known)
        if result.id in self._done:
            self._trouble(result.id, f"a second result, {result.outcome.value}: {result.message}")
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
        if self._broke:
            for name in [each for each in self._begun if each not in self._done]:
                self._take(self._assembler.lose(name, self._broke, now=journal.now()))
        session.exitstatus = self._status(session.exitstatus)
        yield
        session.exitstatus = self._status(session.exitstatus)  # somebody may have made it a success
        self._proofs.close()
        if self._journal:
            left_out = len(self._plan) - len(self._results)
            if self._config.option.stop_after is not None and left_out > 0:
                self._journal.stopped_early(self._config.option.stop_after, left_out)
            self._journal.end(int(session.exitstatus))
            self._journal.close()
        if self._has_verdict(session.exitstatus):
            self._tell()
        told_nothing = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._output is not None and self._output.lost() and session.exitstatus in told_nothing:
            session.exitstatus = output.UNTOLD
        concluded.append(int(session.exitstatus))

    def _has_verdict(self, status: int) -> bool:
        """Whether tests of the suites were to run."""
        option = self._config.option
        lists = option.collectonly or option.showfixtures or option.show_fixtures_per_test
        if lists or status == pytest.ExitCode.USAGE_ERROR:
            return False
        if not self._is_planned:  # somebody ended the run before
            return whole.asks_for_suites(self._config, self._config.rootpath)
        return bool(self._plan or self._results or self._rest)

    def _findings(self) -> verdict.Findings:
        return verdict.judge(
            self._results,
            planned=dict(self._plan.values()),
            claims=catalogue(),
            collection_errors=self._collection_errors,
            rest=self._rest,
        )

    def _status(self, status: int) -> int:
        """pytest's exit status; its success and its failure stand only where the verdict is one."""
        known = (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        )
        if status not in known or not self._has_verdict(status):
            return status
        findings = self._findings()
        if findings.having(verdict.ClaimState.FAILED):
            return pytest.ExitCode.TESTS_FAILED
        early = findings.run < findings.planned
        broken = findings.having(verdict.ClaimState.BROKEN) or self._collection_errors
        if broken or early or self._rest or not self._is_planned:
            return NO_VERDICT
        if not findings.having(verdict.ClaimState.HELD, verdict.ClaimState.PARTLY):
            required = self._config.option.require_kvm
            return pytest.ExitCode.TESTS_FAILED if required else pytest.ExitCode.NO_TESTS_COLLECTED
        # A failure of others than the suites' tests speaks against no kernel.
        return pytest.ExitCode.OK if status == pytest.ExitCode.OK else NO_VERDICT

    def _tell(self) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        width = terminal._tw.fullwidth if terminal else shutil.get_terminal_size((80, 24)).columns
        lines = verdict_text.render(
            self._findings(),
            environment=environment.of(self._config),
            claims=catalogue(),
            chapters=chapters(),
            width=width,
            absent=not markers.chosen(self._config).narrowed,
            architecture=markers.host_architecture(),
        )
        if terminal is None:  # -p no:terminal: whatever else is silent, the verdict is not
            sys.stdout.write("".join(f"{line.text}\n" for line in lines))
            return
        terminal.write_line("")
        for line in lines:
            terminal.write_line(line.text, **line.markup)
