# SPDX-License-Identifier: GPL-2.0-only
"""What people see: tables, progress, pictures, and the words of a run on a terminal."""
