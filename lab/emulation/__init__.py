# SPDX-License-Identifier: GPL-2.0-only
"""Emulated hosts: which kernel to boot, and the machine that boots it."""
