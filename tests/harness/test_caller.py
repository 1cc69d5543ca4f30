# SPDX-License-Identifier: GPL-2.0-only
"""What a thread may be: the others of the process stay as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import caller


def status(name: str) -> str:
    """A line of the calling thread's status, proc(5)."""
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise KeyError("of the work")

    with pytest.raises(KeyError, match="of the work"):
        caller.on_a_fresh_thread(work)


def test_a_thread_changes_for_itself_alone() -> None:
    names = ("NoNewPrivs", "Seccomp", "CapEff", "Name")
    before = {name: status(name) for name in names}
    found: dict[str, str] = {}

    def work() -> None:
        caller.with_name("CPU 7/KVM")
        caller.without_capabilities()
        caller.behind_a_filter()
        stack = caller.with_alternate_stack()
        caller.with_own_files()
        caller.with_timer_slack(1)
        caller.with_fixed_addresses()
        found.update({name: status(name) for name in names})
        del stack

    caller.on_a_fresh_thread(work)
    assert found == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "Name": "CPU 7/KVM"}
    assert {name: status(name) for name in names} == before
