// SPDX-License-Identifier: GPL-2.0-only
/*
 * userfaultfd(2): memory whose first touch waits until it is resolved. It makes a guest's
 * second-stage fault as slow as a test likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

/* A descriptor, or -errno. Faults of the kernel must be handled too: KVM's are of that kind. */
long ke_userfault_open(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -(long)errno;
	if (ioctl((int)fd, UFFDIO_API, &api)) {
		int error = errno;

		close((int)fd);
		return -(long)error;
	}
	return fd;
}

int ke_userfault_register(int fd, void *start, size_t length)
{
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)start, .len = length},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(fd, UFFDIO_REGISTER, &range) ? -errno : 0;
}

/* 1 and the address when a fault waits, 0 when none came in time, or -errno. */
int ke_userfault_wait(int fd, int timeout_ms, uint64_t *address)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct uffd_msg message;
	int count = poll(&ready, 1, timeout_ms);

	if (count <= 0)
		return count < 0 ? -errno : 0;
	if (read(fd, &message, sizeof(message)) != (ssize_t)sizeof(message))
		return -errno;
	if (message.event != UFFD_EVENT_PAGEFAULT)
		return -EPROTO;
	*address = message.arg.pagefault.address;
	return 1;
}

/* Resolves the faults of a range with zeroes. */
int ke_userfault_zero(int fd, void *page, size_t length)
{
	struct uffdio_zeropage zero = {.range = {.start = (uintptr_t)page, .len = length}};

	return ioctl(fd, UFFDIO_ZEROPAGE, &zero) ? -errno : 0;
}
