// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kick engine's rate is compared with: a loop that only kicks and runs. It shares no code
 * with the harness and keeps no records. tests/harness/kick/minimal_loop.py compiles and runs it.
 *
 *	minimal_loop KICKS VCPU_CPU KICKER_CPU PROGRAM
 *
 * PROGRAM is the file heartbeat.real.bin of guest_blobs. One thread clears the byte, says that a
 * round has begun and calls KVM_RUN; the other waits for the round and signals; the signal's
 * handler sets the byte. Prints the kicks and the ns of wall time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
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
#define WARM_UP 100
#define SIGNAL 42

static unsigned long kicks;
static int vcpu_cpu, kicker_cpu, vcpu;
static struct kvm_run *run;
static _Atomic unsigned long round_number;
static _Atomic int tid;

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "minimal_loop: %s: %s\n", what, strerror(errno));
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

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

static void on_kick(int signo)
{
	(void)signo;
	run->immediate_exit = 1;
}

static void *kick(void *unused)
{
	unsigned long number;

	pin(kicker_cpu);
	for (number = 1; number <= WARM_UP + kicks; number++) {
		while (atomic_load(&round_number) < number)
			__builtin_ia32_pause();
		syscall(SYS_tgkill, getpid(), atomic_load(&tid), SIGNAL);
	}
	return unused;
}

static void *work(void *unused)
{
	unsigned long number;
	double from = 0;

	pin(vcpu_cpu);
	atomic_store(&tid, (int)syscall(SYS_gettid));
	for (number = 1; number <= WARM_UP + kicks; number++) {
		if (number == WARM_UP)
			from = now_ns();
		__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_RELAXED);
		atomic_store(&round_number, number);
		must(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR, "KVM_RUN, expected EINTR");
	}
	printf("%lu %.0f\n", kicks, now_ns() - from);
	return unused;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_kick};
	pthread_t worker, kicker;

	if (argc != 5) {
		fputs("usage: minimal_loop KICKS VCPU_CPU KICKER_CPU PROGRAM\n", stderr);
		return 64;
	}
	kicks = strtoul(argv[1], NULL, 10);
	vcpu_cpu = atoi(argv[2]);
	kicker_cpu = atoi(argv[3]);
	make_guest(argv[4]);
	sigaction(SIGNAL, &action, NULL);
	must(pthread_create(&worker, NULL, work, NULL) == 0, "pthread_create");
	must(pthread_create(&kicker, NULL, kick, NULL) == 0, "pthread_create");
	pthread_join(worker, NULL);
	pthread_join(kicker, NULL);
	return 0;
}
