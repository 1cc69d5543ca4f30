# SPDX-License-Identifier: GPL-2.0-only
"""What runs the suites elsewhere, again, or for hours. It knows no terminal.

Results are values; what is to be said goes to the `Speaker` that was handed down.
"""
