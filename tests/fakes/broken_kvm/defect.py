# SPDX-License-Identifier: GPL-2.0-only
"""What is told of a defect of broken_kvm."""

from __future__ import annotations

from dataclasses import dataclass, field

# One mode and one interrupt controller show a defect as well as all of them, and sooner.
ONE_MODE = "not real and not protected and not split"


@dataclass(frozen=True)
class Defect:
    """A KVM with one defect.

    `fails` are claims of which a test must fail; of those in `also` (patterns allowed) one may,
    for they need what is broken; those in `holds` must not, and those in `skips` are not tested.
    `only` chooses tests, as pytest's -k. `hangs`: runs do not come back. `machine`: the one
    (`uname -m`) that alone has what it does. `hole`: why the suites do not find it, if they do not.
    """

    name: str
    stands_for: str
    fails: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    only: str = field(default=ONE_MODE, repr=False)
    hangs: bool = False
    machine: str = ""
    hole: str = ""
