# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log: what in it is an alarm, and whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import kernel_log
from lab.launch import kernel_log as run_log


def write_log(path: Path, *texts: str) -> None:
    with path.open("a") as log:
        log.writelines(f"4,{number},5000001,-;{text}\n" for number, text in enumerate(texts))


WARNED = "WARNING: CPU: 1 PID: 7 at virt/kvm/kvm_main.c:1 kvm_put_kvm+0x1/0x2 [kvm]"


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 1 PID: 7 at arch/x86/kvm/x86.c:11500 kvm_arch_vcpu_ioctl_run+0x1/0x2 [kvm]",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "kernel BUG at virt/kvm/kvm_main.c:100!",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [vcpu:77]",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "INFO: task vcpu:77 blocked for more than 120 seconds.",
        "UBSAN: shift-out-of-bounds in arch/x86/kvm/mmu.c:1:2",
        "Oops: 0000 [#1] PREEMPT SMP NOPTI",
    ],
)
def test_alarms_are_recognized(line: str) -> None:
    told = [
        kernel_log.Record(level, None, text)
        for level, text in ((6, "usb 1-1: new device"), (4, line), (4, "Call Trace:"))
    ]
    assert kernel_log.alarms(told) == [line, "Call Trace:"]


@pytest.mark.parametrize(
    "line",
    [
        "kvm: SMP vm created on host with unstable TSC",
        "kvm_intel: VMX not supported by CPU 0",
        "systemd[1]: Warning: unit file changed",
        "tokio-rt-worker (70): drop_caches: 3",
        "kvm [77]: ignored rdmsr: 0x123 data 0x0",
    ],
)
def test_ordinary_lines_are_none(line: str) -> None:
    assert kernel_log.alarms([kernel_log.Record(4, None, line)]) == []


def test_only_new_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    write_log(path, WARNED)
    with kernel_log.KernelLog(path) as log:
        assert log.new_records() == []
        write_log(path, f"{WARNED} a new one")
        records = log.new_records()
    # A regular file has no records, but one line is as good.
    assert [each.line for each in records] == [f"[    5.000001] {WARNED} a new one"]
    assert kernel_log.alarms(records) == [records[0].line]


def test_what_a_daemon_writes_is_no_alarm(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.touch()
    with kernel_log.KernelLog(path) as log:
        path.write_text(f"12,1,5678901,-;{WARNED}\n")
        assert log.new_records() == []


def test_an_unreadable_log_says_why(tmp_path: Path) -> None:
    with kernel_log.KernelLog(tmp_path / "missing") as log:
        assert "cannot be read" in log.why_not
        assert log.new_records() == []


@pytest.mark.parametrize(
    "name", ["WARNING: KVM", "BUG: kvm", "Oops: 1", "UBSAN: a in b:1", "Oops: (1) ", "BUG: [1]: "]
)
@pytest.mark.parametrize(
    "rest",
    [
        "[1234]: segfault at 0 ip 000000000040113c sp 00007ffd3f error 6 in KVM[401000+1000]",
        " invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        ": page allocation failure: order:9, mode:0x40dc0(GFP_KERNEL), nodemask=(null)",
        " (77): drop_caches: 3",
        "[77]: bad frame in rt_sigreturn frame:00000000 ip:0 sp:0 orax:0",
        " (77) used greatest stack depth: 11000 bytes left",
    ],
)
def test_a_process_that_is_named_like_an_alarm_is_none(name: str, rest: str) -> None:
    """As anybody may name one, at whatever level the kernel tells of it."""
    assert len(name) <= 15
    assert kernel_log.alarms([kernel_log.Record(3, None, f"{name}{rest}")]) == []


@pytest.mark.parametrize(
    "text",
    [
        "traps: KVM[77] general protection fault ip:401136 sp:7ffd error:0 in KVM[401000+1000]",
        "traps: WARNING: KVM[77] trap invalid opcode ip:401136 sp:7ffd error:0",
        "Out of memory: Killed process 77 (WARNING: CPU: 1) total-vm:1kB",
        "process 'BUG: x' launched '/bin/x' with NULL argv: empty string added",
        "kvm [77]: vcpu0, guest rIP: 0x1 WARNING: unhandled rdmsr: 0x140",
    ],
)
def test_what_a_process_did_is_no_alarm(text: str) -> None:
    assert kernel_log.alarms([kernel_log.Record(4, None, text)]) == []


@pytest.mark.parametrize(
    "text",
    [
        "WARNING: virt/kvm/kvm_main.c:100 at kvm_put_kvm+0x10/0x200 [kvm], CPU#1: python3/77",
        "BUG: KASAN: slab-use-after-free in kvm_arch_vcpu_ioctl_run+0x1/0x2 [kvm]",
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
        "BUG: scheduling while atomic: python3/77/0x00000002",
        "BUG: unable to handle page fault for address: ffffc90000000000",
        "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
        "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
        "traps: PANIC: double fault, error_code: 0x0",
        "double fault: 0000 [#1] SMP",
        "WARNING: possible recursive locking detected",
        "[ BUG: Invalid wait context ]",
        "INFO: task WARNING: KVM:77 blocked for more than 120 seconds.",
        "INFO: rcu_sched self-detected stall on CPU",
    ],
)
def test_forms_of_other_kernels_are_alarms(text: str) -> None:
    assert kernel_log.alarms([kernel_log.Record(4, None, text)]) == [text]
    assert kernel_log.alarms([kernel_log.Record(6, None, text)]) == [], "an alarm is no mere note"


def test_lost_records_are_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's ring was too small: the device says so once, and goes on behind the gap."""
    (tmp_path / "kmsg").touch()
    reads: list[bytes | OSError] = [
        BrokenPipeError(),
        f"4,9,5,-;{WARNED}\n".encode(),
        BlockingIOError(),
    ]

    def read(_fd: int, _size: int) -> bytes:
        found = reads.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    copy = run_log.Copy(tmp_path / "kernel.log", device=tmp_path / "kmsg")
    monkeypatch.setattr(kernel_log.os, "read", read)
    copy.more()
    monkeypatch.undo()
    copy.close()
    lines = (tmp_path / "kernel.log").read_text().splitlines()
    assert lines == [f"# {run_log.GAP}", f"[    0.000005] {WARNED}"]
