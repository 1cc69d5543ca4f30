/* SPDX-License-Identifier: GPL-2.0-only */
/* senders.c: see harness/kvm/senders.py and harness/kvm/raw_mask.py. */
#ifndef KE_SENDERS_H
#define KE_SENDERS_H

#include <stdint.h>
#include <sys/ptrace.h>

int ke_sigqueue(int tid, int signo);
int ke_child_at(int fd, int other_end, int signo);
int ke_block_exactly(uint64_t signals, uint64_t *before);
int ke_take_pending(int signo);
int ke_signal_thread(int process, int tid, int signo);
int ke_ptrace(int request, int tid);
int ke_child_tracer(int tid, int ready);
void ke_be_traced_by(long pid);

#endif
