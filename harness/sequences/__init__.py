# SPDX-License-Identifier: GPL-2.0-only
"""Sequences of what userspace can do to a vCPU, held against `harness.model`.

subject     a real vCPU in the program `script`, and the model of it beside
operations  what there is to do to it, as a table: when it is possible, and with which arguments
sequence    a sequence as data: kept as it is played, and played again
drawing     random ones, each made of a seed
shrinking   a shorter one that fails too
arch        what differs between architectures
"""
