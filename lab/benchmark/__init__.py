# SPDX-License-Identifier: GPL-2.0-only
"""What a KVM_RUN costs: batches in C (native/bench.c), interleaved, and their statistics."""
