# SPDX-License-Identifier: GPL-2.0-only
"""KVMs with one defect each: what they are (mutants/), and how they are made from a kernel."""
