// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether an immediate run leaves a lock held. Another process cannot use a VM of ours, and a call
 * that waits for a mutex or for the readers of SRCU can be ended by no signal: so the child has a
 * VM of its own, and hangs alone.
 */
#define _GNU_SOURCE
#include "fresh_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch.h"
#include "child.h"

#define MEMORY 0x10000
#define MOST_REPEATS 1000

struct fresh {
	int kvm, vm, vcpu, second;
	struct kvm_run *run, *second_run;
	void *memory;
	uint64_t runs;
};

static long said(long value)
{
	return value < 0 ? -(long)errno : value;
}

/* Any but KVM_RUN: one that a signal interrupted did nothing, and is repeated. */
static int again(int fd, unsigned long request, unsigned long argument)
{
	int value = -1;

	for (int times = 0; times < MOST_REPEATS; times++) {
		value = ioctl(fd, request, argument);
		if (value >= 0 || errno != EINTR)
			break;
	}
	return value;
}

static long set_region(const struct fresh *fresh, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = size, .userspace_addr = (uintptr_t)fresh->memory};

	return said(again(fresh->vm, KVM_SET_USER_MEMORY_REGION, (unsigned long)&region));
}

static long make_vcpu(const struct fresh *fresh, unsigned long number, struct kvm_run **run)
{
	int size = again(fresh->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	int vcpu = again(fresh->vm, KVM_CREATE_VCPU, number);
	long unready;

	if (size < 0 || vcpu < 0)
		return -errno;
	unready = KE_ARCH_READY(fresh->vm, vcpu);
	if (unready)
		return unready;
	*run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (*run == MAP_FAILED)
		return -errno;
	(*run)->immediate_exit = 1;
	return vcpu;
}

static long make(struct fresh *fresh)
{
	fresh->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fresh->kvm < 0)
		return -errno;
	fresh->vm = again(fresh->kvm, KVM_CREATE_VM, 0);
	if (fresh->vm < 0)
		return -errno;
	fresh->memory =
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh->memory == MAP_FAILED)
		return -errno;
	if (set_region(fresh, MEMORY))
		return -errno;
	fresh->vcpu = (int)make_vcpu(fresh, 0, &fresh->run);
	return fresh->vcpu < 0 ? fresh->vcpu : 0;
}

/* How many gave EINTR. */
static long run(struct fresh *fresh)
{
	uint64_t done = 0;

	while (done < fresh->runs && ioctl(fresh->vcpu, KVM_RUN, 0) < 0 && errno == EINTR)
		done++;
	return (long)done;
}

static long remove_region(struct fresh *fresh)
{
	return set_region(fresh, 0);
}

static long add_region(struct fresh *fresh)
{
	return set_region(fresh, MEMORY);
}

static long give_memory_back(struct fresh *fresh)
{
	return said(madvise(fresh->memory, MEMORY, MADV_DONTNEED));
}

static long add_vcpu(struct fresh *fresh)
{
	fresh->second = (int)make_vcpu(fresh, 1, &fresh->second_run);
	return fresh->second < 0 ? fresh->second : 0;
}

static long get_state(struct fresh *fresh)
{
	struct kvm_mp_state state;

	/* Where this KVM has no MP states there is none to read. */
	if (again(fresh->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MP_STATE) <= 0)
		return 0;
	return said(again(fresh->vcpu, KVM_GET_MP_STATE, (unsigned long)&state));
}

static long run_second(struct fresh *fresh)
{
	/* Where this KVM allows one vCPU only there is no second. */
	return fresh->second < 0 ? 0 : said(ioctl(fresh->second, KVM_RUN, 0));
}

static long run_again(struct fresh *fresh)
{
	return said(ioctl(fresh->vcpu, KVM_RUN, 0));
}

static long unmap_memory(struct fresh *fresh)
{
	return said(munmap(fresh->memory, MEMORY));
}

static long close_all(struct fresh *fresh)
{
	long size = again(fresh->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (fresh->second >= 0) {
		munmap(fresh->second_run, (size_t)size);
		close(fresh->second);
	}
	munmap(fresh->run, (size_t)size);
	close(fresh->vcpu);
	return said(close(fresh->vm));
}

static long (*const steps[])(struct fresh *) = {
	make,	   run,	       remove_region, add_region,   give_memory_back, add_vcpu,
	get_state, run_second, run_again,     unmap_memory, close_all,
};

const char *const ke_fresh_steps[] = {
	"making a VM",
	"immediate runs",
	"taking a memory region away",
	"adding a memory region",
	"giving the guest's memory back",
	"adding a vCPU",
	"reading the vCPU's MP state",
	"an immediate run of another vCPU",
	"another immediate run",
	"unmapping the guest's memory",
	"closing the VM",
	0,
};

_Static_assert(
	sizeof(steps) / sizeof(*steps) + 1 == sizeof(ke_fresh_steps) / sizeof(*ke_fresh_steps),
	"each step has a name");

int ke_fresh_vm(uint64_t runs, int answer_fd)
{
	struct fresh fresh = {.second = -1, .runs = runs};
	pid_t child = ke_fork();

	if (child)
		return child < 0 ? -errno : child;
	for (size_t step = 0; step < sizeof(steps) / sizeof(*steps); step++) {
		struct ke_fresh_answer answer = {(int64_t)step, steps[step](&fresh)};

		if (write(answer_fd, &answer, sizeof(answer)) != sizeof(answer))
			_exit(1);
	}
	_exit(0);
}
