# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong before a mutant is booted. None of it is ever a mutant that was killed."""

from __future__ import annotations

from lab.emulation.errors import KernelError


class MutationError(KernelError):
    """No mutant can be made here: a program, the sources or the headers are missing or do not fit.

    The text is a sentence without its full stop, of what is wrong and what to do.
    """


class PatchError(MutationError):
    """The semantic patch does not parse, or does not change what its entry says it changes."""


class BuildError(MutationError):
    """The patched KVM does not compile."""
