/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86-64: a thread's extended state, segment bases and selectors around a system call. Between the
 * loading of the patterns and the storing of what became of them there is the call and nothing
 * else: no C, which may use a register, and nothing that reads FS before it is known to be good.
 */
#ifndef KE_ARCH_X86_64_THREAD_H
#define KE_ARCH_X86_64_THREAD_H

#include <asm/prctl.h>
#include <cpuid.h>
#include <string.h>

#include "../calling_thread.h"

#define KE_CPUID_1_ECX_OSXSAVE (1u << 27)
#define KE_CPUID_EXT_EDX_RDTSCP (1u << 27)
#define KE_AUX_PROCESSOR 0xfff /* VDSO_CPUNODE_MASK; the node is above it */
/*
 * x87, SSE, AVX, the three of AVX-512, PKRU. Not those that a process must ask for (AMX), and not
 * those that Linux keeps for itself.
 */
#define KE_COMPONENTS_KNOWN 0x2e7ULL
#define KE_PKRU 9
#define KE_USER_DS 0x2b /* __USER_DS: threads begin with 0, which a lost selector is too */
#define KE_GS_PATTERN 0x5a5a5a5a1000ULL

static inline __attribute__((always_inline)) long
ke_raw4(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	register unsigned long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static inline uintptr_t ke_thread_pointer(void)
{
	uintptr_t pointer;

	__asm__("movq %%fs:0, %0" : "=r"(pointer));
	return pointer;
}

/* The number that Linux keeps in TSC_AUX, which KVM lends to a guest with RDTSCP. */
static inline uint32_t ke_arch_processor(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) || !(edx & KE_CPUID_EXT_EDX_RDTSCP))
		return KE_NO_AUX;
	__asm__ volatile("rdtscp" : "=a"(eax), "=d"(edx), "=c"(ecx));
	return ecx & KE_AUX_PROCESSOR;
}

static inline uint64_t ke_arch_components(uint32_t *place, uint32_t *size)
{
	uint64_t found = 3;
	unsigned int eax, ebx, ecx, edx, low, high;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & KE_CPUID_1_ECX_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	for (unsigned int each = 2; each < KE_COMPONENTS; each++) {
		if (!((low & KE_COMPONENTS_KNOWN) >> each & 1))
			continue;
		__cpuid_count(0xd, each, size[each], place[each], ecx, edx);
		if (size[each] && place[each] + size[each] <= KE_EXTENDED_SIZE)
			found |= 1ULL << each;
	}
	return found;
}

/* No byte is 0, and no two registers are the same; what a processor refuses is left out. */
static inline void
ke_arch_fill(uint8_t *area, uint64_t components, const uint32_t *place, const uint32_t *size)
{
	const uint32_t mxcsr = 0x1f80 | 1 << 15, pkru = 0x55555550; /* key 0 stays open */
	const uint16_t control = 0x027f;

	memset(area, 0, KE_EXTENDED_SIZE);
	for (unsigned int at = 0; at < 256; at++)
		area[160 + at] = (uint8_t)(1 + (at * 29 + 7) % 255);
	for (unsigned int at = 0; at < 80; at++)
		area[32 + 16 * (at / 10) + at % 10] = (uint8_t)(1 + (at * 31 + 3) % 255);
	area[4] = 0xff; /* each x87 register is in use */
	memcpy(area, &control, sizeof(control));
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned int each = 2; each < KE_COMPONENTS; each++) {
		if (!(components >> each & 1))
			continue;
		for (uint32_t at = 0; at < size[each]; at++)
			area[place[each] + at] = (uint8_t)(1 + (at * 23 + each * 41) % 255);
	}
	if (components >> KE_PKRU & 1) {
		memset(area + place[KE_PKRU], 0, size[KE_PKRU]);
		memcpy(area + place[KE_PKRU], &pkru, sizeof(pkru));
	}
	memcpy(area + 512, &components, sizeof(components));
}

/* The last x87 instruction and operand: AMD's processors keep them for exceptions only. */
static inline void ke_arch_forget(uint8_t *area)
{
	memset(area + 6, 0, 18);
}

/* The call with the extended state loaded from `fill`; the thread's own is kept in `own`. */
static inline __attribute__((always_inline)) long ke_arch_call(
	uint64_t components, uint8_t *own, const uint8_t *fill, uint8_t *before, uint8_t *after,
	long number, unsigned long a, unsigned long b, unsigned long c)
{
	long result;

	__asm__ volatile("movl %[low], %%eax\n\t"
			 "movl %[high], %%edx\n\t"
			 "xsave64 (%[own])\n\t"
			 "xrstor64 (%[fill])\n\t"
			 "xsave64 (%[before])\n\t"
			 "movq %[number], %%rax\n\t"
			 "movq %[third], %%rdx\n\t"
			 "syscall\n\t"
			 "movq %%rax, %%r8\n\t"
			 "movl %[low], %%eax\n\t"
			 "movl %[high], %%edx\n\t"
			 "xsave64 (%[after])\n\t"
			 "xrstor64 (%[own])\n\t"
			 "movq %%r8, %%rax"
			 : "=&a"(result)
			 : [low] "m"((uint32_t){(uint32_t)components}),
			   [high] "m"((uint32_t){(uint32_t)(components >> 32)}), [own] "r"(own),
			   [fill] "r"(fill), [before] "r"(before), [after] "r"(after),
			   [number] "m"(number), [third] "m"(c), "D"(a), "S"(b)
			 : "rcx", "rdx", "r8", "r11", "memory", "cc");
	return result;
}

enum { /* what a thread's registers are here */
	KE_FS_BASE,
	KE_GS_BASE,
	KE_SELECTORS /* DS, ES, FS and GS, 16 bits each */
};

/* The selectors of data segments, and the bases as the kernel finds them in the processor. */
static inline __attribute__((always_inline)) void ke_arch_look(uint64_t *registers)
{
	uint64_t ds, es, fs, gs;

	__asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	registers[KE_SELECTORS] =
		(ds & 0xffff) | (es & 0xffff) << 16 | (fs & 0xffff) << 32 | gs << 48;
	(void)ke_raw4(SYS_arch_prctl, ARCH_GET_FS, (unsigned long)&registers[KE_FS_BASE], 0, 0);
	(void)ke_raw4(SYS_arch_prctl, ARCH_GET_GS, (unsigned long)&registers[KE_GS_BASE], 0, 0);
}

static inline __attribute__((always_inline)) void ke_arch_set_data_segments(uint16_t selector)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((uint32_t)selector));
}

/* FS is the thread's own: its variables are there. */
static inline __attribute__((always_inline)) void ke_arch_set_patterns(void)
{
	(void)ke_raw4(SYS_arch_prctl, ARCH_SET_GS, KE_GS_PATTERN, 0, 0);
	ke_arch_set_data_segments(KE_USER_DS);
}

static inline __attribute__((always_inline)) void
ke_arch_restore(const uint64_t *own, const uint64_t *after)
{
	if (after[KE_FS_BASE] != own[KE_FS_BASE])
		(void)ke_raw4(SYS_arch_prctl, ARCH_SET_FS, own[KE_FS_BASE], 0, 0);
	(void)ke_raw4(SYS_arch_prctl, ARCH_SET_GS, own[KE_GS_BASE], 0, 0);
	ke_arch_set_data_segments((uint16_t)own[KE_SELECTORS]);
}

#endif
