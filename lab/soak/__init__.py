# SPDX-License-Identifier: GPL-2.0-only
"""Races for hours: which take turns, what they found, and when to stop."""
