# SPDX-License-Identifier: GPL-2.0-only
"""A kick at every instruction, on an emulated host whose clock counts instructions.

ways.py     the ways into the guest that are swept
tracing.py  the kernel's own record of interrupts and signals
inside.py   the program in the emulated host: calibrates, sweeps, leaves files on the share
kicks.py    those files, read again: one kick with its place and its outcome
verdict.py  what the kicks of a sweep say, and how many boundaries they have covered
"""
