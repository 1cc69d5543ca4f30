/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * arm64: a thread's vector registers and thread pointers around a system call. What SVE has beyond
 * them a system call leaves undefined (Documentation/arch/arm64/sve.rst, section 3). Between the
 * loading of the patterns and the storing of what became of them there is the call and nothing
 * else.
 */
#ifndef KE_ARCH_AARCH64_THREAD_H
#define KE_ARCH_AARCH64_THREAD_H

#include <string.h>

#include "../calling_thread.h"

#define KE_VECTORS_SIZE 512 /* v0 to v31; FPCR and FPSR are behind them, 8 bytes each */
#define KE_FPCR (1ULL << 22 | 1ULL << 24 | 1ULL << 25) /* another rounding, FZ and DN */
#define KE_FPSR (1ULL << 27 | 0x9f)		       /* every flag that stays */

enum { /* what a thread's registers are here */
	KE_TPIDR,
	KE_TPIDRRO
};

static inline __attribute__((always_inline)) long
ke_raw4(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	register long x8 __asm__("x8") = number;
	register unsigned long x0 __asm__("x0") = a;
	register unsigned long x1 __asm__("x1") = b;
	register unsigned long x2 __asm__("x2") = c;
	register unsigned long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return (long)x0;
}

static inline uintptr_t ke_thread_pointer(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

/* User mode is told by no register. */
static inline uint32_t ke_arch_processor(void)
{
	return KE_NO_AUX;
}

static inline uint64_t ke_arch_components(uint32_t *place, uint32_t *size)
{
	place[0] = 0;
	size[0] = KE_VECTORS_SIZE + 16;
	return 1;
}

/* No byte is 0, and no two registers are the same. */
static inline void
ke_arch_fill(uint8_t *area, uint64_t components, const uint32_t *place, const uint32_t *size)
{
	const uint64_t control[2] = {KE_FPCR, KE_FPSR};

	(void)components;
	(void)place;
	(void)size;
	memset(area, 0, KE_EXTENDED_SIZE);
	for (unsigned int at = 0; at < KE_VECTORS_SIZE; at++)
		area[at] = (uint8_t)(1 + (at * 29 + 7) % 255);
	memcpy(area + KE_VECTORS_SIZE, control, sizeof(control));
}

/* All of it is looked at. */
static inline void ke_arch_forget(uint8_t *area)
{
	(void)area;
}

#define KE_EACH_PAIR(op, base)                                                                  \
	op " q0, q1, [" base ", #0]\n\t" op " q2, q3, [" base ", #32]\n\t" op " q4, q5, [" base \
	   ", #64]\n\t" op " q6, q7, [" base ", #96]\n\t" op " q8, q9, [" base ", #128]\n\t" op \
	   " q10, q11, [" base ", #160]\n\t" op " q12, q13, [" base ", #192]\n\t" op            \
	   " q14, q15, [" base ", #224]\n\t" op " q16, q17, [" base ", #256]\n\t" op            \
	   " q18, q19, [" base ", #288]\n\t" op " q20, q21, [" base ", #320]\n\t" op            \
	   " q22, q23, [" base ", #352]\n\t" op " q24, q25, [" base ", #384]\n\t" op            \
	   " q26, q27, [" base ", #416]\n\t" op " q28, q29, [" base ", #448]\n\t" op            \
	   " q30, q31, [" base ", #480]\n\t"
#define KE_STORE_ALL(base)        \
	KE_EACH_PAIR("stp", base) \
	"mrs x9, fpcr\n\tmrs x10, fpsr\n\tadd x11, " base ", #512\n\tstp x9, x10, [x11]\n\t"
#define KE_LOAD_ALL(base)         \
	KE_EACH_PAIR("ldp", base) \
	"add x11, " base ", #512\n\tldp x9, x10, [x11]\n\tmsr fpcr, x9\n\tmsr fpsr, x10\n\t"

/* The call with the vector registers loaded from `fill`; the thread's own are kept in `own`. */
static inline __attribute__((always_inline)) long ke_arch_call(
	uint64_t components, uint8_t *own, const uint8_t *fill, uint8_t *before, uint8_t *after,
	long number, unsigned long a, unsigned long b, unsigned long c)
{
	register long x8 __asm__("x8") = number;
	register unsigned long x0 __asm__("x0") = a;
	register unsigned long x1 __asm__("x1") = b;
	register unsigned long x2 __asm__("x2") = c;

	(void)components;
	__asm__ volatile(KE_STORE_ALL("%[own]") KE_LOAD_ALL("%[fill]")
				 KE_STORE_ALL("%[before]") "svc #0\n\t" KE_STORE_ALL("%[after]")
					 KE_LOAD_ALL("%[own]")
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), [own] "r"(own), [fill] "r"(fill),
			   [before] "r"(before), [after] "r"(after)
			 : "x9", "x10", "x11", "memory");
	return (long)x0;
}

static inline __attribute__((always_inline)) void ke_arch_look(uint64_t *registers)
{
	__asm__ volatile("mrs %0, tpidr_el0\n\tmrs %1, tpidrro_el0"
			 : "=r"(registers[KE_TPIDR]), "=r"(registers[KE_TPIDRRO]));
}

/* The thread pointer is the thread's own: its variables are there. */
static inline void ke_arch_set_patterns(void)
{
}

static inline __attribute__((always_inline)) void
ke_arch_restore(const uint64_t *own, const uint64_t *after)
{
	if (after[KE_TPIDR] != own[KE_TPIDR])
		__asm__ volatile("msr tpidr_el0, %0" : : "r"(own[KE_TPIDR]) : "memory");
}

#endif
