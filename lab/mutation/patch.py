# SPDX-License-Identifier: GPL-2.0-only
"""A mutant's semantic patch applied to a kernel's sources by Coccinelle.

spatch ends with success also where nothing matched, or where it could not parse a function and
left it alone. So what it did is compared with what the catalogue's entry says that it does. A patch
that only adds would also add again to sources that have the defect, and is refused there.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import files
from harness.shapes import ShapeError, from_json
from lab.emulation import cache as caches
from lab.mutation.catalogue import OR, Mutant
from lab.mutation.errors import MutationError, PatchError
from lab.mutation.source import Source

_TIMEOUT_S = 300  # for a file; spatch leaves it as it was then. The catalogue's take seconds.


@dataclass(frozen=True)
class Patched:
    """What a patch does: the difference for people, and the new texts of the files it changes."""

    difference: str
    files: Mapping[str, str]

    @property
    def places(self) -> int:
        """How many places it changes."""
        return len(re.findall(r"(?m)^@@ ", self.difference))


def apply(mutant: Mutant, source: Source, folder: Path) -> Patched:
    """The mutant's difference, from the cache `folder` or made now. Raises `MutationError`."""
    text = mutant.patch.read_bytes()
    key = hashlib.sha256(
        b"\0".join([source.digest.encode(), text, repr((mutant.files, mutant.places)).encode()])
    ).hexdigest()[:16]
    known = folder / "patched" / f"{mutant.id}-{key}.json"
    try:
        return from_json(known.read_bytes(), Patched)
    except (OSError, ShapeError):
        pass
    made = _apply(mutant, source)
    caches.make_folder(known.parent)
    files.replace(known, json.dumps(asdict(made)))
    return made


def _apply(mutant: Mutant, source: Source) -> Patched:
    tree, where = Path(source.tree), f"{mutant.patch.name} on {source.release}"
    files = _files(mutant, tree, where)
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-mutant-") as work:
        copy = Path(work)
        for part in source.parts:  # spatch reads headers that stand beside a file
            shutil.copytree(tree / part, copy / part, ignore=_is_no_source)
        before = {name: _read(copy / name) for name in files}
        _spatch(mutant, files, copy, where)
        after = {name: _read(copy / name) for name in files}
    _check(mutant, before, after, where)
    return _patched(before, after)


def _files(mutant: Mutant, tree: Path, where: str) -> list[str]:
    """The entry's files in this kernel: of those that stand for each other, the first it has."""
    files = []
    for names in mutant.files:
        there = [name for name in names.split(OR) if (tree / name).is_file()]
        if not there:
            raise PatchError(f"{where}: this kernel has no {names}")
        files.append(there[0])
    return files


def _check(mutant: Mutant, before: Mapping[str, str], after: Mapping[str, str], where: str) -> None:
    """Raises `PatchError` unless each file changed, in as many places as the entry says."""
    unchanged = [name for name in before if before[name] == after[name]]
    if unchanged:
        raise PatchError(f"{where}: it does not apply; {unchanged[0]} stays as it was")
    places = _patched(before, after).places
    if places != mutant.places:
        raise PatchError(f"{where}: it changes {places} places, and its entry says {mutant.places}")
    there = [name for name in before if _is_there(before[name], after[name])]
    if there:
        raise PatchError(
            f"{where}: {there[0]} has this defect already, and the patch would apply twice"
        )


def _is_there(before: str, after: str) -> bool:
    """Whether a place has what the patch puts there: all of it stands beside that very place.

    Compared by tokens, without braces: a condition that is put before a statement twice gets them.
    """
    old, new = before.splitlines(), after.splitlines()
    for _, old_first, old_end, first, end in _changes(old, new):
        size = end - first
        above, below = old[max(0, old_first - size) : old_first], old[old_end : old_end + size]
        here = _tokens([*above, *old[old_first:old_end], *below])
        changed = _tokens([*above, *new[first:end], *below])
        parts = _changes(here, changed)
        if parts and all(_stands_beside(here, changed, part) for part in parts):
            return True
    return False


def _changes(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes without what is equal."""
    made = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [each for each in made if each[0] != "equal"]


def _stands_beside(
    old: Sequence[str], new: Sequence[str], part: tuple[str, int, int, int, int]
) -> bool:
    tag, place, _, start, end = part
    added, count = list(new[start:end]), end - start
    beside = (old[max(0, place - count) : place], old[place : place + count])
    return tag == "insert" and added in beside


def _tokens(lines: Sequence[str]) -> list[str]:
    return re.findall(r"\w+|[^\w\s{}]", "\n".join(lines))


def _patched(before: Mapping[str, str], after: Mapping[str, str]) -> Patched:
    text = "".join(_difference(name, before[name], after[name]) for name in after)
    return Patched(text, after)


def _is_no_source(_: str, names: list[str]) -> list[str]:
    """What a build of the user's left beside the sources."""
    return [name for name in names if name.endswith((".o", ".ko", ".cmd", ".mod", ".a"))]


def _spatch(mutant: Mutant, files: Sequence[str], folder: Path, where: str) -> None:
    words = ["spatch", "--very-quiet", "--in-place", f"--timeout={_TIMEOUT_S}"]
    words += ["--sp-file", str(mutant.patch.absolute())]
    done = caches.run([*words, *files], folder=folder)
    if done.returncode < 0:
        raise MutationError(f"{where}: spatch ended by signal {-done.returncode}")
    if done.returncode:
        raise PatchError(f"{where}: Coccinelle does not take it: {_complaint(done.stderr)}")


def _complaint(text: str) -> str:
    """The line of spatch's words that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"error|exception|Failure|bad", line)]
    place = [re.search(r"line \d+", line) for line in lines if line.startswith("File ")]
    words = [each.rstrip(": ") for each in told[:1]] + [each[0] for each in place[:1] if each]
    return ", ".join(words) or " ".join(lines[-2:]) or "no word why"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _difference(name: str, before: str, after: str) -> str:
    """As `diff -U0`, so that each hunk is a place."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{name}",
        f"b/{name}",
        n=0,
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
