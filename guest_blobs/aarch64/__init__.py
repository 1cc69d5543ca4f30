# SPDX-License-Identifier: GPL-2.0-only
"""arm64's programs: sources, binaries, how they are built, and what its memory map has besides."""
