# SPDX-License-Identifier: GPL-2.0-only
"""The test payload: a root file system of another architecture that runs the suites by itself."""
