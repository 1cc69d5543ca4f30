# SPDX-License-Identifier: GPL-2.0-only
"""The native extension; everything else stands in pyproject.toml.

cffi's hook into setuptools is a keyword of setup() that pyproject.toml cannot express.
"""

from __future__ import annotations

from setuptools import setup

setup(cffi_modules=["harness/native/build.py:ffibuilder"])
