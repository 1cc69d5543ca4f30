# SPDX-License-Identifier: GPL-2.0-only
"""What this host is, and what it cannot do.

description  kernel, backend, tier
pace         how fast it is
obstacles    why nothing can be tested on it
features     the words for what it cannot show
kernel_log   its kernel's alarms
leftovers    what a test left behind in its process
"""
