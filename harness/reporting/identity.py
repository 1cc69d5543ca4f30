# SPDX-License-Identifier: GPL-2.0-only
"""The name of a result: ``chapter.case.variant``, computed from where the test stands.

Where is the real place of its file: pytest's node id is another one where pytest was started with
another root or through a symbolic link, and a test does not leave the suites by that.

Consumers keep history by these names, and several of them drop brackets, bare numbers or
everything that is not a letter, a digit or ``_``. So each part is ``[a-z0-9_]+`` and has a
letter, and two names must differ even when their dots are replaced by ``_``.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

SUITES = "suites"

_PART = re.compile(r"(?=[0-9_]*[a-z])[a-z0-9_]+")
_NOT_PLAIN = re.compile(r"[^a-z0-9_]+")
#: pytest-xdist appends the group to the node id under ``--dist loadgroup``.
_XDIST_GROUP = re.compile(r"@[^\[\]/:]*$")


class IdentityError(ValueError):
    """A node id that gives no valid result id; the text says why."""


def is_below_suites(path: Path, root: Path) -> bool:
    """Whether the file is really below the project's folder of the suites."""
    return path.resolve().is_relative_to((root / SUITES).resolve())


def true_nodeid(path: Path, nodeid: str, root: Path) -> str:
    """The node id of a suite's test as pytest forms it below the project's own root."""
    return f"{_place(path, root)}{''.join(nodeid.partition('::')[1:])}"


@functools.cache  # a file is asked for at each of its tests, and each link on its way looked at
def _place(path: Path, root: Path) -> str:
    place = path.resolve().relative_to((root / SUITES).resolve())
    return f"{SUITES}/{place.as_posix()}"


def chapter_of(nodeid: str) -> str:
    """The folder below suites/ in which the test stands."""
    parts = nodeid.partition("::")[0].split("/")
    if len(parts) < 3 or parts[0] != SUITES:
        raise IdentityError(f"{nodeid}: a suite's test stands in {SUITES}/<chapter>/test_*.py")
    return parts[1]


def folder_architecture(nodeid: str, known: tuple[str, ...]) -> str | None:
    """The architecture named by a folder of the path, if there is one."""
    folders = nodeid.partition("::")[0].split("/")[2:-1]
    return next((folder for folder in folders if folder in known), None)


def result_id(nodeid: str) -> str:
    """The result id of a suite's test.

    :raises IdentityError: a part would be empty, a bare number, or not a word.
    """
    chapter = chapter_of(nodeid)
    function, bracket, variant = nodeid.partition("::")[2].partition("[")
    if bracket:
        variant = _XDIST_GROUP.sub("", variant).removesuffix("]")
    else:
        function = _XDIST_GROUP.sub("", function)
    case = function.rpartition("::")[2].removeprefix("test_")
    parts = [chapter, case.lower()]
    if bracket:
        parts.append(_NOT_PLAIN.sub("_", variant.lower()))
    for part in parts:
        if not _PART.fullmatch(part):
            raise IdentityError(
                f"{nodeid}: {part!r} cannot be part of a result id: it must match [a-z0-9_]+ and"
                " contain a letter; give the parameters ids that are words"
            )
    return ".".join(parts)


def slug(identifier: str) -> str:
    """The name as the narrowest consumer keeps it."""
    return identifier.replace(".", "_")
