// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded by tests: the real /dev/kvm with one defect, which the environment variable BROKEN_KVM
 * names. It stands between the suites and the kernel: an ioctl() that answers by itself, or hides
 * from the kernel what a broken one would not look at. Without a name it changes nothing.
 *
 * What each defect stands for is told in broken_kvm.py.
 *
 * SPURIOUS_EVERY=n makes it a KVM that ends one run in n for nothing, as it may: EINTR with
 * KVM_EXIT_INTR and no signal of the suites. Half of these come before the guest was entered, the
 * others by a signal of this library while it runs. INTERRUPTED_EVERY=n: one in n of all other
 * ioctls of KVM gives EINTR and does nothing; KVM_RESET_DIRTY_RINGS gives 0 then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
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

static unsigned int spurious_every, interrupted_every;

/* A multiplicative generator, for each thread its own: 1 in `every` times. */
static int falls(unsigned int every)
{
	static __thread uint64_t state;

	if (!every)
		return 0;
	if (!state)
		state = (uint64_t)syscall(SYS_gettid) * 2 + 1;
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % every == 0;
}

static void do_nothing(int signo)
{
	(void)signo;
}

/* KVM_RUN, and a while later a signal that nobody but this library knows of. */
static int run_disturbed(struct call *call)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = OUR_SIGNAL};
	struct itimerspec soon = {.it_value = {0, 20000}};
	timer_t timer;
	int value, error;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &soon, NULL))
		abort();
	value = chosen->run(call);
	error = errno;
	timer_delete(timer);
	return errno = error, value;
}

/*
 * A run that turns back at once leaves in kvm_run what each leaves there: the kernel's own run with
 * the byte set does. The byte is another thread's to change meanwhile, and what it stored stays.
 */
static int turn_back(struct call *call)
{
	uint8_t ours = 0xfe, before;
	int value;

	before = __atomic_exchange_n(&call->run->immediate_exit, ours, __ATOMIC_SEQ_CST);
	value = kernel(call->fd, KVM_RUN, NULL);
	__atomic_compare_exchange_n(
		&call->run->immediate_exit, &ours, before, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	/* The next piece of an access, which no run may lose: a duplicate's pending one is not
	 * known. */
	if (!value)
		return 0;
	call->turned_back = 1;
	call->run->exit_reason = KVM_EXIT_INTR;
	return fail(EINTR);
}

static int run_or_not(struct call *call)
{
	if (call->byte || call->argument || call->vcpu->process != getpid() ||
	    !falls(spurious_every))
		return chosen->run(call);
	/* What a run has to complete comes first. */
	if (call->vcpu->pending || falls(2))
		return run_disturbed(call);
	return turn_back(call);
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
	value = run_or_not(&call);
	error = errno;
	/* A run that turns back before it gets to the defect leaves it to the next one. */
	if (!call.turned_back) {
		call.vcpu->preset = call.preset;
		call.vcpu->pending = !value;
		call.vcpu->thread = (pid_t)syscall(SYS_gettid);
		call.vcpu->ran |= !call.byte;
	}
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
	if (falls(interrupted_every))
		return request == KVM_RESET_DIRTY_RINGS ? 0 : fail(EINTR);
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

static unsigned int number(const char *name)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void choose(void)
{
	static const struct defect transparent = {"", plain, NULL};
	const struct defect *const tables[] = {
		byte_defects, state_defects, signal_defects, aarch64_defects, riscv64_defects};
	const struct sigaction ours = {.sa_handler = do_nothing};
	const char *name = getenv("BROKEN_KVM");
	const struct defect *defect;
	size_t table;

	chosen = &transparent;
	spurious_every = number("SPURIOUS_EVERY");
	interrupted_every = number("INTERRUPTED_EVERY");
	/* Once and for good, for all threads: nothing that a test could have left behind. */
	if (sigaction(OUR_SIGNAL, &ours, NULL))
		_exit(EX_USAGE);
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
