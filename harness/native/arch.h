/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between processors. arch/<name>.h says it; what it leaves out is here, and says that
 * there is no such thing.
 */
#ifndef KE_ARCH_H
#define KE_ARCH_H

#include <errno.h>
#include <stdint.h>

#include "compat.h"

/* KE_NO_ARCH: as on a processor without a header. For tests of that. */
#if defined(KE_NO_ARCH)
#elif defined(__x86_64__)
#include "arch/x86_64.h"
#elif defined(__aarch64__) && __has_include("arch/aarch64.h")
#include "arch/aarch64.h"
#elif defined(__riscv) && __riscv_xlen == 64 && __has_include("arch/riscv64.h")
#include "arch/riscv64.h"
#elif defined(__powerpc64__) && __has_include("arch/ppc64le.h")
#include "arch/ppc64le.h"
#endif

/* Its own ioctls, for the table of ioctls.c. */
#ifndef KE_ARCH_IOCTLS
#define KE_ARCH_IOCTLS
#endif

/* What a fresh vCPU needs before KVM_RUN looks at the byte: 0, or -errno. */
#ifndef KE_ARCH_READY
#define KE_ARCH_READY(vm, vcpu) ((void)(vm), (void)(vcpu), 0)
#endif

/* In a loop that waits for another processor. */
#ifndef KE_ARCH_RELAX
#define KE_ARCH_RELAX()
#endif

/* Answers its own exits that wait for a value; 1 if this was one. */
#ifndef KE_ARCH_ANSWER
#define KE_ARCH_ANSWER(run) ((void)(run), 0)
#endif

/*
 * KVM_RUN as an instruction with a name (kick/enter.h), and the program counter of an interrupted
 * context. Without: progress and the result say where a kick landed.
 */
#ifndef KE_ARCH_NAMES_CALL
#define KE_ARCH_NAMES_CALL 0
#endif

/* A thread that single-steps itself: the delivery KE_BY_ITSELF, which needs the name. */
#ifndef KE_ARCH_STEPS
#define KE_ARCH_STEPS 0

static inline void ke_step_from_here(void)
{
}

static inline void ke_stop_stepping(void)
{
}
#endif

/* A counter that counts instructions and a slide of NOPs: sweep.h, which needs the name. */
#ifndef KE_ARCH_SWEEPS
#define KE_ARCH_SWEEPS 0
#endif

#endif
