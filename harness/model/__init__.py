# SPDX-License-Identifier: GPL-2.0-only
"""The contract as a program: what a vCPU may answer, whatever userspace did before.

program   the guest's program `script`: what its steps do, and by which exits
answers   what a KVM_RUN may give, and what then is so; each answer names its claim

A folder has the steps of an architecture.

It knows nothing of KVM's code, and calls nothing: it is asked.
"""
