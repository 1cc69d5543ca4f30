# SPDX-License-Identifier: GPL-2.0-only
"""/dev/kvm as objects: one a descriptor, each a context manager that leaves nothing open.

Calls come in pairs, as in the kernel's own selftests: `name_raw()` gives what the kernel gave
(a value of 0 or more, or the negative errno), `name()` raises `KvmError`.
"""
