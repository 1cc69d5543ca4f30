# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le's programs: sources, binaries, how they are built, and what its memory map has."""
