// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the benchmark's batches are compared with: a loop around one call and nothing else. It
 * shares no code with the harness. tests/lab/benchmark/bare_loop.py compiles and runs it.
 *
 *	bare_loop KIND MILLISECONDS CPU PROGRAM
 *
 * KIND is immediate, pio, einval or getppid; PROGRAM the file port_io.real.bin of guest_blobs.
 * Prints calls, ns of wall time and ns on a processor. The loop runs on a second thread, as a
 * monitor's vCPU does: in a process with one thread only, the kernel finds a descriptor's file
 * without touching its count.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>

#define RAM 0x80000
#define ENTRY 0x8000
#define CPUID_ENTRIES 256
#define WARM_UP 1000

static const char *kind;
static double milliseconds;
static int cpu, vcpu;
static struct kvm_run *run;

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bare_loop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_guest(const char *program)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM, .userspace_addr = (uintptr_t)ram};
	struct kvm_regs regs = {.rip = ENTRY, .rsp = 0x4000, .rflags = 2};
	uint64_t identity_map = 0xfffbc000;
	struct kvm_sregs sregs;
	struct kvm_cpuid2 *cpuid;
	FILE *file = fopen(program, "rb");

	must(vm >= 0, "/dev/kvm");
	must(ram != MAP_FAILED && file && fread(ram + ENTRY, 1, RAM - ENTRY, file), program);
	fclose(file);
	must(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) == 0, "KVM_SET_IDENTITY_MAP_ADDR");
	must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) == 0, "KVM_SET_TSS_ADDR");
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	must(vcpu >= 0, "KVM_CREATE_VCPU");
	run =
		mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		     MAP_SHARED, vcpu, 0);
	must(run != MAP_FAILED, "kvm_run");
	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	must(cpuid != NULL, "calloc");
	cpuid->nent = CPUID_ENTRIES;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0, "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, cpuid) == 0, "KVM_SET_CPUID2");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
	free(cpuid);
}

static double now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The bare loops: no result is looked at, but where the guest needs an answer to go on. */
static double loop(unsigned long calls, double *cpu_ns)
{
	double cpu_from = now_ns(CLOCK_THREAD_CPUTIME_ID), from = now_ns(CLOCK_MONOTONIC_RAW);
	double elapsed;

	if (!strcmp(kind, "getppid"))
		for (unsigned long i = 0; i < calls; i++)
			syscall(SYS_getppid);
	else if (!strcmp(kind, "einval"))
		for (unsigned long i = 0; i < calls; i++)
			ioctl(vcpu, KVM_RUN, 1);
	else if (!strcmp(kind, "immediate"))
		for (unsigned long i = 0; i < calls; i++)
			ioctl(vcpu, KVM_RUN, 0);
	else
		for (unsigned long i = 0; i < calls; i++) {
			ioctl(vcpu, KVM_RUN, 0);
			*((uint8_t *)run + run->io.data_offset) = 1;
		}
	elapsed = now_ns(CLOCK_MONOTONIC_RAW) - from;
	*cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_from;
	return elapsed;
}

static void *measure(void *unused)
{
	double elapsed, cpu_ns;
	unsigned long calls;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	loop(WARM_UP, &cpu_ns);
	loop(WARM_UP, &cpu_ns);
	calls = (unsigned long)(milliseconds * 1e6 * WARM_UP / cpu_ns) + 1;
	elapsed = loop(calls, &cpu_ns);
	printf("%lu %.0f %.0f\n", calls, elapsed, cpu_ns);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int value;

	if (argc != 5) {
		fputs("usage: bare_loop immediate|pio|einval|getppid MS CPU PROGRAM\n", stderr);
		return 64;
	}
	kind = argv[1];
	milliseconds = atof(argv[2]);
	cpu = atoi(argv[3]);
	make_guest(argv[4]);
	run->immediate_exit = !strcmp(kind, "immediate");
	must(pthread_create(&thread, NULL, measure, NULL) == 0, "pthread_create");
	pthread_join(thread, NULL);
	/* The loops look at nothing, so one call at the end shows that it was the right one. */
	value = ioctl(vcpu, KVM_RUN, !strcmp(kind, "einval"));
	if (!strcmp(kind, "immediate"))
		must(value == -1 && errno == EINTR, "a last KVM_RUN, expected EINTR");
	if (!strcmp(kind, "einval"))
		must(value == -1 && errno == EINVAL, "a last KVM_RUN, expected EINVAL");
	if (!strcmp(kind, "pio"))
		must(value == 0 && run->exit_reason == KVM_EXIT_IO, "a last KVM_RUN, expected IO");
	return 0;
}
