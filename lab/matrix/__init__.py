# SPDX-License-Identifier: GPL-2.0-only
"""The suites on a list of kernels: which they are, and what is known of each afterwards."""
