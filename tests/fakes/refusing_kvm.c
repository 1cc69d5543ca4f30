// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded by tests: the real /dev/kvm, but this library answers one request. Its number stands in
 * REFUSED, the answer in ANSWER (an errno; else the value, negated). REFUSED_FOR, if there, is the
 * argument that it must have: the number itself, or the first one of a struct. With
 * REFUSED_BY_TURNS the real KVM answers the first of these requests, and every second one behind
 * it.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long refused;
static const char *only_for;
static int answer, by_turns, meant;

static int is_meant(unsigned long request, void *argument)
{
	if (request != refused)
		return 0;
	if (only_for && strtoul(only_for, NULL, 10) !=
				(_IOC_SIZE(request) ? *(uint32_t *)argument : (uintptr_t)argument))
		return 0;
	return !by_turns || meant++ % 2;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (!is_meant(request, argument))
		return (int)syscall(SYS_ioctl, fd, request, argument);
	errno = answer;
	return answer > 0 ? -1 : -answer;
}

__attribute__((constructor)) static void read_environment(void)
{
	refused = strtoul(getenv("REFUSED"), NULL, 10);
	answer = atoi(getenv("ANSWER"));
	only_for = getenv("REFUSED_FOR");
	by_turns = !!getenv("REFUSED_BY_TURNS");
}
