// SPDX-License-Identifier: GPL-2.0-only
/* Defects of a vCPU's state that only arm64 has. */
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "broken_kvm.h"

#if defined(__aarch64__)

#define CORE_REGISTER(name)                                    \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 (offsetof(struct kvm_regs, name) / sizeof(uint32_t)))
#define INSTRUCTION_BYTES 4

static uint64_t get_register(int fd, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)&value};

	kernel(fd, KVM_GET_ONE_REG, &request);
	return value;
}

static void set_register(int fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)&value};

	kernel(fd, KVM_SET_ONE_REG, &request);
}

static int powers_on(struct call *call)
{
	struct kvm_mp_state state = {0}, runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		kernel(call->fd, KVM_GET_MP_STATE, &state);
		if (state.mp_state == KVM_MP_STATE_STOPPED)
			kernel(call->fd, KVM_SET_MP_STATE, &runnable);
		errno = EINTR;
	}
	return value;
}

static int byte_before_readiness(struct call *call)
{
	int value = plain(call);

	return call->byte && value == -1 && (errno == ENOEXEC || errno == EPERM) ? fail(EINTR)
										 : value;
}

static int drops_system_error(struct call *call)
{
	struct kvm_vcpu_events events = {0};
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		kernel(call->fd, KVM_SET_VCPU_EVENTS, &events);
		errno = EINTR;
	}
	return value;
}

/* Of an abort that waits, the run that is to put the vCPU at its vector puts it back. */
static int drops_abort(struct call *call)
{
	uint64_t counter = get_register(call->fd, CORE_REGISTER(regs.pc));
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		set_register(call->fd, CORE_REGISTER(regs.pc), counter);
		errno = EINTR;
	}
	return value;
}

/* Whether no vCPU of the VM has run but with the byte set. A register's call names the vCPU. */
static int is_fresh(int fd)
{
	for (int each = 0; each < VCPUS; each++)
		if (vcpus[each].open && vcpus[each].ran && (vcpus[each].vm == fd || each == fd))
			return 0;
	return 1;
}

static int not_a_first_run(int fd, unsigned long request, void *argument)
{
	int value = kernel(fd, request, argument);

	return value == -1 && errno == EBUSY && is_fresh(fd) ? 0 : value;
}

/* As LoongArch is believed to do it: by exit_reason, which an immediate exit leaves as it is. */
static int skips_after_call(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->run->exit_reason == KVM_EXIT_HYPERCALL) {
		set_register(
			call->fd, CORE_REGISTER(regs.pc),
			get_register(call->fd, CORE_REGISTER(regs.pc)) + INSTRUCTION_BYTES);
		errno = EINTR;
	}
	return value;
}

static int takes_result_of_call(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->run->exit_reason == KVM_EXIT_HYPERCALL) {
		set_register(call->fd, CORE_REGISTER(regs.regs[0]), call->run->hypercall.ret);
		errno = EINTR;
	}
	return value;
}

static int drops_thread_pointer(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		set_register(call->fd, ARM64_SYS_REG(3, 3, 13, 0, 2), 0);
		errno = EINTR;
	}
	return value;
}

const struct defect aarch64_defects[] = {
	{"powers_on", powers_on, NULL},
	{"byte_before_readiness", byte_before_readiness, NULL},
	{"drops_system_error", drops_system_error, NULL},
	{"drops_abort", drops_abort, NULL},
	{"not_a_first_run", plain, not_a_first_run},
	{"skips_after_call", skips_after_call, NULL},
	{"takes_result_of_call", takes_result_of_call, NULL},
	{"drops_thread_pointer", drops_thread_pointer, NULL},
	{NULL, NULL, NULL},
};

#else

const struct defect aarch64_defects[] = {{NULL, NULL, NULL}};

#endif
