# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences for as long as told, here or in an emulated host, and what came of them.

inside     the program that plays them, in a process or a machine of its own
files      what it leaves: its request, its journal, and the sequence under way
coverage   which operations, pairs of them and states of the model were reached
run        from what was asked for to the report: finds what killed the program or the machine
report     what was found, for people
"""
