# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN with the byte set and a mistake of the caller: which of the two is answered."""

from __future__ import annotations

import errno

import pytest

from harness.kvm.guest import Guest
from harness.kvm.other_process import run_raw_in_child
from harness.require import require_errno, require_no_progress, require_runs_on, require_untouched

pytestmark = pytest.mark.usefixtures("capability")

arguments = pytest.mark.parametrize(
    "argument",
    [1, 1 << 31, (1 << 64) - 1],
    ids=["lowest_bit", "high_bit", "all_bits"],
)


@pytest.mark.claim("states.precedence")
@arguments
def test_argument(ready: Guest, argument: int) -> None:
    """kvm_vcpu_ioctl(): a non-zero argument is EINVAL, before the byte is looked at."""
    before = ready.witness()
    ready.vcpu.immediate_exit = 1
    result = ready.vcpu.run_raw(argument, progress_forbidden=True)
    circumstance = f"With immediate_exit=1 and the argument {argument:#x}"
    require_errno(result, errno.EINVAL, circumstance)
    require_no_progress(before, ready.witness(), circumstance)
    assert ready.vcpu.immediate_exit == 1, f"{circumstance}, the byte was changed"
    require_untouched(ready, "After a refused argument")
    require_runs_on(ready, "After a refused argument")


@pytest.mark.claim("states.precedence")
def test_another_process(ready: Guest) -> None:
    """kvm_vcpu_ioctl(): in a process with another memory it is EIO, before anything else."""
    before = ready.witness()
    ready.vcpu.immediate_exit = 1
    value = run_raw_in_child(ready.vcpu)
    assert value == -errno.EIO, (
        "With immediate_exit=1 in a forked child, KVM_RUN must fail with EIO, but it "
        + (f"returned {value}" if value >= 0 else f"failed with {errno.errorcode[-value]}")
    )
    require_no_progress(before, ready.witness(), "In the run of a forked child")
    require_untouched(ready, "After a forked child's run")
    require_runs_on(ready, "After a forked child's run")
