# SPDX-License-Identifier: GPL-2.0-only
"""A program: random sequences on this host, and the claim that the first one breaks, if any."""

from __future__ import annotations

import sys

from harness.kvm.system import System
from harness.sequences.drawing import explore
from harness.sequences.shrinking import shortest

sequences, seed = map(int, sys.argv[1:])
with System() as system:
    found = explore(system, "none", numbers=range(sequences), operations=25, seed=seed)
    if found is None:
        print("nothing")
        sys.exit()
    shown = shortest(system, found)
    print(shown.violation.claim)
    print(len(shown.recorded.done))
    print(shown.violation)
