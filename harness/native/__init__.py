# SPDX-License-Identifier: GPL-2.0-only
"""The C of the harness: one cffi extension, built from the system's <linux/kvm.h>.

`ffi` and `lib` are cffi's objects. Only `harness` imports them.
"""

from __future__ import annotations


class NotBuiltError(ImportError):
    """The extension is not there, or was built for another Python."""


try:
    from harness.native._native import ffi, lib
except ImportError as error:
    raise NotBuiltError(
        "the native extension harness.native._native cannot be loaded "
        f"({error}); run `make conformance`, or `pip install -e .` in the environment"
    ) from error

__all__ = ["NotBuiltError", "ffi", "lib"]
