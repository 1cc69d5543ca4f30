# SPDX-License-Identifier: GPL-2.0-only
"""Operations between KVM_RUNs: what userspace changes, and what it asks."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import replace

from harness.kvm import call_log
from harness.kvm.exits import reason_name
from harness.kvm.guest import RAM_SLOT
from harness.kvm.vcpu import all_signals_but
from harness.model.answers import Circumstances
from harness.model.program import Step
from harness.sequences.operation import Arguments
from harness.sequences.signals import set_mask
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation

_CAPABILITY = "KVM_CAP_IMMEDIATE_EXIT"


def script(subject: Subject, given: Arguments) -> None:
    subject.go_on_with([Step(*each) for each in given["steps"]])


def release(subject: Subject, given: Arguments) -> None:
    subject.release()


def interrupt(subject: Subject, given: Arguments) -> None:
    subject.interrupt()


def move(subject: Subject, given: Arguments) -> None:
    """The guest goes on in a fresh VM, as after a migration."""
    subject.move()


def remap(subject: Subject, given: Arguments) -> None:
    """The guest's memory is taken away and given back."""
    vm = subject.guest.vm
    vm.delete_memory(RAM_SLOT)
    vm.restore_memory(RAM_SLOT, log_dirty=given["logged"])
    subject.log_begins(logged=given["logged"])


def read_log(subject: Subject, given: Arguments) -> None:
    """The dirty log has what the guest stored since it was read; an immediate run adds nothing.

    Nothing is asked where its memory is not logged.
    """
    if subject.log is None:
        return
    vm = subject.guest.vm
    missing = subject.log.stored - vm.dirty_pages(RAM_SLOT)
    subject.log_begins(logged=True)
    if missing:
        raise Violation(
            "completion.read_modify_write",
            f"{subject.where()}, what the guest stored must be in the dirty log, but of these "
            f"pages it has none: {', '.join(map(hex, sorted(missing)))}",
        )
    if subject.model.pending:
        return
    subject.run(subject.guest.run_immediate, Circumstances(byte=1))
    more = vm.dirty_pages(RAM_SLOT)
    if more:
        raise Violation(
            "races.quiet",
            f"{subject.where()}, an immediate run must dirty no page of the guest's, but the "
            f"dirty log has {', '.join(map(hex, sorted(more)))}",
        )


def mask(subject: Subject, given: Arguments) -> None:
    """KVM_SET_SIGNAL_MASK, which lets the kicks in."""
    set_mask(subject, on=given["on"])
    subject.model = replace(subject.model, masked=given["on"])


def wrong_mask(subject: Subject, given: Arguments) -> None:
    """KVM_SET_SIGNAL_MASK of a wrong length, or that cannot be read: it is refused, and as it was.

    What later runs with a signal show.
    """
    vcpu = subject.guest.vcpu
    length = given["length"]
    value = (
        vcpu.set_signal_mask_torn_raw(4)
        if length is None
        else vcpu.set_signal_mask_raw(all_signals_but(), length)
    )
    wanted = -errno.EFAULT if length is None else -errno.EINVAL
    if value != wanted:
        said = "that cannot be read" if length is None else f"with the length {length}"
        raise Violation(
            "signals.mask_arguments",
            f"{subject.where()}, KVM_SET_SIGNAL_MASK {said} must fail with "
            f"{errno.errorcode[-wanted]}, but gave {value}",
        )


def descriptor(subject: Subject, given: Arguments) -> None:
    """The vCPU's descriptor is another one: the old one is closed."""
    call_log.cannot("another descriptor of the vCPU")
    vcpu = subject.guest.vcpu
    old, vcpu.fd = vcpu.fd, os.dup(vcpu.fd)
    os.close(old)


def neighbour(subject: Subject, given: Arguments) -> None:
    """A vCPU of another VM, whose byte stays set, and an immediate run of it."""
    neighbour = subject.neighbour()
    subject.leave_at_once(neighbour.vcpu, neighbour.vm)


def padding(subject: Subject, given: Arguments) -> None:
    """What lies beside the byte in kvm_run belongs to nobody, and says nothing."""
    subject.guest.vcpu.run_page.padding1 = list(
        (given["value"] & (1 << 48) - 1).to_bytes(6, sys.byteorder)
    )


def reason(subject: Subject, given: Arguments) -> None:
    """exit_reason is KVM's to write, and no word of userspace's, where KVM does not read it."""
    if reason_name(given["value"]) in subject.guest.architecture.COMPLETED_BY_REASON:
        return
    subject.guest.vcpu.run_page.exit_reason = given["value"]


def ask(subject: Subject, given: Arguments) -> None:
    """KVM_CHECK_EXTENSION says the same as at first."""
    asked = {
        "/dev/kvm": subject.system.check_extension,
        "the VM": subject.guest.vm.check_extension,
    }
    for name, check_extension in asked.items():
        if not check_extension(_CAPABILITY):
            raise Violation(
                "capability.reported",
                f"{subject.where()}, {_CAPABILITY} must be reported by {name}, but it is not",
            )
