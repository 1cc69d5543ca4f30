# SPDX-License-Identifier: GPL-2.0-only
"""Events that an emulated processor delivers once more: what is held against KVM, and what not."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from harness.sequences import arch, deliveries
from harness.sequences.deliveries import Deliveries


class FakeArchitecture:
    """Interrupts, as KVM counts them and as the guest does."""

    REDELIVERS = True

    def __init__(self) -> None:
        self.kvm, self.guest = 0, 0

    def injected(self, _guest: object) -> dict[str, int]:
        return {"interrupts": self.kvm}

    def counted(self, _guest: object) -> Counter[str]:
        return Counter(interrupts=self.guest)

    def moves(self, kvm: int, guest: int) -> Any:
        """A run in which so many are injected and taken."""

        def run() -> None:
            self.kvm, self.guest = self.kvm + kvm, self.guest + guest

        return run


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> FakeArchitecture:
    fake = FakeArchitecture()
    monkeypatch.setattr(arch, "current", lambda: fake)
    monkeypatch.setattr(deliveries.pace, "here", lambda: SimpleNamespace(takes_turns=True))
    return fake


def mapped() -> Deliveries:
    """Of a guest that has taken an event of this kind."""
    found = Deliveries(object())
    found.took("interrupts")
    return found


def test_what_kvm_injected_twice_is_held_against_it(played: FakeArchitecture) -> None:
    found = mapped()
    found.run(played.moves(2, 2))
    assert not found.again("interrupts", 1)


def test_where_no_processor_delivers_again_nothing_is_excused(
    played: FakeArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeArchitecture, "REDELIVERS", False)
    found = Deliveries(object())
    found.run(played.moves(1, 2))
    assert not found.again("interrupts", 1)


def test_what_kvm_injected_once_is_not(played: FakeArchitecture) -> None:
    found = mapped()
    found.run(played.moves(1, 2))
    assert found.again("interrupts", 1)


def test_what_was_withdrawn_comes_again(played: FakeArchitecture) -> None:
    found = mapped()
    found.run(played.moves(1, 0))
    found.run(played.moves(1, 2))
    assert found.again("interrupts", 1)
    found.run(played.moves(1, 1))
    assert not found.again("interrupts", 1)


def test_where_no_page_is_mapped_nobody_can_tell(played: FakeArchitecture) -> None:
    found = Deliveries(object())
    found.run(played.moves(6, 2))
    assert found.again("interrupts", 1)
    found.took("NMIs")
    assert found.again("interrupts", 1)
    found.took("interrupts")
    assert not found.again("interrupts", 1)
    found.unmap()
    assert found.again("interrupts", 1)


def test_a_processor_that_is_none_of_an_emulator_has_no_excuse(
    played: FakeArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries.pace, "here", lambda: SimpleNamespace(takes_turns=False))
    found = Deliveries(object())
    found.run(played.moves(1, 2))
    assert not found.again("interrupts", 1)
