# SPDX-License-Identifier: GPL-2.0-only
"""Results held against earlier ones (`results`), or against what a file declares (`baseline`).

Both give changes (`changes`), which `telling` puts into words. `expected` does so for a run.
"""
