# SPDX-License-Identifier: GPL-2.0-only
"""x86-64's programs: sources, binaries, how they are built, and what its memory map has besides."""
