# SPDX-License-Identifier: GPL-2.0-only
"""The whole state of a vCPU and its VM, taken before and after, and compared by name and bit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

MOST_TOLD = 6


@dataclass(frozen=True)
class WholeState:
    """What `Architecture.whole` gave, less what counts time, and the guest's memory."""

    values: Mapping[str, int]
    memory: bytes

    def differences(self, later: WholeState, without: Collection[str] = ()) -> list[str]:
        """One clause for each name whose value changed, came or went; empty: none.

        `without` has names that do not count, whole or up to a space or a full stop; `memory` is
        the memory's.
        """
        found = [
            clause(name, self.values.get(name), later.values.get(name))
            for name in self.changed(later, without)
        ]
        if self.memory != later.memory and "memory" not in without:
            place = next(at for at, one in enumerate(self.memory) if one != later.memory[at])
            found.append(f"the guest's memory changed, first at {place:#x}")
        return found

    def changed(self, later: WholeState, without: Collection[str] = ()) -> list[str]:
        """The names, but for the memory's."""
        passed = tuple(end for each in without for end in (f"{each} ", f"{each}."))
        # Nearly always nothing has changed, and of so many names that is soon said.
        changed = dict(self.values.items() ^ later.values.items())
        return [name for name in sorted(changed) if not f"{name} ".startswith(passed)]

    def with_memory(self, stored: Mapping[int, bytes]) -> WholeState:
        """The same, once these bytes were stored to the guest's memory, by offset."""
        memory = bytearray(self.memory)
        for place, data in stored.items():
            memory[place : place + len(data)] = data
        return replace(self, memory=bytes(memory))


def told(differences: list[str]) -> str:
    """Some of them, and how many more there are."""
    rest = len(differences) - MOST_TOLD
    text = "; ".join(differences[:MOST_TOLD])
    return f"{text}; and {rest} more" if rest > 0 else text


def clause(name: str, before: int | None, after: int | None) -> str:
    """What became of a number, with the bits that changed; None: it could not be read."""
    if before is None:
        return f"{name} can be read now, {after:#x}"
    if after is None:
        return f"{name} can be read no longer, it was {before:#x}"
    changed = before ^ after
    bits = [str(bit) for bit in range(max(changed.bit_length(), 0)) if changed >> bit & 1]
    which = f" (bit {bits[0]})" if len(bits) == 1 else f" ({len(bits)} bits, lowest {bits[0]})"
    return f"{name} went from {before:#x} to {after:#x}{which}"
