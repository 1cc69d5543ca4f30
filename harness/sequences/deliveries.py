# SPDX-License-Identifier: GPL-2.0-only
"""What KVM has injected, where an emulated processor may have delivered it once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from harness.host import pace
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.sequences import arch


class Deliveries:
    """Of one guest in its VM. Elsewhere than on an emulated processor nothing is asked of KVM.

    QEMU's delivers one of a hundred interrupts that KVM 7.2 injects a second time. And where KVM
    has yet to map a page that a delivery needs, an event that was delivered is told as one that was
    not, so that KVM injects it anew: then nobody's count says who did it.
    """

    def __init__(self, guest: Guest) -> None:
        """Of a guest that this VM never ran; another one may have."""
        self._guest = guest
        # Of what the guest took another VM injected some; what is withdrawn it never took.
        self._not_here = Counter(arch.current().counted(guest))
        self.unmap()

    def run(self, run: Callable[[], RunResult]) -> RunResult:
        """What is injected and not taken in this run is withdrawn, and comes again."""
        if not pace.here().takes_turns:
            return run()
        injected, taken = self._injected(), self._taken()
        result = run()
        self._not_here.subtract(self._injected() - injected - (self._taken() - taken))
        return result

    def unmap(self) -> None:
        """KVM maps the guest's pages anew, or lets it write to them anew."""
        self._unmapped = set(arch.current().counted(self._guest))

    def took(self, kind: str) -> None:
        """The guest has taken one: its table, its handler and its stack are mapped."""
        self._unmapped.discard(kind)

    def again(self, kind: str, most: int) -> bool:
        """Whether it was the processor: the guest took more than `most`, KVM injected no more."""
        if not (pace.here().takes_turns and arch.current().REDELIVERS):
            return False
        injected = arch.current().injected(self._guest)[kind]
        no_more = injected is not None and injected <= most - self._not_here[kind]
        return kind in self._unmapped or no_more

    def _injected(self) -> Counter[str]:
        """Of each kind as KVM counts them."""
        found = arch.current().injected(self._guest)
        return Counter({kind: number or 0 for kind, number in found.items()})

    def _taken(self) -> Counter[str]:
        return Counter(arch.current().counted(self._guest))
