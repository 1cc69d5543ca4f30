# SPDX-License-Identifier: GPL-2.0-only
"""A guest of a 32-bit program: guest_blobs/x86_64/compat_caller.S makes each call of it.

Its structs are those of KVM's 64-bit ABI (all of them have fixed sizes), but its system calls are
i386's, and KVM_SET_SIGNAL_MASK goes by kvm_vcpu_compat_ioctl().
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import signal
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import guest_blobs
from guest_blobs import memory_map as at
from harness.closing import Closing
from harness.host import pace
from harness.kvm import abi, call_log, exits
from harness.kvm.arch.x86_64.state import enter
from harness.kvm.memory import Memory
from harness.kvm.running import POLL_S, NotSeenError
from harness.kvm.vcpu import KERNEL_SIGSET_BYTES, Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

#: arch/x86/entry/syscalls/syscall_32.tbl
_CALLS = {"read": 3, "write": 4, "open": 5, "ioctl": 54, "getpid": 20, "mmap2": 192, "tgkill": 270}
_CALLS |= {"rt_sigprocmask": 175, "rt_sigpending": 176, "rt_sigtimedwait": 177}
_TSS_ADDRESS, _IDENTITY_MAP_ADDRESS = 0xFFFBD000, 0xFFFBC000  # api.rst 4.30, 4.41
_ROOM = 0x800  # of compat_caller.S: from the load address on
_SET = 0x700  # in the room, out of the way of what an ioctl copies there
#: What `end_run()` gives of a run that a signal ended.
INTERRUPTED = -errno.EINTR, "KVM_EXIT_INTR"
_RESULT = struct.Struct("<i")
_PATIENCE_S = 10.0


class No32BitError(Exception):
    """This host executes no 32-bit programs (CONFIG_IA32_EMULATION, ia32_emulation=0)."""


class CompatGuest(Closing):
    """A context manager: a 32-bit process with a VM, RAM that is shared with it, and a vCPU.

    `load()` first. `pid` is the process. It blocks every signal that can be blocked.
    """

    irqchip = "none"

    def __init__(self) -> None:
        blob = guest_blobs.load("compat_caller", "x86_64", "protected")
        self._room = blob.load_address + _ROOM
        self._ram_fd = os.memfd_create("guest-ram")
        os.ftruncate(self._ram_fd, at.RAM_SIZE)
        self.ram = Memory(at.RAM_SIZE, mmap.mmap(self._ram_fd, at.RAM_SIZE, mmap.MAP_SHARED))
        try:
            self._process = _execute(blob.code, self._ram_fd)
        except BaseException:
            self._close_memory()
            raise
        self.pid = self._process.pid
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        every = (1 << 64) - 1
        self._poke(_SET, every.to_bytes(8, "little"))
        self._call("rt_sigprocmask", signal.SIG_SETMASK, self._room + _SET, 0, 8)
        self._poke(0, b"/dev/kvm\0")
        system = self._call("open", self._room, os.O_RDWR)
        self._vm = self._call("ioctl", system, abi.IOCTLS["KVM_CREATE_VM"], 0)
        identity_map = ffi.new("uint64_t *", _IDENTITY_MAP_ADDRESS)
        self._ioctl(self._vm, "KVM_SET_IDENTITY_MAP_ADDR", identity_map)
        self._call("ioctl", self._vm, abi.IOCTLS["KVM_SET_TSS_ADDR"], _TSS_ADDRESS)
        region = ffi.new("struct kvm_userspace_memory_region *")
        region.memory_size = at.RAM_SIZE
        region.userspace_addr = self._map(self._ram_fd, at.RAM_SIZE)
        self._ioctl(self._vm, "KVM_SET_USER_MEMORY_REGION", region)
        self._vcpu = self._call("ioctl", self._vm, abi.IOCTLS["KVM_CREATE_VCPU"], 0)
        size = self._call("ioctl", system, abi.IOCTLS["KVM_GET_VCPU_MMAP_SIZE"], 0)
        self._run_page = self._map(self._vcpu, size)

    def load(self, program: str, mode: str) -> None:
        """Places a program and puts the vCPU at its entry. Raises `KvmError`."""
        blob = guest_blobs.load(program, "x86_64", mode)
        self.ram.write(blob.load_address, blob.code)
        # It needs of the two what this object has too.
        enter(cast(Vcpu, self), cast(Vm, self), self.ram, blob)

    def ioctl(self, name: str, argument: Any) -> int:
        """An ioctl of the vCPU with a struct, there and back. Raises `KvmError`."""
        return self._ioctl(self._vcpu, name, argument)

    @property
    def heartbeat(self) -> int:
        """Turns of the program's loop."""
        return self.ram.read32(at.HEARTBEAT)

    def stop(self) -> None:
        """Sets the stop word."""
        self.ram.write32(at.STOP, 1)

    # ---- KVM_RUN and its mask

    def begin_run(self, immediate_exit: int = 0) -> None:
        """KVM_RUN, which is then under way: `end_run()` waits for it."""
        self._poke_at(self._run_page + 1, bytes([immediate_exit]))
        self._begin("ioctl", self._vcpu, abi.IOCTLS["KVM_RUN"], 0)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Returns once `condition` holds, of a run under way. Raises `NotSeenError`.

        A run that ends as if by a signal before that is begun again: that is legal.
        """
        for _ in range(int(pace.here().patience(_PATIENCE_S) / POLL_S)):
            if condition():
                return
            if select.select([self._stdout], [], [], POLL_S)[0]:
                found = self.end_run()
                if found != INTERRUPTED:
                    raise NotSeenError(f"waiting for {what}", f"but KVM_RUN gave {found}")
                self.begin_run()
        self.stop()
        raise NotSeenError(f"waited for {what}", f"in vain; then KVM_RUN gave {self.end_run()}")

    def end_run(self) -> tuple[int, str]:
        """What KVM_RUN gave, value or negative errno, and the name of exit_reason.

        `NotSeenError` when it does not come back, neither by itself nor by the stop word.
        """
        value = self._answer(self.stop)
        (reason,) = struct.unpack("<I", self._peek_at(self._run_page + 8, 4))
        return value, exits.reason_name(reason)

    def run(self, immediate_exit: int = 0) -> tuple[int, str]:
        """Both."""
        self.begin_run(immediate_exit)
        return self.end_run()

    def set_signal_mask_raw(
        self, blocked: Iterable[int] | None, length: int = KERNEL_SIGSET_BYTES
    ) -> int:
        """KVM_SET_SIGNAL_MASK; None clears it. 0, or the negative errno."""
        address = 0
        if blocked is not None:
            bits = sum(1 << (number - 1) for number in set(blocked))
            self._poke(0, struct.pack("<IQ", length, bits))
            address = self._room
        number = abi.IOCTLS["KVM_SET_SIGNAL_MASK"]
        return self._call_raw("ioctl", self._vcpu, number, address)

    # ---- signals of its thread

    def send(self, signo: int) -> None:
        """It sends a signal to its thread, where it stays pending."""
        self._call("tgkill", self.pid, self.pid, signo)

    def pending(self) -> set[int]:
        """What is pending."""
        self._call("rt_sigpending", self._room + _SET, 8)
        bits = int.from_bytes(self._peek_at(self._room + _SET, 8), "little")
        return {number for number in range(1, 65) if bits >> (number - 1) & 1}

    def take(self, signo: int) -> None:
        """Takes away what is pending of a signal."""
        at_once = struct.pack("<Qii", 1 << (signo - 1), 0, 0)
        self._poke(_SET, at_once)
        where = self._room + _SET
        while self._call_raw("rt_sigtimedwait", where, 0, where + 8, 8) == signo:
            pass

    # ---- its calls and its memory

    def _call_raw(self, name: str, *arguments: int) -> int:
        self._begin(name, *arguments)
        return self._answer()

    def _call(self, name: str, *arguments: int) -> int:
        value = self._call_raw(name, *arguments)
        if -4096 < value < 0:
            raise OSError(-value, f"{name} of a 32-bit program: {os.strerror(-value)}")
        return value & 0xFFFFFFFF

    def _begin(self, name: str, *arguments: int) -> None:
        words = [_CALLS[name], *(value & 0xFFFFFFFF for value in arguments)]
        os.write(self._stdin, struct.pack("<7I", *words, *[0] * (7 - len(words))))

    def _answer(self, rescue: Any = None) -> int:
        patience_s = pace.here().patience(_PATIENCE_S)
        for help_it in (rescue, self._process.kill):
            if select.select([self._stdout], [], [], patience_s)[0]:
                found = os.read(self._stdout, _RESULT.size)
                if len(found) != _RESULT.size:
                    raise NotSeenError(
                        "waiting for a call", f"the 32-bit program went ({self._process.wait()})"
                    )
                return int(_RESULT.unpack(found)[0])
            if help_it is not None:
                help_it()
        raise NotSeenError(
            f"a call of a 32-bit program did not return within {patience_s:.0f} s",
            f"nor as long after the stop word; the guest is at heartbeat {self.heartbeat}",
        )

    def _ioctl(self, fd: int, name: str, argument: Any) -> int:
        size = ffi.sizeof(ffi.typeof(argument).item)
        self._poke(0, bytes(ffi.buffer(argument, size)))
        value = self._call_raw("ioctl", fd, abi.IOCTLS[name], self._room)
        if value < 0:
            raise abi.KvmError(name, -value)
        ffi.memmove(argument, self._peek_at(self._room, size), size)
        return value

    def _map(self, fd: int, size: int) -> int:
        read_write, shared = 3, 1
        return self._call("mmap2", 0, size, read_write, shared, fd, 0)

    def _poke(self, offset: int, data: bytes) -> None:
        self._poke_at(self._room + offset, data)

    def _poke_at(self, address: int, data: bytes) -> None:
        self._begin("read", 0, address, len(data))
        os.write(self._stdin, data)
        self._answer()

    def _peek_at(self, address: int, size: int) -> bytes:
        self._begin("write", 1, address, size)
        data = b""
        while len(data) < size:
            data += os.read(self._stdout, size - len(data))
        self._answer()
        return data

    @property
    def _stdin(self) -> int:
        return int(cast(Any, self._process.stdin).fileno())

    @property
    def _stdout(self) -> int:
        return int(cast(Any, self._process.stdout).fileno())

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._close_memory()

    def _close_memory(self) -> None:
        self.ram.close()
        if self._ram_fd >= 0:
            os.close(self._ram_fd)
            self._ram_fd = -1


def _execute(code: bytes, ram_fd: int) -> subprocess.Popen[bytes]:
    """Starts the program, from memory. Raises `No32BitError`, and OSError."""
    fd = os.memfd_create("compat_caller")
    try:
        os.write(fd, code)
        # Through a reader of its own: what is open for writing cannot be executed.
        path = Path(f"/proc/self/fd/{fd}")
        readable = os.open(path, os.O_RDONLY)
    finally:
        os.close(fd)
    try:
        call_log.cannot("another process")
        return subprocess.Popen(
            [f"/proc/self/fd/{readable}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(readable, ram_fd),
        )
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        raise No32BitError(f"execve: {os.strerror(error.errno)}") from None
    finally:
        os.close(readable)
