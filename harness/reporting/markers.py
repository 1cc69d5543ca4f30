# SPDX-License-Identifier: GPL-2.0-only
"""The markers ``claim`` and ``arch``: registered, checked at collection, and used to choose.

A test that breaks a rule is an error of its file's collection, so that it also shows up with
pytest-xdist, whose workers collect.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

import pytest

from harness import claims
from harness.reporting import identity
from harness.reporting.selection import Selection, SelectionError, select

_SELECTION = pytest.StashKey[Selection]()
_SEEN = pytest.StashKey[dict[str, str]]()
_COLLECTED = pytest.StashKey[list[pytest.Item]]()
_VARIANTS = pytest.StashKey[dict[str, int]]()


def host_architecture() -> str:
    """This project's name of the host's architecture."""
    machine = os.uname().machine
    return claims.MACHINES.get(machine, machine)


def chosen(config: pytest.Config) -> Selection:
    """The claims of this run."""
    return config.stash[_SELECTION]


def collected(config: pytest.Config) -> list[pytest.Item]:
    """The tests of every file of the suites that was read, before anything chose among them."""
    return config.stash[_COLLECTED]


def variants(config: pytest.Config) -> dict[str, int]:
    """How many tests each function of these files has to be, by its node id without variants."""
    return config.stash[_VARIANTS]


def add_options(parser: pytest.Parser) -> None:
    """--claim and --suite."""
    group = parser.getgroup("immediate_exit conformance")
    group.addoption(
        "--claim",
        action="append",
        default=[],
        metavar="ID",
        help="run only tests of this claim: an id, a chapter, or a pattern; may be repeated",
    )
    group.addoption(
        "--suite",
        action="append",
        default=[],
        metavar="NAME",
        help="run only this folder of suites/; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; refuse an unknown claim or suite before anything runs."""
    config.addinivalue_line("markers", "claim(id): the claim of the catalogue that a test verifies")
    config.addinivalue_line(
        "markers", "keeps(*dimensions): all of whose values stay under --variants one"
    )
    config.addinivalue_line("markers", "other_vcpus(number): vCPUs of its VM besides the first")
    config.addinivalue_line("markers", "arch(*names): the architectures that a test can run on")
    config.stash[_SEEN] = {}
    config.stash[_COLLECTED] = []
    config.stash[_VARIANTS] = {}
    try:
        config.stash[_SELECTION] = select(
            claims.catalogue(),
            claims.chapters(),
            wanted_claims=config.option.claim,
            wanted_suites=config.option.suite,
        )
    except SelectionError as error:
        raise pytest.UsageError(str(error)) from None
    except claims.CatalogueError as error:
        raise pytest.UsageError(f"the catalogue of claims is damaged: {error}") from None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Iterator[None]:
    """Turn tests that break the rules into an error of their collection."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if report.passed and identity.is_below_suites(collector.path, collector.config.rootpath):
        found = [node for node in report.result or [] if isinstance(node, pytest.Item)]
        problems = [problem for item in found for problem in _problems(item)]
        if problems:
            report.outcome = "failed"
            report.longrepr = "\n".join(dict.fromkeys(problems))
            report.result = []
        else:
            collected(collector.config).extend(found)
        if found and isinstance(collector, pytest.Module):  # otherwise it need not be loaded
            place = identity.true_nodeid(
                collector.path, collector.nodeid, collector.config.rootpath
            )
            for name, number in _variants(vars(collector.obj)):
                variants(collector.config)[f"{place}::{name}"] = number
    return report  # type: ignore[return-value]


def _variants(module: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Test functions, and how many tests each has to be, whatever plugins made of it.

    Its marks alone say so, for no fixture of the suites has parameters of its own.
    """
    for name, function in module.items():
        if name.startswith("test_") and inspect.isfunction(function):
            of_both = [*_marks(module), *_marks(vars(function))]
            values = [
                mark.args[1] if len(mark.args) > 1 else mark.kwargs.get("argvalues")
                for mark in of_both
                if mark.name == "parametrize"
            ]
            yield name, math.prod(len(each) or 1 for each in values if isinstance(each, Sized))


def _marks(names: Mapping[str, Any]) -> list[pytest.Mark]:
    found = names.get("pytestmark", [])
    several: list[Any] = found if isinstance(found, list) else [found]
    return [getattr(each, "mark", each) for each in several]


def _problems(item: pytest.Item) -> list[str]:
    """What is wrong with a suite's test; on the way its id and claim become properties.

    And words for -k, with which a person chooses a claim or the result that a verdict named.
    """
    try:
        name = identity.result_id(true_nodeid(item))
        claim = _claim_of(item)
    except identity.IdentityError as error:
        return [str(error)]
    seen = item.config.stash[_SEEN]
    other = seen.setdefault(identity.slug(name), item.nodeid)
    if other != item.nodeid:
        return [f"{item.nodeid}: its result id {name} is also that of {other}; rename one"]
    item.user_properties.extend([("id", name), ("claim", claim.id)])
    item.extra_keyword_matches.update((name, claim.id, claim.chapter))
    return []


def true_nodeid(item: pytest.Item) -> str:
    """The node id of a suite's test below the project's own root."""
    return identity.true_nodeid(item.path, item.nodeid, item.config.rootpath)


def _claim_of(item: pytest.Item) -> claims.Claim:
    names = [marker.args for marker in item.iter_markers("claim")]
    if len(names) != 1 or len(names[0]) != 1:
        raise identity.IdentityError(
            f"{item.nodeid}: a suite's test has one @pytest.mark.claim(ID), not {len(names)}"
        )
    claim = claims.catalogue().get(str(names[0][0]))
    if claim is None:
        try:
            select(claims.catalogue(), claims.chapters(), wanted_claims=[str(names[0][0])])
            why = f"{names[0][0]!r} is not the id of one claim"
        except SelectionError as error:
            why = str(error)
        raise identity.IdentityError(f"{item.nodeid}: {why}")
    if claim.chapter != identity.chapter_of(true_nodeid(item)):
        raise identity.IdentityError(
            f"{item.nodeid}: claim {claim.id} belongs to {identity.SUITES}/{claim.chapter}"
        )
    return claim


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave another architecture's folder alone: what it imports is of other headers than here."""
    others = set(claims.ARCHITECTURES) - {host_architecture()}
    inside = config.rootpath / identity.SUITES in collection_path.parents
    return True if inside and collection_path.name in others else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not chosen; skip what another architecture is needed for."""
    selection = chosen(config)
    suite_tests = [item for item in items if is_suite_test(item)]
    if selection.narrowed:
        out = [item for item in suite_tests if property_of(item, "claim") not in selection.claims]
        if out:
            gone = set(out)
            items[:] = [item for item in items if item not in gone]
            config.hook.pytest_deselected(items=out)
    here = host_architecture()
    for item in suite_tests:
        wanted = architectures(item)
        if wanted and here not in wanted:
            reason = f"other_architecture: for {', '.join(wanted)}; this host is {here}"
            item.add_marker(pytest.mark.skip(reason=reason))


def architectures(item: pytest.Item) -> list[str]:
    """Those that a suite's test is for; none where it is for each."""
    named = [str(name) for marker in item.iter_markers("arch") for name in marker.args]
    folder = identity.folder_architecture(true_nodeid(item), claims.ARCHITECTURES)
    return named or ([folder] if folder else [])


def is_suite_test(item: pytest.Item) -> bool:
    """Whether a collected test is one of the suites, and so has a result id."""
    return bool(property_of(item, "id"))


def property_of(item: pytest.Item, name: str) -> str:
    """A property that this plugin recorded on a test, or an empty text."""
    return next((str(value) for key, value in item.user_properties if key == name), "")
