# SPDX-License-Identifier: GPL-2.0-only
"""A failure as a C program that needs nothing of this project: what a bug report can carry.

calls        of what a test asked of KVM, with calls.c.in; `literals` are its arguments
program      of a sequence, with sequence.c.in
operations   what each operation is in C, as a table
telling      the program under way: its lines, and the model of the vCPU, which says what must come
assembler    the guest's code, its bytes beside its source
arch         the steps of the guest's program as assembly
skeleton     what both begin with, head.c.in, and the pieces of C that stand in such files
"""
