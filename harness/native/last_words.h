/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of a process whose thread the kernel keeps: see harness/reporting/last_words.py. */
#ifndef KE_LAST_WORDS_H
#define KE_LAST_WORDS_H

/* In last words that accuse nobody. harness/reporting/last_words.py knows them by it. */
#define KE_NOT_THE_KERNEL "says nothing about the kernel."

/*
 * Writes "TEST: text" to the file that KVM_CONFORMANCE_LAST_WORDS names, or to standard error, and
 * ends the process. Not for a signal handler.
 */
__attribute__((noreturn, format(printf, 1, 2))) void ke_last_words(const char *format, ...);

#endif
