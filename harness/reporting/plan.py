# SPDX-License-Identifier: GPL-2.0-only
"""What a run is going to do: node id -> (result id, claim), in the order of collection.

And what else the chosen claims have (harness/reporting/whole.py).

With pytest-xdist the workers collect and the controller records, and all that xdist carries
between them are node ids. The controller needs the claims too, for a test whose worker dies
in its set-up. So it lends each worker a file in memory, by its path under /proc: nothing is left
behind, however a run ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.reporting import output, whole
from harness.reporting.markers import is_suite_test, property_of
from harness.reporting.selection import Rest

TestPlan = dict[str, tuple[str, str]]

_KEY = "conformance_plan"
_LOANS = pytest.StashKey[dict[str, int]]()


def of_items(items: Iterable[pytest.Item]) -> TestPlan:
    """The plan of collected tests; those outside the suites are left out."""
    return {
        item.nodeid: (property_of(item, "id"), property_of(item, "claim"))
        for item in items
        if is_suite_test(item)
    }


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


def file_name(text: str) -> str:
    """An option's value that is no empty path, which would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def add_options(parser: pytest.Parser) -> None:
    """--plan."""
    parser.getgroup("immediate_exit conformance").addoption(
        "--plan",
        type=file_name,
        metavar="FILE",
        help="write what would run to FILE, as JSON: [[result id, claim], ...]",
    )


# First, for after pytest-xdist's own the controller already believes that all is told.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the plan: a worker to its controller, and to the file that was asked for."""
    plan = of_items(session.items)
    if is_worker(session.config):
        path = session.config.workerinput.get(_KEY)  # type: ignore[attr-defined]
        if path:
            try:
                rest = dataclasses.asdict(whole.rest(session))
                Path(path).write_text(json.dumps([plan, rest]), encoding="utf-8")
            except OSError:
                pass  # another machine or another user; the controller does without
    elif session.config.option.plan:
        file, text = session.config.option.plan, json.dumps(list(plan.values()))
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as error:
            why = f"--plan: {file} cannot be written: {error.strerror}"
            pytest.exit(why, returncode=output.UNTOLD)


def lend(config: pytest.Config, node: Any) -> None:
    """Give a worker that is about to start the file for its plan."""
    loans = config.stash.setdefault(_LOANS, {})
    name = node.gateway.id
    _close(loans, name)
    loans[name] = os.memfd_create("conformance-plan", os.MFD_CLOEXEC)
    node.workerinput[_KEY] = f"/proc/{os.getpid()}/fd/{loans[name]}"


def take_back(config: pytest.Config, node: Any) -> tuple[TestPlan, Rest] | None:
    """What a worker that has collected told; None where it could not."""
    loans = config.stash.setdefault(_LOANS, {})
    fd = loans.get(node.gateway.id)
    if fd is None:
        return None
    text = os.pread(fd, os.fstat(fd).st_size, 0)
    _close(loans, node.gateway.id)
    if not text:
        return None
    plan, rest = json.loads(text)
    return {nodeid: (pair[0], pair[1]) for nodeid, pair in plan.items()}, Rest(**rest)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close files of workers that never told."""
    loans = config.stash.get(_LOANS, {})
    for name in list(loans):
        _close(loans, name)


def _close(loans: dict[str, int], name: str) -> None:
    fd = loans.pop(name, None)
    if fd is not None:
        os.close(fd)
