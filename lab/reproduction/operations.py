# SPDX-License-Identifier: GPL-2.0-only
"""Each operation of a sequence in C: what `harness.sequences.operations` does to a real vCPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.model.answers import Circumstances
from harness.model.program import Step
from harness.sequences.dirty_log import DirtyLog
from harness.sequences.kicks import certain
from harness.sequences.operation import Arguments
from harness.sequences.runs import CLOCKS, NOTHING
from lab.reproduction.arch import UntoldError, here
from lab.reproduction.telling import Telling

Tell = Callable[[Telling, Arguments], None]


def _script(tell: Telling, given: Arguments) -> None:
    steps = tuple(Step(*each) for each in given["steps"])
    tell.say(f"*word(WRITTEN) = {len(tell.scripts)}; /* its code is in the guest already */")
    tell.scripts.append(steps)
    tell.model = replace(tell.model, next_script=steps)


def _elsewhere(tell: Telling, given: Arguments) -> bool:
    """Whether another thread calls KVM_RUN. Raises `UntoldError` for one of a special kind."""
    if given["thread"] == "here":
        return False
    if given["thread"] != "new":
        raise UntoldError(f"a caller of KVM_RUN that is {given['thread']}")
    tell.blocks.add("thread")
    return True


def _run(tell: Telling, given: Arguments) -> None:
    how = "enter_elsewhere(0)" if _elsewhere(tell, given) else ""
    tell.run(Circumstances(), how, given["answer"], refuse=given["refuse"])


def _immediate(tell: Telling, given: Arguments) -> None:
    value = given["value"]
    how = f"{'enter_elsewhere' if _elsewhere(tell, given) else 'enter'}({value})"
    if given["window"]:
        tell.say("run->request_interrupt_window = 1;")
    _early(tell, Circumstances(byte=value), how, given)
    if given["window"]:
        tell.say("run->request_interrupt_window = 0;")


def _signal(tell: Telling, given: Arguments) -> None:
    _send(tell, let_in=True)
    _early(tell, Circumstances(signal=True), "enter(0)", given)
    _taken(tell, let_in=True)


def _early(tell: Telling, entry: Circumstances, how: str, given: Arguments) -> None:
    """So many runs: those with nothing to complete leave registers, or the whole state, alone."""
    if given["look"] == CLOCKS:
        raise UntoldError("a look at clocks")
    number = 0
    # A signal finds events on their way into the guest, and leaves them so.
    to_come = any(events.to_come for events in tell.model.state.events.values())
    moves_events = entry.signal and (to_come or tell.model.raises())
    while number < given["times"]:
        pending = tell.model.pending
        look = given["look"] != NOTHING and not pending and not moves_events
        if look:
            tell.look(first=True)
        elif not pending:
            tell.say("save_registers();", needs=("registers",))
        left = given["times"] - number
        if not pending and left > 2:
            # All that is left, in a loop: nothing changes from one to the next.
            tell.doing(f"{tell.where()}, {entry.said}")
            tell.say(f"for (int times = 0; times < {left}; times++)")
            tell.ends_early(how, entry, before="\t")
            tell.has_done()
            number = given["times"]
        else:
            tell.run(entry, how, given["answer"], refuse=given["refuse"])
            number += 1
        if look:
            tell.look(first=False)
        elif not pending:
            tell.say("same_registers();", needs=("same",))


def _send(tell: Telling, *, let_in: bool) -> None:
    tell.say("send_blocked();", needs=("pending",))
    if let_in and not tell.model.masked:
        tell.say("let_in(&(uint64_t){~0ull});", needs=("mask",))


def _taken(tell: Telling, *, let_in: bool) -> None:
    tell.say("still_pending();")
    if let_in and not tell.model.masked:
        tell.say("let_in(NULL);")


def _held_back(tell: Telling, given: Arguments) -> None:
    _send(tell, let_in=False)
    tell.say(
        "let_in(&(uint64_t){0});" if given["masked"] else "let_in(NULL);",
        needs=("mask",),
    )
    if given["byte"]:
        tell.run(Circumstances(byte=given["byte"]))
    if not tell.model.at_exit().waits():
        tell.run(Circumstances(held=True), "", given["answer"], refuse=given["refuse"])
    _taken(tell, let_in=False)
    _set_mask(tell, tell.model.masked)


def _set_mask(tell: Telling, on: bool) -> None:
    tell.say("let_in(&(uint64_t){~0ull});" if on else "let_in(NULL);", needs=("mask",))


def _mask(tell: Telling, given: Arguments) -> None:
    _set_mask(tell, given["on"])
    tell.model = replace(tell.model, masked=given["on"])


def _kick(tell: Telling, given: Arguments) -> None:
    tell.kick(f"kicked({'SA_RESTART' if given['restart'] else '0'}, 0, 0);")


def _kick_by_handler(tell: Telling, given: Arguments) -> None:
    flags = "SA_RESTART" if given["restart"] else "0"
    tell.kick(f"kicked({flags}, 1, 0);")
    tell.run(Circumstances(byte=1))


def _set_while_running(tell: Telling, given: Arguments) -> None:
    tell.kick(f"kicked(0, 0, {given['value']});")
    tell.run(Circumstances(byte=given["value"]))


def _take_events(tell: Telling, given: Arguments) -> None:
    tell.will_take(certain(tell.model))
    tell.kick("kicked(0, 0, 0);")


def _move(tell: Telling, given: Arguments) -> None:
    tell.say("move();", needs=("move",))
    tell.moved()


def _release(tell: Telling, given: Arguments) -> None:
    operand = tell.model.at_exit().step.operand
    tell.model = replace(tell.model, released=operand)
    tell.say(f"*word(RELEASED) = {operand};")


def _wrong_argument(tell: Telling, given: Arguments) -> None:
    tell.doing(f"{tell.where()}, with an argument")
    tell.say(
        f"run->immediate_exit = {given['byte']};",
        f"if (kvm_run(vcpu, {given['argument']:#x}ul) != EINVAL)",
        '\twrong("%s, KVM_RUN must return -1 with EINVAL", doing);',
        "run->immediate_exit = 0;",
    )
    tell.has_done()


def _other_process(tell: Telling, given: Arguments) -> None:
    tell.doing(f"{tell.where()}, with the byte at {given['byte']}")
    tell.say(
        f"run->immediate_exit = {given['byte']};",
        "refused_elsewhere();",
        "run->immediate_exit = 0;",
        needs=("elsewhere",),
    )
    tell.has_done()


def _remap(tell: Telling, given: Arguments) -> None:
    flags = "KVM_MEM_LOG_DIRTY_PAGES" if given["logged"] else "0"
    tell.say("map_ram(0, 0);", f"map_ram(RAM, {flags});", needs=("ram",))
    tell.log = DirtyLog(tell.model) if given["logged"] else None


def _read_log(tell: Telling, given: Arguments) -> None:
    if tell.log is None:
        return
    pages, tell.log = sorted(tell.log.stored), DirtyLog(tell.model)
    tell.doing(tell.where())
    tell.say("read_dirty_log();", needs=("dirty",))
    for page in pages:
        tell.say(f"is_dirty({page:#x});", needs=("stored",))
    if not tell.model.pending:
        tell.run(Circumstances(byte=1))
        tell.say("nothing_dirty();", needs=("clean",))


def _descriptor(tell: Telling, given: Arguments) -> None:
    tell.say("{", '\tint other = must(dup(vcpu), "dup");', "", "\tclose(vcpu);", "\tvcpu = other;")
    tell.say("}")


def _neighbour(tell: Telling, given: Arguments) -> None:
    tell.doing("On a vCPU of another VM, with immediate_exit=1")
    tell.say(
        'another_leaves(must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM"), 0);',
        needs=("another",),
    )


def _padding(tell: Telling, given: Arguments) -> None:
    value = given["value"] & (1 << 48) - 1
    tell.say(f"memcpy(run->padding1, &(uint64_t){{{value:#x}}}, sizeof(run->padding1));")


def _reason(tell: Telling, given: Arguments) -> None:
    tell.say(f"run->exit_reason = {given['value']};")


def _ask(tell: Telling, given: Arguments) -> None:
    tell.say(
        "if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0 ||",
        "    ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)",
        '\twrong("KVM_CAP_IMMEDIATE_EXIT must be reported by /dev/kvm and by the VM");',
    )


def leave(tell: Telling, way: int) -> None:
    """One run that the byte or a signal ends early."""
    if way:
        _send(tell, let_in=True)
        tell.run(Circumstances(signal=True), "enter(0)")
        _taken(tell, let_in=True)
    else:
        tell.run(Circumstances(byte=1))


def _step_and_leave(tell: Telling, given: Arguments) -> None:
    tell.say("step(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);", needs=("step",))
    leave(tell, given["way"])
    tell.say("step(0);")


_EVERYWHERE: Mapping[str, Tell] = {
    "script": _script,
    "run": _run,
    "immediate": _immediate,
    "signal": _signal,
    "held_back": _held_back,
    "wrong_argument": _wrong_argument,
    "other_process": _other_process,
    "kick": _kick,
    "kick_by_handler": _kick_by_handler,
    "set_while_running": _set_while_running,
    "take_events": _take_events,
    "move": _move,
    "release": _release,
    "remap": _remap,
    "read_log": _read_log,
    "mask": _mask,
    "descriptor": _descriptor,
    "neighbour": _neighbour,
    "padding": _padding,
    "reason": _reason,
    "ask": _ask,
    "step_and_leave": _step_and_leave,
}


def operations() -> Mapping[str, Tell]:
    """All that are told, by their names. Raises `UnsupportedArchitectureError`, `UntoldError`."""
    return {**_EVERYWHERE, **here().operations()}
