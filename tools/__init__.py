# SPDX-License-Identifier: GPL-2.0-only
"""The commands: thin, one module each, over lab and harness."""
