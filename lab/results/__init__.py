# SPDX-License-Identifier: GPL-2.0-only
"""What runs found, for whoever takes results: one form of it (`found`), and a module a format.

`formats` is the table of them. Nothing here runs a test or asks a kernel: all comes from journals,
so a run that was cut short or lost its machine is told as well, and what was planned there and has
no result is told as missed, never left out.
"""
