# SPDX-License-Identifier: GPL-2.0-only
"""Sequences as data, and how they are made shorter. No VM is made."""

from __future__ import annotations

import platform

import pytest

from harness.kvm.exits import InternalError
from harness.sequences import arch
from harness.sequences.sequence import Done, Recorded
from harness.sequences.setting import Setting
from harness.sequences.shrinking import shrink

STEPS = [["compute", 0, 1], ["port_out", 1, 2], ["end", 0, 0]]


def recorded(*names: str) -> Recorded:
    done = [Done(name, {"steps": STEPS} if name == "script" else {}) for name in names]
    return Recorded(Setting("none", ("msr_exits",)), tuple(done))


def test_what_is_written_is_read() -> None:
    sequence = recorded("script", "release")
    assert Recorded.of_json(sequence.as_json()).as_json() == sequence.as_json()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "JSON|truncated"),
        (b"[]", "object"),
        (b'{"setting": {}, "done": [{"operation": "fly", "arguments": {}}]}', "no operation .fly."),
    ],
)
def test_what_is_no_sequence(text: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recorded.of_json(text)


def test_what_has_no_part_in_it_is_left_out() -> None:
    sequence = recorded(*["release"] * 5, "script", *["release"] * 9, "mask", "release")

    def fails(shorter: Recorded) -> bool:
        scripts = [each.arguments["steps"] for each in shorter.done if each.operation == "script"]
        masked = shorter.done and shorter.done[-1].operation == "mask"
        return bool(masked) and any(STEPS[1] in steps for steps in scripts)

    longer = Recorded(sequence.setting, sequence.done[:-1])
    assert fails(longer)
    shortest, tries = shrink(longer, fails)
    assert [each.operation for each in shortest.done] == ["script", "mask"]
    assert shortest.done[0].arguments["steps"] == STEPS[1:]
    assert tries < 100


def test_tries_are_bounded() -> None:
    calls: list[Recorded] = []

    def fails(shorter: Recorded) -> bool:
        calls.append(shorter)
        return True

    shrink(recorded(*["release"] * 1000), fails, most=3)
    assert len(calls) == 3


def test_arguments_become_simple_where_they_have_no_part_in_it() -> None:
    given = {"answer": 7, "refuse": True, "value": 128, "times": 20, "look": "state"}
    sequence = Recorded(Setting(), (Done("immediate", {**given, "thread": "new", "window": 1}),))

    def fails(shorter: Recorded) -> bool:
        return bool(shorter.done) and shorter.done[0].arguments["value"] == 128

    shortest, _ = shrink(sequence, fails)
    simple = {"answer": 0, "refuse": False, "value": 128, "times": 1, "look": "nothing"}
    assert shortest.done[0].arguments == {**simple, "thread": "here", "window": 0}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only")
def test_what_is_left_out_on_a_host_that_cannot_do_it() -> None:
    program = arch.current()
    emulation, delivery = InternalError(1, ()), InternalError(3, ())
    assert set(program.left_out("undefined", emulation)) == {"undefined"}
    raising = {*program.MAY_LACK, "traced_in", "traced_read"}
    assert set(program.left_out("undefined", delivery)) == {*raising, "nmi", "refuse"}
