# SPDX-License-Identifier: GPL-2.0-only
"""One run of the suites as a process: what was asked for, its folder, its end, its exit code."""
