# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of mutants: one entry a semantic patch, in ``mutants/<chapter>/catalogue.toml``.

docs/mutants.md tells the form. :func:`read` checks all of it at once; an entry that breaks a rule
raises :class:`CatalogueError` with the file, the entry and the rule.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.claims import ARCHITECTURES, MACHINES, CatalogueError
from harness.claims import catalogue as known_claims
from harness.claims import chapters as known_chapters
from harness.claims.versions import VERSION, is_between
from harness.shapes import ShapeError, from_toml
from lab.emulation import arch

FOLDER = Path(__file__).resolve().parents[2] / "mutants"
NAME = "catalogue.toml"

#: What a mutant does to KVM, and what the classes mean.
CLASSES: Mapping[str, str] = {
    "byte_ignored": "the byte is not looked at",
    "wrong_test": "other values than non-zero count",
    "wrong_return": "another return value or errno",
    "byte_written": "the kernel writes the byte, or reads its neighbour",
    "wrong_moment": "checked before the pending operation is completed, or after the guest's entry",
    "state_skipped": "not checked for an uninitialized or a halted vCPU",
    "polled": "looked at throughout, or at the guest's exit",
    "shared": "one vCPU's byte counts for others",
    "sticky": "once set it stays, or it is good only once",
    "last_check": "the last look for pending work before the guest is removed",
    "mode_order": "the vCPU's mode and the check of pending work are reversed",
    "no_kick": "kicks are not sent to a vCPU in guest mode",
    "mask": "KVM_SET_SIGNAL_MASK is not applied, or not taken back",
    "mask_truncated": "KVM_SET_SIGNAL_MASK's mask loses or gains some signals",
    "swallowed": "a pending signal is lost",
    "signal_missed": "a signal of some kind, or in some state of the vCPU, is not seen",
    "sync_regs": "synchronised registers are dropped",
    "no_intr": "KVM_EXIT_INTR is missing",
    "capability": "claimed and not kept, kept and not claimed, on one descriptor only",
    "rare": "one run in a thousand or a hundred thousand",
    "compat": "a 32-bit program's calls are served otherwise",
    "create_vm": "KVM_CREATE_VM fails under signals as it must not, or keeps something",
    "delayed": "a millisecond late",
    "completion": "the pending operation is completed wrongly",
    "events": "pending events, timers, the dirty ring or a single step are lost",
    "state_lost": "registers, masks or bits that the guest had are lost at an immediate exit",
    "mp_state": "an MP state that userspace set, or the event that ends it, is lost",
    "window": "the interrupt window that userspace asked for is lost, doubled or said wrongly",
    "in_sequence": "only one call after another of some kind shows it",
    "overlooked": "the byte is not looked at while something unrelated is so",
    "time_moved": "a clock or a timer of the guest is moved by an immediate exit",
    "leak": "the thread, memory, a reference or a lock is not given back",
    "field_stale": "kvm_run's output fields do not say what the vCPU's state says",
    "request_dropped": "what KVM still owes the vCPU is lost at an immediate exit",
    "event_parts": "what belongs to a pending event is lost, or one that KVM has under way",
    "stepping": "a step is taken, or a trap flag or breakpoint left or lost",
    "nested": "a guest's own guest is left, or entered once too often or too seldom",
    "guest_memfd": "a fault of memory that KVM keeps in a file fails, or is not told of",
    "historical": "a bug that a kernel had",
    "baseline": "no defect: a kernel before 4.11",
    "sound": "no defect: what a KVM may do, and the stock one seldom does",
}
TIERS = ("functional", "race", "sweep")
#: The kinds; the last is also the folder of the sound variants, which break no chapter's claim.
DEFECT, BASELINE, SOUND = "defect", "baseline", "sound"
#: The one claim that the sweep judges; the suites have no test of it.
SWEPT = "races.every_instruction"
#: The claim of the random sequences.
EXPLORED = "explored.sequences"
#: Claims that no run of the suites judges.
NEVER_JUDGED = frozenset({"preset.fast"})

_REQUIRED = ("id", "class", "defect", "stands_for", "files", "tier")
_OPTIONAL = (
    *("kind", "claims", "claims_held", "commit", "places", "since", "until", "ways"),
    *("equivalent", "allowed_by", "shown_by", "architectures"),
)
_LISTS = ("files", "claims", "claims_held", "ways", "shown_by", "architectures")
_ID = re.compile(r"(?=.*[a-z])[a-z0-9_]+")
_COMMIT = re.compile(r"[0-9a-f]{12,40}")
OR = " or "  # between files that stand for each other
_NEUTRAL = "virt/kvm/"


def name_of(machine: str) -> str:
    """The project's name of an architecture, by that of `uname -m`."""
    return MACHINES.get(machine, machine)


#: What lab.mutation.source copies, and the architecture whose it is; no architecture's comes first.
_SOURCES: Mapping[str, str] = {
    _NEUTRAL: "",
    **{f"{each.kvm}/": name_of(each.machine) for each in arch.known().values()},
}


class ChoiceError(ValueError):
    """A word chooses no mutant; the text says which."""


@dataclass(frozen=True)
class Mutant:
    """An entry.

    claims       each of them must fail on it
    claims_held  of a baseline: each of them must hold on it
    shown_by     tests of those claims that show it, by the beginnings of their result ids: of a
                 claim's hundred tests these are asked first, and the answer is there in seconds
    files        in the kernel's tree; the patch changes each of them. `a or b`: the first that the
                 kernel has, for code that moved to another file
    places       how many places it changes in all
    since until  the first and the last kernel version that it applies to, or empty texts
    ways         of the sweep, for the tier `sweep`; empty is all
    equivalent   why it cannot be told from the stock kernel, or an empty text
    allowed_by   of a sound variant: the clause or the commit that leaves open what it does
    architectures  by the project's names, those whose KVM it changes; none is all
    """

    id: str
    chapter: str
    mutant_class: str
    defect: str
    stands_for: str
    files: tuple[str, ...]
    tier: str
    patch: Path
    claims: tuple[str, ...] = ()
    claims_held: tuple[str, ...] = ()
    kind: str = DEFECT
    commit: str = ""
    places: int = 1
    since: str = ""
    until: str = ""
    ways: tuple[str, ...] = ()
    equivalent: str = ""
    allowed_by: str = ""
    shown_by: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()

    @property
    def is_baseline(self) -> bool:
        """Whether it is no defect, but a kernel as kernels once were."""
        return self.kind == BASELINE

    @property
    def is_innocent(self) -> bool:
        """Whether it is no defect: a claim that fails on it is a false alarm."""
        return self.kind != DEFECT

    def applies_to(self, version: str) -> bool:
        """Whether a kernel of this version, such as 6.1, has what the patch changes."""
        return is_between(version, self.since, self.until)


@dataclass(frozen=True)
class _Catalogue:
    mutant: list[dict[str, Any]] = field(default_factory=list)


def read(folder: Path = FOLDER, *, ways: Iterable[str] = ()) -> dict[str, Mutant]:
    """All mutants by id, in the order of the chapters and of their files.

    `ways` are those of the sweep, where the caller knows them. Raises `CatalogueError`.
    """
    if not folder.is_dir():
        raise CatalogueError(f"there is no folder {folder}: the mutants are part of a checkout")
    known = [*known_chapters(), SOUND]
    chapters = [name for name in known if (folder / name).is_dir()]
    strange = {path.name for path in folder.iterdir() if path.is_dir()} - set(chapters)
    if strange:
        there = ", ".join(known)
        raise CatalogueError(f"{folder / min(strange)} is no chapter's folder; there are: {there}")
    found: dict[str, Mutant] = {}
    for chapter in chapters:
        for mutant in _chapter(folder / chapter, frozenset(ways)):
            if mutant.id in found:
                other = found[mutant.id].patch.with_name(NAME)
                raise CatalogueError(
                    f"{folder / chapter / NAME}: mutant {mutant.id!r} stands in {other} too; an id "
                    "is there once in all chapters"
                )
            found[mutant.id] = mutant
    return found


def choose(
    mutants: Mapping[str, Mutant],
    *,
    ids: Sequence[str] = (),
    classes: Sequence[str] = (),
    claims: Sequence[str] = (),
) -> list[Mutant]:
    """Those that every kind of word chooses; an id may be a pattern. Raises `ChoiceError`."""
    for word in ids:
        if not fnmatch.filter(mutants, word):
            raise ChoiceError(f"no mutant is named {word!r}; --list names them all")
    for word in classes:
        if word not in CLASSES:
            raise ChoiceError(f"there is no class {word!r}; known: {', '.join(CLASSES)}")
    for word in claims:
        if word not in known_claims():
            raise ChoiceError(f"there is no claim {word!r}: `kvm-conformance claims` lists them")
    return [
        mutant
        for mutant in mutants.values()
        if (not ids or any(fnmatch.fnmatchcase(mutant.id, word) for word in ids))
        and (not classes or mutant.mutant_class in classes)
        and (not claims or {*mutant.claims, *mutant.claims_held} & set(claims))
    ]


def of_architecture(mutants: Iterable[Mutant], name: str) -> list[Mutant]:
    """Those of an architecture's KVM, with the claims that it can have; none without any.

    `name` is the project's.
    """
    found = []
    for each in mutants:
        can = tuple(claim for claim in each.claims if known_claims()[claim].applies_to(name))
        if each.architectures and name not in each.architectures:
            continue
        if can or not each.claims:
            found.append(replace(each, claims=can))
    return found


def one_of_each_class(mutants: Iterable[Mutant]) -> list[Mutant]:
    """The cheapest of each class: the first of the cheapest tier that is not equivalent.

    No sound one: each takes the whole suite, as the stock kernel does.
    """
    best: dict[str, Mutant] = {}
    for mutant in mutants:
        other = best.get(mutant.mutant_class)
        if (
            not mutant.equivalent
            and mutant.kind != SOUND
            and (other is None or TIERS.index(mutant.tier) < TIERS.index(other.tier))
        ):
            best[mutant.mutant_class] = mutant
    return list(best.values())


_WITHOUT = "without_capability"


def for_sequences(mutants: Iterable[Mutant]) -> list[Mutant]:
    """The sound ones, and the defects of the tier `functional`, foretold to break their claim.

    But for those of a KVM without the capability, of which sequences say nothing.
    """
    return [
        each
        if each.is_innocent or each.equivalent
        else replace(each, claims=(EXPLORED,), shown_by=())
        for each in mutants
        if not each.is_baseline and each.tier == TIERS[0] and each.chapter != _WITHOUT
    ]


def _chapter(folder: Path, ways: frozenset[str]) -> list[Mutant]:
    path = folder / NAME
    patches = {each.stem: each for each in sorted(folder.glob("*.cocci"))}
    try:
        entries = from_toml(path.read_bytes(), _Catalogue).mutant
    except FileNotFoundError:
        raise CatalogueError(f"{folder} has no {NAME}") from None
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}") from None
    except ShapeError as error:
        only = "only [[mutant]] entries stand in a catalogue"
        raise CatalogueError(f"{path}: {error}; {only}") from None
    mutants = []
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id")
        where = f"{path}: mutant {name!r}" if isinstance(name, str) else f"{path}: mutant {number}"
        mutants.append(_mutant(entry, folder, patches, ways, where))
    ids = [mutant.id for mutant in mutants]
    if twice := [name for name in ids if ids.count(name) > 1]:
        raise CatalogueError(f"{path}: mutant {twice[0]!r} stands twice")
    if orphans := sorted(set(patches) - set(ids)):
        raise CatalogueError(f"{patches[orphans[0]]} has no entry in {path}")
    return mutants


def _mutant(
    entry: Mapping[str, Any],
    folder: Path,
    patches: Mapping[str, Path],
    ways: frozenset[str],
    where: str,
) -> Mutant:
    def need(condition: object, rule: str) -> None:
        if not condition:
            raise CatalogueError(f"{where}: {rule}")

    for key in _REQUIRED:
        need(key in entry, f"has no {key!r}")
    for key, value in entry.items():
        need(key in _REQUIRED or key in _OPTIONAL, f"unknown key {key!r}")
        if key in _LISTS:
            words = isinstance(value, list) and all(isinstance(each, str) for each in value)
            need(words, f"{key!r} must be a list of texts")
            need(len(set(value)) == len(value), f"{key!r} names something twice")
        elif key == "places":
            need(type(value) is int and value > 0, "'places' must be a whole number above 0")
        else:
            one_line = isinstance(value, str) and value.strip() == value != "" and "\n" not in value
            need(one_line, f"{key!r} must be one line of text")
    values: dict[str, Any] = {
        ("mutant_class" if key == "class" else key): tuple(value) if key in _LISTS else value
        for key, value in entry.items()
    }
    need(_ID.fullmatch(entry["id"]), "an id is letters a to z, digits and _")
    need(entry["id"] in patches, f"{folder / entry['id']}.cocci is missing")
    made = Mutant(chapter=folder.name, patch=patches[entry["id"]], **values)
    need(made.mutant_class in CLASSES, f"unknown class {made.mutant_class!r}")
    need(made.tier in TIERS, f"unknown tier {made.tier!r}; known: {', '.join(TIERS)}")
    need(made.kind in (DEFECT, BASELINE, SOUND), f"unknown kind {made.kind!r}")
    for key in ("defect", "stands_for", "equivalent"):
        text = getattr(made, key)
        need(not text or text.endswith("."), f"{key!r} must end with a full stop")
    need(not made.commit or _COMMIT.fullmatch(made.commit), "'commit' is 12 to 40 hex digits")
    need(made.files, "'files' is empty")
    named = [name for names in made.files for name in names.split(OR)]
    for name in named:
        inside = name.startswith(tuple(_SOURCES)) and ".." not in name.split("/")
        need(inside, f"{name!r} is not below {' or '.join(_SOURCES)}")
    owners = {_SOURCES[part] for name in named for part in _SOURCES if name.startswith(part)}
    owners.discard("")
    need(len(owners) < 2, f"its files are of {' and '.join(sorted(owners))}: give each its mutant")
    need(
        not (owners and made.architectures),
        "'architectures' is for files of virt/kvm alone; others say by their folder whose they are",
    )
    for name in made.architectures:
        there = ", ".join(ARCHITECTURES)
        need(name in ARCHITECTURES, f"unknown architecture {name!r}; known: {there}")
    made = replace(made, architectures=made.architectures or tuple(owners))
    for key in ("since", "until"):
        text = getattr(made, key)
        need(not text or VERSION.fullmatch(text), f"{key!r} is a version such as 6.12")
    for claim in (*made.claims, *made.claims_held):
        need(claim in known_claims(), f"unknown claim {claim!r}")
        need(claim not in NEVER_JUDGED, f"the claim {claim} is never judged")
    _check_claims(made, ways, need)
    return made


def _check_claims(made: Mutant, ways: frozenset[str], need: Any) -> None:
    """Which claims go with which kind and tier."""
    for kind in (BASELINE, SOUND):
        together = (made.kind == kind) == (made.mutant_class == kind)
        need(together, f"class and kind {kind!r} go together")
    sound = made.kind == SOUND
    need(sound == (made.chapter == SOUND), f"kind and folder {SOUND!r} go together")
    need(sound == bool(made.allowed_by), "a sound variant, and nothing else, has 'allowed_by'")
    if sound:
        named = made.claims or made.claims_held or made.equivalent
        need(not named, "a sound variant names no claims: each that can be tested must hold")
        need(made.tier == "functional", "a sound variant is of the tier 'functional'")
        return
    if made.is_baseline:
        need(made.claims_held and not made.claims, "a baseline has 'claims_held' and no 'claims'")
    else:
        need(not made.claims_held, "only a baseline has 'claims_held'")
        need(bool(made.claims) != bool(made.equivalent), "it has 'claims', or is 'equivalent'")
    swept = made.tier == "sweep"
    if not made.equivalent:
        need(swept == (SWEPT in made.claims), f"the claim {SWEPT} and the tier 'sweep' go together")
        need(not swept or len(made.claims) == 1, "the sweep judges one claim")
    need(made.claims or not made.shown_by, "'shown_by' goes with 'claims'")
    need(swept or not made.ways, "only the tier 'sweep' has 'ways'")
    for way in made.ways:
        need(not ways or way in ways, f"the sweep has no way {way!r}")
