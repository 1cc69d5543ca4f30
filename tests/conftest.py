# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several of the project's own tests use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import file_lock
from lab.emulation import arch, programs
from tests.fakes import archive as fake_archive
from tests.fakes import programs as fake_programs


@pytest.fixture(autouse=True, scope="session")
def an_interrupt_reaches_children() -> Iterator[None]:
    """A shell ignores it for what it runs in the background, and what tests start inherits that."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def signals_stay_as_they_are() -> Iterator[None]:
    """What a test leaves blocked or ignored, all that later tests start inherit."""
    before = _signals()
    yield
    assert _signals() == before, "this test changed what signals do to its process"


def _signals() -> tuple[set[signal.Signals | int], set[int]]:
    """Signals that the thread blocks, and that the process ignores."""
    numbers = signal.valid_signals()
    ignored = {int(number) for number in numbers if signal.getsignal(number) == signal.SIG_IGN}
    return signal.pthread_sigmask(signal.SIG_BLOCK, ()), ignored


@pytest.fixture
def played_programs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Stand-ins for what boots a machine, first in PATH, also of child processes; their folder."""
    uses = ("emulation", *arch.known())
    folder = fake_programs.make(tmp_path_factory.mktemp("programs"), *uses)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    known = programs.qemu_version  # a test may put a function without a cache there
    known.cache_clear()
    yield folder
    known.cache_clear()


@pytest.fixture
def own_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For races that judge no kernel: neither they nor their children wait for other races."""
    monkeypatch.setenv(file_lock.SESSION, str(tmp_path))


@pytest.fixture(scope="module")
def key() -> Iterator[fake_archive.Key]:
    """The key that signs a played archive."""
    if why := fake_archive.why_not():
        pytest.skip(why)
    made = fake_archive.Key()
    yield made
    made.close()
