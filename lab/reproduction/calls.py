# SPDX-License-Identifier: GPL-2.0-only
"""What a test asked of KVM as one C file: `write()`."""

from __future__ import annotations

import errno
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from guest_blobs import memory_map as at
from harness.kvm.call_log import (
    MOST_ENTRIES,
    OF_RUNS,
    Blocking,
    ByteSet,
    Expected,
    Handling,
    Ioctl,
    LogEntry,
    Looked,
    Raced,
    Region,
    RunBegins,
    RunEnds,
    Sent,
    Stored,
    ToldCalls,
)
from harness.kvm.unmet import GOES_ON
from harness.plain_text import line
from lab.reproduction import races
from lab.reproduction.arch import UntoldError, here
from lab.reproduction.literals import argument, octets, page_of, progression
from lab.reproduction.skeleton import blocks, head, header, needed

_KINDS = (*OF_RUNS, "same", "is", "race")
_NAMES = ("of", "made", "memory")
_WORD = 8
_MOST_CHECKS = 8
_REFUSED = ("KVM_SET_SIGNAL_MASK", "KVM_GET_DIRTY_LOG")
_WORD_NAME = re.compile(r"word 0x[0-9a-f]{1,8}")
_PAGE_FIELDS = {0: "request_interrupt_window", 1: "immediate_exit"}
_MAIN = """\
int main(void)
{{
	watch();
	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
{lines}
	puts("KVM did what it must.");
	return 0;
}}
"""


def write(
    told: ToldCalls, claim: str, sentence: str, source: str, kernel: str, mode: str = ""
) -> str:
    """The file's text. `mode` is the guest's, of whose code the instructions are told.

    Raises `UntoldError` for what no C is known of.
    """
    if told.expected.kind not in _KINDS:
        raise UntoldError("a look at what passed between guest and userspace")
    if len(told.entries) > MOST_ENTRIES:
        raise UntoldError(f"more than {MOST_ENTRIES} calls")
    entries, expected = _of_what_runs(told.entries, told.expected)
    if not any(isinstance(each, RunBegins | Raced) for each in entries):
        raise UntoldError("a test without a KVM_RUN")
    if expected.kind in OF_RUNS and expected.number is None:
        last = [each.number for each in entries if isinstance(each, RunBegins)][-1]
        expected = msgspec.structs.replace(expected, number=last)
    program = _Program(expected, _look_of(expected, entries), mode)
    for place, each in enumerate(entries):
        program.tell(each, entries[place + 1 :])
        if program.over:
            break
    program.tell_end()
    return "\n".join(
        [
            header(claim, sentence, source, kernel),
            head(),
            "",
            f"enum {{ HEARTBEAT = {at.HEARTBEAT:#x} }}; /* the guest counts there */",
            "",
            *(
                f"{each}\n"
                for each in needed({**blocks("calls"), **blocks("race")}, program.blocks)
            ),
            *program.variables(),
            *program.data,
            _MAIN.format(lines=program.text()),
        ]
    )


def _of_what_runs(
    entries: Sequence[LogEntry], expected: Expected
) -> tuple[list[LogEntry], Expected]:
    """Without the VMs that only were there."""
    vm_of = {
        each.made: each.of
        for each in entries
        if isinstance(each, Ioctl) and each.name == "KVM_CREATE_VCPU"
    }
    used = {each.of for each in entries if isinstance(each, RunBegins | Raced)}
    used |= {vm_of[each] for each in used if each in vm_of}

    def counts(each: LogEntry) -> bool:
        if isinstance(each, Ioctl) and each.name == "KVM_CREATE_VM":
            return each.made in used
        of = getattr(each, "of", "kvm")
        return of == "kvm" or of in used or vm_of.get(of) in used

    return _named_anew([each for each in entries if counts(each)], expected)


def _named_anew(entries: Sequence[LogEntry], expected: Expected) -> tuple[list[LogEntry], Expected]:
    """VMs, vCPUs and memory numbered as they are left: the first has no number."""
    new: dict[str, str] = {}
    made: dict[str, int] = {}

    def name(old: str) -> str:
        if old and old != "kvm" and old not in new:
            kind = old.rstrip("0123456789")
            made[kind] = made.get(kind, 0) + 1
            new[old] = kind if made[kind] == 1 else f"{kind}{made[kind]}"
        return new.get(old, old)

    made_anew = [
        msgspec.structs.replace(
            each,
            **{key: name(getattr(each, key)) for key in _NAMES if hasattr(each, key)},
        )
        for each in entries
    ]
    return made_anew, msgspec.structs.replace(expected, of=new.get(expected.of, ""))


def _look_of(expected: Expected, entries: Sequence[LogEntry]) -> int | None:
    """The look since which something must not change: without a number the last before a run."""
    if expected.kind != "same" or expected.number is not None:
        return expected.number
    runs = [place for place, each in enumerate(entries) if isinstance(each, RunBegins)]
    before = entries[: runs[-1]] if runs else []
    return max((each.number for each in before if isinstance(each, Looked)), default=None)


@dataclass
class _Program:
    """The program under way. It is `over` once what was expected of a run was looked at."""

    expected: Expected
    look: int | None
    mode: str
    blocks: set[str] = field(default_factory=lambda: {"base"})
    data: list[str] = field(default_factory=list)
    over: bool = False
    _lines: list[str] = field(default_factory=list)
    _descriptors: list[str] = field(default_factory=list)
    _memory: dict[str, int] = field(default_factory=dict)
    _vm_of: dict[str, str] = field(default_factory=dict)
    _memory_of: dict[str, str] = field(default_factory=dict)
    _under_way: RunBegins | None = None
    _disturbed: bool = False
    _elsewhere: bool = False
    _checks: list[str] = field(default_factory=list)

    def _say(self, text: str, *needs: str) -> None:
        self._lines.append(text)
        self.blocks |= set(needs)

    def text(self) -> str:
        return "\n".join(f"\t{each}" if each else "" for each in self._lines)

    def variables(self) -> list[str]:
        """Declarations of all descriptors, mappings and pieces of memory. Raises `UntoldError`."""
        if not self._memory:
            raise UntoldError("a guest without memory")
        pages = [f"*{page_of(each)}" for each in self._descriptors if each.startswith("vcpu")]
        memory = [f"*{each}" for each in self._memory]
        return [
            f"static int {', '.join(self._descriptors)};",
            f"static struct kvm_run {', '.join(pages)};",
            f"static uint8_t {', '.join(memory)};\n",
        ]

    def tell(self, entry: LogEntry, later: Sequence[LogEntry]) -> None:
        if isinstance(entry, Ioctl):
            self._ioctl(entry)
        elif isinstance(entry, Region):
            self._region(entry)
        elif isinstance(entry, Stored):
            self._disturb()
            self._stored(entry)
        elif isinstance(entry, RunBegins):
            self._begins(entry, later)
        elif isinstance(entry, RunEnds):
            self._ends(entry)
        elif isinstance(entry, Looked):
            self._looked(entry)
        elif isinstance(entry, Raced):
            self._raced(entry)
        else:
            self._signal(entry)

    def _ioctl(self, entry: Ioctl) -> None:
        if self._under_way and entry.of != self._under_way.of:
            self._disturb()
        if entry.made:
            self._vm_of[entry.made] = entry.of
            self._descriptors.append(entry.made)
            call = f'must(ioctl({entry.of}, {entry.name}, {entry.number}), "{entry.name}")'
            self._say(f"{entry.made} = {call};")
            if entry.made.startswith("vcpu"):
                self._say(f"{page_of(entry.made)} = map_run({entry.made});")
            return
        special = here().SPECIAL_CALLS.get(entry.name)
        if entry.value < 0 and (special or entry.name in _REFUSED):
            self._say(f"/* {entry.name}, which was refused, has changed nothing */")
        elif special:
            self._say(special[0].format(of=entry.of), special[1])
        elif entry.name == "KVM_SET_SIGNAL_MASK":
            bits = int.from_bytes(entry.data[4:], sys.byteorder)
            given = f"&(uint64_t){{{bits:#x}}}" if entry.points_at else "NULL"
            self._say(f"set_mask({entry.of}, {given});", "mask")
        elif entry.name == "KVM_GET_DIRTY_LOG":
            slot = int.from_bytes(entry.data[:4], sys.byteorder)
            self._say(f"read_dirty_log({entry.of}, {slot});", "dirty")
        else:
            what = (
                argument(entry.points_at, entry.data)
                if entry.points_at
                else f"{entry.number:#x}ul"
                if entry.number
                else "0"
            )
            call = f"ioctl({entry.of}, {entry.name}, {what})"
            if entry.value < 0:
                name = errno.errorcode.get(-entry.value, str(-entry.value))
                self._say(f"{call}; /* it gave {name} */")
            else:
                call = f'must({call}, "{entry.name}");'
                whole = call.replace(" = ", "\0=\0")  # which no line ends in
                rows = textwrap.wrap(whole, 92, break_long_words=False)
                self._say("\n\t\t".join(rows).replace("\0", " "))

    def _region(self, entry: Region) -> None:
        if entry.memory not in self._memory:
            self._memory[entry.memory] = entry.size
            self._memory_of.setdefault(entry.of, entry.memory)
            self._say(f"{entry.memory} = new_memory({entry.size:#x});")
        numbers = f"{entry.slot}, {entry.flags:#x}, {entry.address:#x}, {entry.size:#x}"
        self._say(f"region({entry.of}, {numbers}, {entry.memory});")

    def _stored(self, entry: Stored) -> None:
        if entry.memory not in self._memory:
            raise UntoldError("memory that is not the guest's")
        where, steady = f"{entry.memory} + {entry.at:#x}", progression(entry.data)
        if len(entry.data) in (4, _WORD):
            value = int.from_bytes(entry.data, sys.byteorder)
            self._say(f"*(volatile uint{8 * len(entry.data)}_t *)({where}) = {value:#x};")
        elif steady:
            words = len(entry.data) // _WORD
            self._say(f"for (uint64_t word = 0; word < {words}; word++)")
            self._say(f"\t((uint64_t *)({where}))[word] = {steady[0]:#x} + {steady[1]:#x} * word;")
        else:
            name = f"content{len(self.data) + 1}"
            is_code = at.PROGRAM <= entry.at < at.PROGRAM_END and self.mode
            rows = (
                here().disassembled(entry.data, entry.at, self.mode)
                if is_code
                else octets(entry.data)
            )
            self.data.append(f"static const uint8_t {name}[{len(entry.data)}] = {{\n{rows}\n}};\n")
            self._say(f"memcpy({where}, {name}, sizeof({name}));")

    # ---- runs

    def _begins(self, entry: RunBegins, later: Sequence[LogEntry]) -> None:
        if self._under_way:
            raise UntoldError("two vCPUs that run at once")
        page = page_of(entry.of)
        for place, data in entry.page:
            self._page_stores(page, place, data)
        is_last = not any(isinstance(each, RunBegins) for each in later)
        if self._is_meant(entry) or is_last:
            self._say(f'doing = "{_c_text(self.expected.circumstance)}";')
        self._under_way, self._disturbed = entry, False
        if self.expected.kind == "same" and self.look is None and is_last:
            self._look_at(entry.of)  # the test looked by itself
        shape = f"{entry.of}, {page}, {entry.argument:#x}, {entry.times}"
        between = later[: next((n for n, e in enumerate(later) if isinstance(e, RunEnds)), 0)]
        goes_on = self.expected.kind == GOES_ON and self._is_meant(entry)
        self._elsewhere = entry.elsewhere or bool(between) or goes_on
        if self.expected.kind == "mask" and self._is_meant(entry):
            self._say("keep_mask();", "mask_stays")
        if self._elsewhere:
            self._say(f"begin({shape});", "elsewhere")
        else:
            self._say(f"enter({shape});")

    def _raced(self, entry: Raced) -> None:
        """One that lost no kick is left out."""
        if self.expected.kind != "race" or entry.number != self.expected.number:
            return
        self._say(f'doing = "{_c_text(self.expected.circumstance)}";')
        for each in races.told(entry, page_of(entry.of), self._memory_of_guest(entry.of)):
            self._say(each, "race")
        self.over = True

    def _memory_of_guest(self, vcpu: str) -> str:
        """That of a vCPU's VM, which has the guest's words at its beginning."""
        memory = self._memory_of.get(self._vm_of.get(vcpu, ""))
        if memory is None:
            raise UntoldError("a guest without memory")
        return memory

    def _page_stores(self, page: str, place: int, data: bytes) -> None:
        while data and place in _PAGE_FIELDS:
            self._say(f"{page}->{_PAGE_FIELDS[place]} = {data[0]};")
            place, data = place + 1, data[1:]
        if data:
            values = ", ".join(f"{octet:#x}" for octet in data)
            to = f"(uint8_t *){page} + {place}"
            self._say(f"memcpy({to}, (uint8_t[]){{{values}}}, {len(data)});")

    def _disturb(self) -> None:
        """Something comes while a run is under way: the guest runs by then."""
        if self._under_way and not self._disturbed:
            self._disturbed = True
            self._say(f"let_it_run({self._memory_of_guest(self._under_way.of)});", "turns")

    def _ends(self, entry: RunEnds) -> None:
        if self._under_way is None:
            raise UntoldError("a run whose begin was not seen")
        of, kind, value = self._under_way.of, self.expected.kind, self.expected.value
        if kind == GOES_ON and self._is_meant(entry):
            self._must_go_on()
            return
        if self._elsewhere:
            self._say("end();")
        self._under_way = None
        if self._is_meant(entry):
            page = page_of(of)
            calls = {
                "mask": "mask_stays();",
                "errno": f"must_fail({errno.errorcode.get(value, str(value))}, {page});",
                "signal": f"must_be_interrupted({page});",
                "exit": f"must_leave({value}, {page});" if value >= 0 else "must_return_0();",
            }
            self._say(calls[kind], "mask_stays" if kind == "mask" else kind)
            self.over = True
        elif entry.error >= 0:
            name = errno.errorcode.get(entry.error, str(entry.error))
            self._say(f"gave({name if entry.error else 0});", "gave")

    def _is_meant(self, entry: RunBegins | RunEnds) -> bool:
        """Whether it is the run of which something is expected."""
        return self.expected.kind in OF_RUNS and entry.number == self.expected.number

    def _must_go_on(self) -> None:
        assert self._under_way
        memory = self._memory_of_guest(self._under_way.of)
        self._say(f"must_go_on({memory}, {int(self.expected.value == 1)});", GOES_ON)
        self.over = True

    def _looked(self, entry: Looked) -> None:
        if self.expected.kind == "same" and entry.number == self.look:
            self._look_at(entry.of)

    def _look_at(self, vcpu: str) -> None:
        for name in self.expected.names:
            if len(self._checks) >= _MOST_CHECKS:
                break
            if read := self._reading(name, vcpu):
                place = len(self._checks)
                self._say(f"before[{place}] = {read};", "same")
                self._checks.append(f'stays("{_c_text(name)}", before[{place}], {read});')

    def _reading(self, name: str, vcpu: str) -> str:
        if not vcpu.startswith("vcpu"):
            raise UntoldError("a look at something else than a vCPU")
        if name == "heartbeat":
            return f"*(volatile uint32_t *)({self._memory_of_guest(vcpu)} + HEARTBEAT)"
        if _WORD_NAME.fullmatch(name):
            word = name.removeprefix("word ")
            return f"*(volatile uint32_t *)({self._memory_of_guest(vcpu)} + {word})"
        read, block = here().reading(name, vcpu)
        self.blocks |= {block} - {""}
        return read

    def _signal(self, entry: LogEntry) -> None:
        if isinstance(entry, Handling):
            self._say(f"handle({entry.signo}, {entry.flags:#x});", "handle")
        elif isinstance(entry, Blocking):
            self._say(f"block({entry.signo}, {int(entry.on)});", "block")
        elif isinstance(entry, ByteSet):
            self._disturb()
            self._say(f"{page_of(entry.of)}->immediate_exit = {entry.value};")
        elif isinstance(entry, Sent):
            if not entry.here:
                self._disturb()
                if not self._under_way:
                    raise UntoldError("a signal to another thread")
            to = "pthread_self()" if entry.here else "runner"
            self._say(f"pthread_kill({to}, {entry.signo});", "elsewhere" if not entry.here else "")

    def tell_end(self) -> None:
        """What was expected at last. Raises `UntoldError` where nothing of it can be read."""
        if self.over:
            return
        if self._under_way and self.expected.kind == GOES_ON and self._is_meant(self._under_way):
            self._must_go_on()
            return
        if self._under_way:
            raise UntoldError("a run that was still under way")
        if self.expected.kind == "is":
            vcpu = self.expected.of
            for name in self.expected.names:
                if read := self._reading(name, vcpu):
                    self._say(f'is("{_c_text(name)}", {self.expected.value:#x}, {read});', "is")
                    return
        if not self._checks:
            what = ", ".join(self.expected.names[:3]) or self.expected.kind
            raise UntoldError(f"a look at {what}")
        for each in self._checks:
            self._say(each)


def _c_text(text: str) -> str:
    """Of a file, in a string of C."""
    return re.sub(
        r'[\\"%?]', lambda found: "\\" + found[0] if found[0] in '\\"' else " ", line(text)
    )
