# SPDX-License-Identifier: GPL-2.0-only
"""A sequence as a C program that needs nothing of this project: what a bug report can carry.

operations   what each operation is in C, as a table
telling      the program under way: its lines, and the model of the vCPU, which says what must come
assembler    the guest's code, its bytes beside its source
arch         the steps of the guest's program as assembly
program      all of it put together, with head.c.in and sequence.c.in
skeleton     the header, and the pieces of C that stand in these files
"""
