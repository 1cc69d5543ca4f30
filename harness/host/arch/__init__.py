# SPDX-License-Identifier: GPL-2.0-only
"""What is said of hosts in the words of one architecture: a module each, where it has such words.

Data only, and read for every architecture: a report may come from another machine than this one.
A new one is a sibling of x86_64.py, named as `uname -m` names it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Words:
    """One architecture's.

    lacking     the fixed words for what only its KVM can lack, with their prose (features.py)
    loading     for people: to load its KVM, where that is a module
    faults      how its kernel says that it is broken, from a record's first character on: regular
                expressions (harness/kernel_texts.py)
    parameters  those of its KVM's modules that change the way into the guest, MODULE.PARAMETER
                (parameters.py)
    """

    lacking: Mapping[str, str] = field(default_factory=dict)
    loading: str = "Load the module for this processor"
    faults: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@functools.cache
def known() -> Mapping[str, Words]:
    """Of every architecture with a module here, by its machine."""
    names = [each.name for each in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}").WORDS for name in names}


def here() -> Words:
    """This machine's, also where it has none of its own."""
    return known().get(platform.machine(), Words())
