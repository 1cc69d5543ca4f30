# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of x86-64."""
