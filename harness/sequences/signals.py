# SPDX-License-Identifier: GPL-2.0-only
"""A signal that the calling thread blocks, around KVM_RUNs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.kvm.senders import SENDERS
from harness.kvm.signals import KICK, Blocked, CountingHandler
from harness.kvm.vcpu import all_signals_but
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation


def set_mask(subject: Subject, *, on: bool) -> None:
    """KVM_SET_SIGNAL_MASK: what ends runs here is let in, and nothing else; or it is cleared."""
    let_in = {KICK, *(sender.signo for sender in SENDERS.values())}
    subject.guest.vcpu.set_signal_mask(all_signals_but(*let_in) if on else None)


@contextmanager
def waiting_signal(subject: Subject, *, let_in: bool, masked: bool = True) -> Iterator[None]:
    """A signal waits that KVM_SET_SIGNAL_MASK lets in, or not; `masked`: it is what keeps it out.

    It still waits afterwards, once, for the thread blocks it, and its handler has not run. A mask
    that the vCPU had it has again, and where that one lets the signal in it is left as it is.
    Raises `Violation`.
    """
    vcpu, had = subject.guest.vcpu, subject.model.masked
    with CountingHandler(KICK) as handler, Blocked(KICK) as blocked:
        if not let_in:
            vcpu.set_signal_mask(all_signals_but() if masked else None)
        elif not had:
            vcpu.set_signal_mask(())
        blocked.send(KICK)
        try:
            yield
        finally:
            if not (let_in and had):
                set_mask(subject, on=had)
        handled, left = handler.count(), blocked.take(KICK)
    if handled or left != 1:
        raise Violation(
            "signals.mask_kicks" if handled else "signals.not_swallowed",
            f"{subject.where()}, a signal that the thread blocks must still be pending after "
            f"KVM_RUN, once, but it is {left} times, and its handler ran {handled} times",
        )
