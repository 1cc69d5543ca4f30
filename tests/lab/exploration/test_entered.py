# SPDX-License-Identifier: GPL-2.0-only
"""Functions of KVM that were entered, by a tracer that is made of files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab.emulation import arch
from lab.exploration import entered
from lab.exploration.entered import Entered, NotTracedError

FUNCTIONS = """\
vfs_read
kvm_vcpu_ioctl [kvm]
kvm_arch_vcpu_ioctl_run [kvm]
svm_vcpu_run.isra.0 [kvm_amd]
svm_never [kvm_amd]
kvm_of_others [kvmgt]
"""
TRACE = """\
 python3-1 [000] .....  1.0: kvm_vcpu_ioctl <-__x64_sys_ioctl
 python3-1 [000] .....  1.1: svm_vcpu_run.isra.0 [kvm_amd] <-vcpu_enter_guest [kvm]
 python3-1 [000] .....  1.1: vfs_read <-ksys_read
CPU:0 [LOST 12 EVENTS]
"""


@pytest.fixture
def tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(entered, "_FOLDER", tmp_path)
    monkeypatch.setattr(arch, "here", lambda: _Here)
    for name in ("current_tracer", "set_ftrace_notrace", "set_ftrace_filter", "tracing_on"):
        (tmp_path / name).touch()
    (tmp_path / "available_filter_functions").write_text(FUNCTIONS)
    (tmp_path / "trace_pipe").write_text(TRACE)
    return tmp_path


class _Here:
    modules = ("kvm", "kvm-amd")


def test_each_function_counts_once_and_is_traced_no_more(tracer: Path) -> None:
    with Entered() as found:
        assert (tracer / "current_tracer").read_text() == "function"
        assert (tracer / "set_ftrace_filter").read_text() == ":mod:kvm\n:mod:kvm_amd"
    assert found.counts() == {
        "kvm_arch_vcpu_ioctl_run": 0,
        "kvm_vcpu_ioctl": 1,
        "svm_never": 0,
        "svm_vcpu_run.isra.0": 1,
    }
    assert (tracer / "current_tracer").read_text() == "nop"


def test_what_was_seen_is_left_out_while_it_runs(tracer: Path) -> None:
    with Entered() as found:
        while not found.seen:
            pass
        assert (
            tracer / "set_ftrace_notrace"
        ).read_text() == "kvm_vcpu_ioctl\nsvm_vcpu_run.isra.0\n"


def test_a_kernel_that_cannot_tell(tracer: Path) -> None:
    (tracer / "available_filter_functions").write_text("vfs_read\n")
    with pytest.raises(NotTracedError, match="no modules kvm and kvm_amd"), Entered():
        pass
    (tracer / "available_filter_functions").unlink()
    with pytest.raises(NotTracedError, match="No such file"), Entered():
        pass


def test_around_another_program(tracer: Path, tmp_path: Path) -> None:
    said = tmp_path / "functions.txt"
    assert entered.main(said, [sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert said.read_text().splitlines() == [
        "-kvm_arch_vcpu_ioctl_run",
        "kvm_vcpu_ioctl",
        "-svm_never",
        "svm_vcpu_run.isra.0",
    ]
