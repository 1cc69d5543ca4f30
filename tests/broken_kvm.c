// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded by tests: the real /dev/kvm with one defect, which the environment variable BROKEN_KVM
 * names. It stands between the suites and the kernel: an ioctl() that answers by itself, or hides
 * from the kernel what a broken one would not look at. Without a name it changes nothing.
 *
 * What each defect stands for is told in broken_kvm.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broken_kvm.h"

#define EX_USAGE 64

struct vcpu vcpus[VCPUS];
int newest_vcpu = -1;
static const struct defect *chosen;

int fail(int error)
{
	errno = error;
	return -1;
}

/* What the kernel says, past the ioctl() of this file. */
int kernel(int fd, unsigned long request, void *argument)
{
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

int plain(struct call *call)
{
	return kernel(call->fd, KVM_RUN, call->argument);
}

/* KVM_RUN for which the byte is `value`. A byte that was set meanwhile stays. */
int run_as(struct call *call, uint8_t value)
{
	uint8_t put = value;
	int result, error;

	call->run->immediate_exit = value;
	result = plain(call);
	error = errno;
	__atomic_compare_exchange_n(
		&call->run->immediate_exit, &put, call->byte, 0, __ATOMIC_SEQ_CST,
		__ATOMIC_SEQ_CST);
	errno = error;
	return result;
}

int is_immediate_exit(const struct call *call, int value)
{
	return call->preset && value == -1 && errno == EINTR;
}

int ignore_byte(struct call *call)
{
	return run_as(call, 0);
}

/* The guest executes one instruction, and kvm_run does not show it. */
int step(struct call *call)
{
	struct kvm_guest_debug on = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct kvm_guest_debug off = {.control = 0};
	uint32_t reason = call->run->exit_reason;
	int result;

	kernel(call->fd, KVM_SET_GUEST_DEBUG, &on);
	result = run_as(call, 0);
	if (!call->vcpu->stepping)
		kernel(call->fd, KVM_SET_GUEST_DEBUG, &off);
	call->run->exit_reason = reason;
	return result;
}

/* The thread blocks what the mask says; what it blocked before. Bit 0 is signal 1. */
uint64_t block(uint64_t mask)
{
	uint64_t before = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, sizeof(mask));
	return before;
}

struct kvm_run *map_run(int fd)
{
	void *page = mmap(
		NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

void unmap_run(struct kvm_run *run)
{
	munmap(run, (size_t)sysconf(_SC_PAGESIZE));
}

static int run(int fd, void *argument)
{
	struct call call = {.fd = fd, .vcpu = &vcpus[fd], .argument = argument};
	int value, error;

	call.run = map_run(fd);
	if (!call.run)
		return kernel(fd, KVM_RUN, argument);
	call.byte = call.run->immediate_exit;
	call.preset = call.byte && !argument && call.vcpu->process == getpid();
	value = chosen->run(&call);
	error = errno;
	call.vcpu->preset = call.preset;
	call.vcpu->pending = !value;
	call.vcpu->thread = (pid_t)syscall(SYS_gettid);
	if (!call.byte)
		call.vcpu->ran = 1;
	unmap_run(call.run);
	return errno = error, value;
}

/* What a later KVM_RUN has to know of this request. */
static void note(int fd, unsigned long request, void *argument, int value)
{
	const struct kvm_signal_mask *mask = argument;

	if (value < 0)
		return;
	if (request == KVM_CREATE_VCPU && value < VCPUS) {
		vcpus[value] = (struct vcpu){.open = 1, .vm = fd, .process = getpid()};
		newest_vcpu = value;
	} else if (request == KVM_SET_GUEST_DEBUG) {
		vcpus[fd].stepping = !!((struct kvm_guest_debug *)argument)->control;
	} else if (request == KVM_SET_SIGNAL_MASK) {
		vcpus[fd].masked = !!mask;
		if (mask)
			memcpy(&vcpus[fd].mask, mask->sigset, sizeof(vcpus[fd].mask));
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;
	int value;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd < 0 || fd >= VCPUS || _IOC_TYPE(request) != KVMIO)
		return kernel(fd, request, argument);
	if (request == KVM_RUN && chosen->run)
		return run(fd, argument);
	if (chosen->request)
		value = chosen->request(fd, request, argument);
	else
		value = kernel(fd, request, argument);
	note(fd, request, argument, value);
	return value;
}

int close(int fd)
{
	if (fd >= 0 && fd < VCPUS)
		vcpus[fd].open = 0;
	return (int)syscall(SYS_close, fd);
}

__attribute__((constructor)) static void choose(void)
{
	static const struct defect transparent = {"", plain, NULL};
	const struct defect *const tables[] = {byte_defects, state_defects, signal_defects};
	const char *name = getenv("BROKEN_KVM");
	const struct defect *defect;
	size_t table;

	chosen = &transparent;
	if (!name || !*name)
		return;
	for (table = 0; table < sizeof(tables) / sizeof(*tables); table++)
		for (defect = tables[table]; defect->name; defect++)
			if (!strcmp(defect->name, name)) {
				chosen = defect;
				return;
			}
	fprintf(stderr, "BROKEN_KVM=%s: there is no such defect\n", name);
	_exit(EX_USAGE);
}
