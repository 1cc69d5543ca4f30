# SPDX-License-Identifier: GPL-2.0-only
"""What a test asked of KVM, in order: of it a program is made that asks the same.

Only while a log is open: `log_calls()`. What only reads is left out, but that somebody looked at
the vCPU is an entry of its own. What a test does besides KVM (cgroups, ptrace, other processes) is
not seen here.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from harness.native import ffi

#: Of kvm_run what userspace may store to: the structure, and the page behind it.
PAGE_SEEN = 8192
MOST_ENTRIES, _MOST_BYTES = 600, 64 << 10
_SLICE = 64
_READS = ("KVM_GET_", "KVM_CHECK_EXTENSION", "KVM_RUN")
#: A journal is somebody's file, and of these words C is made.
_Name = Annotated[str, msgspec.Meta(pattern=r"\A(kvm|(vm|vcpu|ram)[0-9]*)?\Z")]
_Call = Annotated[str, msgspec.Meta(pattern=r"\AKVM_[A-Z0-9_]+\Z")]
_Type = Annotated[str, msgspec.Meta(pattern=r"\A((struct )?[a-z0-9_]+)?\Z")]
_Ns = Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)]
_Processor = Annotated[int, msgspec.Meta(ge=-1, le=1 << 16)]
_LEFT_OUT = ("struct kvm_cpuid2",)  # long, and nearly always what KVM supports
_usual: dict[str, bytes] = {}  # what was given first, as every guest gets it
#: Their arguments have addresses of this process, or descriptors.
_OF_THIS_PROCESS = (
    *("KVM_SET_USER_MEMORY_REGION2", "KVM_CREATE_GUEST_MEMFD", "KVM_IRQFD", "KVM_IOEVENTFD"),
    *("KVM_CREATE_DEVICE", "KVM_SET_DEVICE_ATTR", "KVM_HAS_DEVICE_ATTR"),
)
_READS_AND_CLEARS = "KVM_GET_DIRTY_LOG"


class Ioctl(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """A call of `of` ("kvm", "vm", "vcpu2"...) by its name.

    `points_at` and `data` are the type and the content of its argument, or `number` is the
    argument; `value` is the kernel's, or the negative errno. `made` names the descriptor that came
    of it.
    """

    of: _Name
    name: _Call
    value: int = 0
    points_at: _Type = ""
    data: bytes = b""
    number: int = 0
    made: _Name = ""


class Region(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """KVM_SET_USER_MEMORY_REGION of a piece of memory by its name, of `size` bytes."""

    of: _Name
    memory: _Name
    slot: int = 0
    flags: int = 0
    address: int = 0
    size: int = 0


class Stored(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Userspace stored to the guest's memory."""

    memory: _Name
    at: int
    data: bytes


class RunBegins(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """So many KVM_RUNs, as long as each gives EINTR; `page` is what was stored to kvm_run before.

    `elsewhere`: on another thread than the test's.
    """

    of: _Name
    number: int
    times: int = 1
    argument: int = 0
    elsewhere: bool = False
    page: tuple[tuple[int, bytes], ...] = ()


class RunEnds(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """It did; `number` is that of its begin. `error`: its errno, 0 without one; -1 is unknown."""

    number: int
    error: int = -1


class Sent(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """A signal to the thread that is in KVM_RUN, or to the test's own (`here`)."""

    signo: int
    here: bool = False


class Blocking(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """The test's thread blocks a signal from here on, or no more: what is pending is taken away."""

    signo: int
    on: bool


class Handling(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """A signal has a handler that counts it."""

    signo: int
    flags: int = 0


class ByteSet(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """immediate_exit was set while somebody was in KVM_RUN."""

    of: _Name
    value: int


class Looked(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """The vCPU's state was read; `number` counts from 0."""

    of: _Name
    number: int


class Raced(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Kicks of a vCPU, each at another moment: a plan of `harness.kick.plan`, in its words.

    Delays and the window are ns; with a step of 0 they were drawn from the seed.
    """

    of: _Name
    number: int
    protocol: str
    delivery: str
    signo: Annotated[int, msgspec.Meta(ge=1, le=64)]
    first: _Ns
    last: _Ns
    step: _Ns
    window: _Ns
    kicks: Annotated[int, msgspec.Meta(ge=0, le=10**12)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    processors: tuple[_Processor, _Processor]


_OfRuns = RunBegins | RunEnds | Sent | Blocking | Handling | ByteSet | Raced
LogEntry = Ioctl | Region | Stored | Looked | _OfRuns


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a test asked for last, and did not get.

    `kind`: "errno" of a run (`number`) must be `value`; "exit": it must give 0 and this reason;
    "signal": EINTR and KVM_EXIT_INTR; "goes_on": it must not come back, and with the `value` 1 the
    guest must make progress; "mask": it must leave the thread's as it was; "same": since a look
    (`number`) `names` must not change, as `Guest.whole` calls them; "is": the first in `names` must
    be `value`; "word" and an address are 32 bits of the memory of the guest of the vCPU `of`,
    "kvm_run" and a field are of its page; "race": no kick of a race (`number`) must be lost.
    `circumstance` begins the sentence. Without `number`: the
    last.
    """

    kind: str
    circumstance: str
    number: int | None = None
    value: int = 0
    names: tuple[str, ...] = ()
    of: _Name = ""


class ToldCalls(msgspec.Struct, frozen=True):
    """What a failed test leaves in its result."""

    entries: list[LogEntry]
    expected: Expected

    def as_json(self) -> bytes:
        """One line."""
        return msgspec.json.encode(self)

    @classmethod
    def of_json(cls, text: bytes) -> ToldCalls:
        """What `as_json` gave. Raises ValueError."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None


#: As the value of an expected "exit": whichever it is.
ANY_EXIT = -1
#: The kinds of what is expected of one run.
OF_RUNS = ("errno", "exit", "signal", "goes_on", "mask")


@dataclass
class CallLog:
    """`entries` in order. `untold` says why no program can be made of them, if so."""

    entries: list[LogEntry] = field(default_factory=list)
    untold: str = ""
    _is_full: bool = False
    _told: int = 0
    _bytes: int = 0
    _thread: int = field(default_factory=threading.get_ident)
    _names: dict[int, str] = field(default_factory=dict)
    _made: dict[str, int] = field(default_factory=dict)
    _memory: dict[int, str] = field(default_factory=dict)
    _pages: dict[str, bytes] = field(default_factory=dict)
    _numbers: dict[int, tuple[weakref.ref[object], int]] = field(default_factory=dict)
    _runs: int = 0
    _looks: int = 0
    _in_run: int = 0
    _races: int = 0

    def _add(self, entry: LogEntry, size: int = 0) -> None:
        self._bytes += size
        self._is_full |= len(self.entries) >= MOST_ENTRIES or self._bytes > _MOST_BYTES
        if not (self.untold or self._is_full):
            self.entries.append(entry)

    @property
    def _is_other(self) -> bool:
        return threading.get_ident() != self._thread

    def _new_name(self, kind: str) -> str:
        self._made[kind] = number = self._made.get(kind, 0) + 1
        return kind if number == 1 else f"{kind}{number}"

    def cannot(self, why: str) -> None:
        """Something is so that no entry says: no program can be made."""
        self.untold = self.untold or why

    def mark(self) -> None:
        """Something was found wrong: what comes now is the test's clearing up."""
        self._told = len(self.entries)

    def told(self, expected: Expected) -> ToldCalls | None:
        """What was asked for up to what was found wrong last; None where not all of it is known.

        Of what is expected of a run nothing later matters.
        """
        entries, run = self.entries[: self._told], expected.number
        over = {each.number for each in entries if isinstance(each, RunEnds)}
        is_over = expected.kind in OF_RUNS and run in over
        if self.untold or (self._is_full and not is_over):
            return None
        return ToldCalls(entries, expected)

    def called(self, fd: int, name: str, argument: Any, before: bytes, value: int) -> None:
        """An ioctl is over; `before` is what its argument pointed at when it began."""
        if name.startswith(_READS) and name != _READS_AND_CLEARS:
            return
        if name in _OF_THIS_PROCESS:
            self.cannot(f"the call {name}")
        if name == "KVM_CREATE_VM":
            self._names[fd] = "kvm"  # a number that may have been another's before
        of = self._names.setdefault(fd, "kvm")
        made = ""
        if value >= 0 and name in ("KVM_CREATE_VM", "KVM_CREATE_VCPU"):
            made = self._names[value] = self._new_name(name.rpartition("_")[2].lower())
        if name == "KVM_SET_USER_MEMORY_REGION":
            if value >= 0:  # a refused one has changed nothing
                self._region(of, argument)
            return
        kind, number = "", 0
        if isinstance(argument, int):
            number = argument
        elif argument != ffi.NULL:
            kind = ffi.typeof(argument).cname.removesuffix(" *")
        if kind in _LEFT_OUT:
            if before != _usual.setdefault(kind, before):
                self.cannot("a guest that is offered other than what KVM supports")
            before = b""
        self._add(Ioctl(of, name, value, kind, before, number, made), len(before))

    def _region(self, of: str, region: Any) -> None:
        memory = self._memory_at(int(region.userspace_addr))
        given = (int(region.slot), int(region.flags), int(region.guest_phys_addr))
        self._add(Region(of, memory, *given, int(region.memory_size)))

    def forget(self, address: int) -> None:
        """The memory that begins there is gone: what comes to be there is another."""
        self._memory.pop(address, None)

    def _memory_at(self, address: int) -> str:
        if address not in self._memory:
            self._memory[address] = self._new_name("ram")
        return self._memory[address]

    def stored(self, address: int, at: int, data: bytes) -> None:
        """A store to the memory that begins at this address of the process."""
        self._add(Stored(self._memory_at(address), at, data), len(data))

    def run_begins(self, fd: int, page: Any, times: int, argument: int) -> int:
        """KVM_RUN is called. Its number, for `run_ends`."""
        of = self._names.get(fd, "vcpu")
        number, self._runs = self._runs, self._runs + 1
        self._in_run += 1
        if not self.untold:
            now = bytes(ffi.buffer(ffi.cast("uint8_t *", page), PAGE_SEEN))
            stores = _differences(self._pages.get(of, bytes(PAGE_SEEN)), now)
            size = sum(_SLICE + len(data) for _, data in stores)
            self._add(RunBegins(of, number, times, argument, self._is_other, stores), size)
        return number

    def run_ends(self, number: int, fd: int, page: Any, result: object) -> None:
        """It is back, with this result."""
        self._in_run -= 1
        self._numbers[id(result)] = weakref.ref(result), number
        if not self.untold:
            of = self._names.get(fd, "vcpu")
            self._pages[of] = bytes(ffi.buffer(ffi.cast("uint8_t *", page), PAGE_SEEN))
            failed = getattr(result, "value", 0) < 0
            self._add(RunEnds(number, int(getattr(result, "errno", 0)) if failed else 0))

    def looked(self, fd: int, seen: object) -> None:
        """The state of a vCPU was read: `seen` is what. Looks in a row are one."""
        of, last = self._names.get(fd, "vcpu"), self.entries[-1] if self.entries else None
        if not isinstance(last, Looked) or last.of != of:
            last = Looked(of, self._looks)
            self._looks += 1
            self._add(last)
        self._numbers[id(seen)] = weakref.ref(seen), last.number

    def raced(self, fd: int, plan: Mapping[str, Any], seen: object) -> None:
        """A race of a vCPU is over; `plan` has the fields of `Raced`, `seen` is what came of it."""
        of, number, self._races = self._names.get(fd, "vcpu"), self._races, self._races + 1
        self._numbers[id(seen)] = weakref.ref(seen), number
        self._add(Raced(of=of, number=number, **plan))

    def name_of(self, fd: int) -> str:
        """That of a descriptor, or an empty text."""
        return self._names.get(fd, "")

    def number_of(self, thing: object) -> int | None:
        """That of a run by its result, of a look by what was seen, or of a race by its summary."""
        known, number = self._numbers.get(id(thing), (None, None))
        return number if known and known() is thing else None

    def sent(self, signo: int, *, here: bool) -> None:
        """A signal is sent; some in a row count once. One that comes behind the run is none."""
        entry = Sent(signo, here)
        if here and self._is_other:
            self.cannot("a signal to another thread than the test's")
        elif here or (self._in_run and self.entries and self.entries[-1] != entry):
            self._add(entry)

    def blocks(self, signo: int, *, on: bool) -> None:
        """This thread blocks a signal, or no more."""
        if self._is_other:
            self.cannot("a signal that another thread than the test's blocks")
        self._add(Blocking(signo, on))

    def handles(self, signo: int, flags: int) -> None:
        """A handler was installed."""
        self._add(Handling(signo, flags))

    def byte_set(self, fd: int, value: int) -> None:
        """immediate_exit was set; before a run its page says so."""
        if self._in_run:
            self._add(ByteSet(self._names.get(fd, "vcpu"), value))


def _differences(before: bytes, now: bytes) -> tuple[tuple[int, bytes], ...]:
    """Where the two differ, and what is there now, in runs of bytes."""
    if before == now:
        return ()
    places = [
        at
        for begin in range(0, len(now), _SLICE)
        if before[begin : begin + _SLICE] != now[begin : begin + _SLICE]
        for at in range(begin, min(begin + _SLICE, len(now)))
        if before[at] != now[at]
    ]
    found: list[tuple[int, bytearray]] = []
    for at in places:
        if found and found[-1][0] + len(found[-1][1]) == at:
            found[-1][1].append(now[at])
        else:
            found.append((at, bytearray((now[at],))))
    return tuple((at, bytes(data)) for at, data in found)


@contextmanager
def unlogged() -> Iterator[None]:
    """What is asked meanwhile is for the failure's text, and no part of what failed."""
    global current
    before, current = current, None
    try:
        yield
    finally:
        current = before


def cannot(why: str) -> None:
    """If a log is open: something is so that no entry says."""
    if current:
        current.cannot(why)


def content(name: str, argument: Any) -> bytes:
    """What the argument of such an ioctl points at, where the log wants it."""
    reads = name.startswith(_READS) and name != _READS_AND_CLEARS
    if reads or isinstance(argument, int) or argument == ffi.NULL:
        return b""
    try:
        return bytes(ffi.buffer(argument))
    except TypeError:  # a pointer to nobody knows what
        return b""


#: The log that is open in this process.
current: CallLog | None = None


@contextmanager
def log_calls() -> Iterator[CallLog]:
    """What this process asks of KVM meanwhile; a log that was open has nothing of it."""
    global current
    before, log = current, CallLog()
    current = log
    try:
        yield log
    finally:
        current = before
