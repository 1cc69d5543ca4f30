# SPDX-License-Identifier: GPL-2.0-only
"""What the chosen claims have, however few of their tests are to run.

"held" is a word about all tests of a claim. But a run may have fewer by many ways: ``-k``, a node
id, ``--deselect``, ``--ignore``, ``--lf``, an option in the environment, a plugin that deals tests
out, a folder that was deleted. These ways are not told apart, and none has to be known here: what
is to run is compared with what is there. Of a file that was collected all tests are known, and that
each function has as many as its own marks say. Of the others the functions are, by their source;
each then stands for its variants.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from harness import claims
from harness.reporting import identity, markers, variants
from harness.reporting.markers import property_of
from harness.reporting.selection import Rest, Selection


def rest(session: pytest.Session) -> Rest:
    """What the chosen claims have besides the session's tests."""
    config = session.config
    there = markers.collected(config)
    if not there and not asks_for_suites(config, config.rootpath):
        return Rest()
    selection = markers.chosen(config)
    planned = {property_of(item, "id") for item in session.items}
    wanted = variants.kept(config, filter(_runs_here, there))
    tests = {property_of(item, "id"): property_of(item, "claim") for item in wanted}
    read = Counter(_function(markers.true_nodeid(item)) for item in there)
    there_are = functions(config.rootpath / identity.SUITES)
    for function, claim in there_are.items():
        if _is_for_this_host(function):
            tests |= dict.fromkeys(_dropped(function, read[function], config), claim)
    known = {*there_are.values(), *(property_of(item, "claim") for item in there)}
    return Rest(
        {
            name: claim
            for name, claim in tests.items()
            if claim in selection.claims and name not in planned
        },
        [claim for claim in promised(selection) if claim not in known],
    )


def _dropped(function: str, read: int, config: pytest.Config) -> Iterable[str]:
    """Names for the variants that were not collected: nobody told their own."""
    has = markers.variants(config).get(function, 1)
    name = _name(function)
    return [name] if (has, read) == (1, 0) else [f"{name}.dropped_{n}" for n in range(read, has)]


def asks_for_suites(config: pytest.Config, root: Path) -> bool:
    """Whether tests of the project's suites are among what pytest was started for."""
    suites = (root / identity.SUITES).resolve()
    places = [config.invocation_params.dir / word.partition("::")[0] for word in config.args]
    return any(
        not place.exists() or suites in (real, *real.parents) or real in suites.parents
        for place, real in ((place, place.resolve()) for place in places)
    )


def promised(selection: Selection) -> Iterable[str]:
    """The claims that a run of these must have tests for."""
    here = markers.host_architecture()
    return [
        claim.id
        for claim in claims.catalogue().values()
        if claim.id in selection.claims
        and claim.applies_to(here)
        and not claim.planned
        and not claim.command
    ]


@functools.cache
def functions(suites: Path) -> Mapping[str, str]:
    """Node id of each test function, without variants, to the claim in its decorator."""
    found: dict[str, str] = {}
    for path in sorted(suites.rglob("test_*.py")):
        place = path.relative_to(suites.parent).as_posix()
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # to collect it is an error, and its claims have no test otherwise
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= {f"{place}::{node.name}": claim for claim in _claims(node)}
    return found


def _claims(function: ast.FunctionDef) -> Iterable[str]:
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.claim":
            yield from (str(each.value) for each in call.args if isinstance(each, ast.Constant))


def _function(nodeid: str) -> str:
    """The key of `functions` for a test."""
    file, _, rest_of_it = nodeid.partition("::")
    return f"{file}::{rest_of_it.partition('[')[0].rpartition('::')[2]}"


def _name(function: str) -> str:
    try:
        return identity.result_id(function)
    except identity.IdentityError:  # an error of its file's collection, should it be collected
        return function


def _runs_here(item: pytest.Item) -> bool:
    wanted = markers.architectures(item)
    return not wanted or markers.host_architecture() in wanted


def _is_for_this_host(nodeid: str) -> bool:
    folder = identity.folder_architecture(nodeid, claims.ARCHITECTURES)
    return folder in (None, markers.host_architecture())
