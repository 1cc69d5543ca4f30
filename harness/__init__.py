# SPDX-License-Identifier: GPL-2.0-only
"""What the suites stand on: KVM handles, the host's description, claims and reports."""
