# SPDX-License-Identifier: GPL-2.0-only
"""What can be wrong with a kernel that shall be booted."""

from __future__ import annotations


class KernelError(Exception):
    """No such kernel, or none that can be used here. The text says what is wrong and what to do."""


class NotInArchiveError(KernelError):
    """The archive answers, and does not have it."""


class ChangedError(KernelError):
    """The archive's files are not what its signed lists say."""


class OfflineError(KernelError):
    """The archive does not answer."""


class EmulationError(KernelError):
    """No emulated host can be had here. The text says what is missing and what to do."""
