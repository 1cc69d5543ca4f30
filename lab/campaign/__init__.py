# SPDX-License-Identifier: GPL-2.0-only
"""Many runs: side by side, each remembered, so that the same command goes on where it was."""
