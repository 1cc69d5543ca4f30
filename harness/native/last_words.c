// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel keeps a thread, so no verdict can come from this process any more: say so where
 * somebody reads it, and end. exit(3) would wait for the thread.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "last_words.h"

#define EXIT_STATUS 70 /* EX_SOFTWARE: not a verdict about the kernel */

/* As much of the text as there is room for: one write, so that two processes do not mix theirs. */
static size_t compose(char *text, size_t size, const char *format, va_list values)
{
	const char *test = getenv("PYTEST_CURRENT_TEST");
	int begun = snprintf(text, size, "%s: ", test ? test : "a run outside of a test");
	size_t length = begun > 0 ? (size_t)begun : 0;
	int more = length < size ? vsnprintf(text + length, size - length, format, values) : 0;

	length += more > 0 ? (size_t)more : 0;
	return length < size ? length : size - 1;
}

void ke_last_words(const char *format, ...)
{
	const char *path = getenv("KVM_CONFORMANCE_LAST_WORDS");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644)
		      : -1;
	char text[1024];
	va_list values;
	size_t length;

	va_start(values, format);
	length = compose(text, sizeof(text), format, values);
	va_end(values);
	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		if (write(STDERR_FILENO, text, length) < 0)
			_exit(EXIT_STATUS);
	_exit(EXIT_STATUS);
}
