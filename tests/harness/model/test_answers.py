# SPDX-License-Identifier: GPL-2.0-only
"""The model on x86-64's steps: what it allows, and what it does not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from guest_blobs import FOLDER
from harness.kvm.exits import Hlt, Io, Mmio
from harness.model import steps
from harness.model import x86_64 as program
from harness.model.answers import Circumstances, ModelVcpu, answers
from harness.model.program import MASK, Events, Step

END = Step("end")
PORT_OUT, PORT_STRING = 0x11, 0x13


def vcpu(*script: Step) -> ModelVcpu:
    return ModelVcpu(program.STEPS, (*script, END), state=program.PROGRAM.first_state)


def through(model: ModelVcpu, *data: bytes) -> ModelVcpu:
    """By normal runs, each of which brings one exit; these bytes pass in them."""
    for each in data:
        (answer,) = answers(model, Circumstances())
        assert answer.exchange
        model = answer.after.exchanged(each)
    return model


def test_steps_are_in_the_order_of_the_source() -> None:
    source = (FOLDER / "x86_64/script.S").read_text()
    table = source[source.index("\nsteps:") : source.index("\nsteps_end:")]
    names = re.findall(r"\w+", " ".join(re.findall(r"\.irp\s+name,(.*)", table)))
    assert names == list(program.STEPS)
    places = source[source.index("PLACES_OF verb") : source.index("\nputs:")]
    others = re.findall(r"\w+", " ".join(re.findall(r"\.irp\s+name,(.*)", places)))
    assert [f"xmm{number}" for number in range(16)] + others == list(program.PLACES)


@pytest.mark.parametrize("name", ["LOG", "SCRATCH", "SCRIPT", "STRING"])
def test_addresses_are_the_sources(name: str) -> None:
    source = (FOLDER / "x86_64/script.S").read_text()
    found = re.search(rf"#define {name}\s+(0x\w+)", source)
    assert found
    assert int(found[1], 16) == getattr(program if name == "STRING" else steps, name)


def test_a_normal_run_comes_to_the_next_exit_and_no_further() -> None:
    model = vcpu(Step("compute", 0, 5), Step("port_out", 1, 0x1234), Step("compute"))
    (answer,) = answers(model, Circumstances())
    assert answer.exchange
    assert answer.exchange.accepts(Io(PORT_OUT, 1, 1, True, b"\x34"))
    assert not answer.exchange.accepts(Io(PORT_OUT, 1, 1, True, b"\x35"))
    assert not answer.exchange.accepts(Hlt())
    assert (answer.after.number, answer.after.results) == (1, (5,))


@pytest.mark.parametrize(
    "met", [Circumstances(byte=1), Circumstances(signal=True)], ids=["byte", "signal"]
)
def test_what_ends_a_run_at_entry_lets_nothing_run(met: Circumstances) -> None:
    model = vcpu(Step("compute"), Step("port_out", 1))
    (answer,) = answers(model, met)
    assert answer.exchange is None
    assert answer.after == model
    pending = through(model, b"\0")
    (answer,) = answers(pending, met)
    assert (answer.exchange, answer.claim) == (None, "completion.pio")
    assert answer.after == replace(pending, pending=False), "completed, and nothing more"


def test_pieces_of_one_access_come_whatever_else_is_so() -> None:
    value = 0x1122334455667788
    model = through(vcpu(Step("mmio_write", 8 << 16 | 0x1FFC, value)), b"\x88\x77\x66\x55")
    for met in (Circumstances(byte=1), Circumstances(signal=True), Circumstances()):
        (answer,) = answers(model, met)
        assert answer.exchange
        assert answer.claim == "completion.fragments"
        assert answer.exchange.accepts(Mmio(0xD2000, 4, True, b"\x44\x33\x22\x11"))
        assert not answer.exchange.accepts(Mmio(0xD1FFC, 4, True, b"\x88\x77\x66\x55"))


def test_how_a_string_is_divided_is_for_kvm_to_say() -> None:
    model = through(vcpu(Step("string_out", 5)), b"\0\1")
    first, second = answers(model, Circumstances(byte=1))
    assert first.exchange
    assert second.exchange is None
    for count in (1, 2, 3):
        data = bytes(range(2, 2 + count))
        assert first.exchange.accepts(Io(PORT_STRING, 1, count, True, data))
    assert not first.exchange.accepts(Io(PORT_STRING, 1, 4, True, bytes(range(2, 6))))
    assert not first.exchange.accepts(Io(PORT_STRING, 1, 1, True, b"\1")), "a byte twice"


def test_a_load_and_its_store_are_one_instruction() -> None:
    model = through(vcpu(Step("mmio_add", 0x20, 1)), MASK.to_bytes(8, "little"))
    (answer,) = answers(model, Circumstances(byte=1))
    assert answer.exchange
    assert answer.claim == "completion.read_modify_write"
    assert answer.exchange.accepts(Mmio(0xD0020, 8, True, bytes(8)))
    after = through(model, bytes(8)).completed().at_exit()
    assert after.results == (0x41,), "carry and zero"


def test_a_kicked_run_may_stop_anywhere_on_its_way() -> None:
    model = vcpu(Step("compute"), Step("compute"), Step("wait", 1))
    (answer,) = answers(model, Circumstances(kicked=True))
    assert answer.runs
    for total in range(3):
        stopped = answer.after.at(total)
        assert stopped is not None
        assert stopped.number == total
    assert answer.after.at(3) is None, "it waits there"
    assert replace(model, released=1).at(3) is not None


def test_a_run_that_waits_for_ever_has_no_answer() -> None:
    assert answers(vcpu(Step("wait", 1)), Circumstances()) == []


def test_a_script_begins_anew_or_is_followed_by_the_next() -> None:
    model = through(vcpu(Step("store", 8, 7)), b"\0")
    again = model.completed().at_exit()
    assert (again.number, again.total, again.state.memory) == (1, 2, {8: 7})
    assert [each.begins_anew() for each in (model, model.completed(), again)] == [
        False,
        True,
        False,
    ]
    other = replace(model.completed(), next_script=(Step("load", 8), END)).at_exit()
    assert (other.results, other.total) == ((7,), 2)


@pytest.mark.parametrize(
    ("taken", "left"),
    [(0, Events(0, 2, True)), (1, Events(1, 1, False)), (2, Events(2, 0, False)), (3, None)],
)
def test_events_are_taken_once_at_most(taken: int, left: Events | None) -> None:
    assert Events().another().another().seen(taken) == left


def test_places_keep_what_was_put() -> None:
    place = program.PLACES.index("xmm7")
    model = vcpu(Step("put", place, 3), Step("get", place), Step("get", place - 1))
    assert model.at_exit().results == (0, 3, 0)
    assert (
        program.PROGRAM.kept(Step("put", program.PLACES.index("lstar"), MASK)).value == MASK >> 18
    )


ASKS = Circumstances(window=True)


def test_a_window_opens_where_interrupts_can_come_in_and_nowhere_else() -> None:
    off = vcpu(Step("compute"), Step("port_out", 1))
    (answer,) = answers(off, ASKS)
    assert answer.exchange, "interrupts are off all the way"
    on = vcpu(Step("interrupts_on"), Step("interrupts_off"), Step("port_out", 1))
    window, exchange = answers(on, ASKS)
    assert (window.window, window.claim, window.exchange) == (True, "states.window", None)
    assert exchange.exchange
    (window,) = answers(vcpu(Step("interrupts_on"), Step("wait", 1)), ASKS)
    assert window.window, "it must open: the guest only waits"


def test_a_released_sleep_still_lets_interrupts_in() -> None:
    asleep = vcpu(Step("sleep", 1), Step("port_out", 1))
    assert asleep.sleeps()
    awake = replace(asleep, released=1)
    assert not awake.sleeps()
    assert [each.window for each in answers(awake, ASKS)] == [True, False]


def test_a_halted_guest_still_lets_interrupts_in() -> None:
    halted = through(vcpu(Step("halt"), Step("wait", 1)), b"")
    (window,) = answers(replace(halted, released=0), ASKS)
    assert window.window


def test_a_sleeping_guest_is_ended_by_a_kick_only() -> None:
    (answer,) = answers(vcpu(Step("sleep", 1)), Circumstances(kicked=True))
    assert (answer.exchange, answer.runs, answer.claim) == (None, True, "signals.interrupts_guest")
