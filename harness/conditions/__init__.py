# SPDX-License-Identifier: GPL-2.0-only
"""What may be so when KVM_RUN is called, and changes nothing of what it must answer.

`condition` says what one is, `of_vm` has those of a VM and its memory, a package of an
architecture's name those that only it has. `harness.callers` has the callers.
"""
