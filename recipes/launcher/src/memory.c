/* How much memory the machine has. */
#include "launcher.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the kernel has for everybody, without its own code and what firmware took: a Pi Zero says 437 MiB. */
uint64_t memory_kib(void)
{
	static const char name[] = "MemTotal:";
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	char text[4096];
	const char *line;
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got < 0 ? 0 : got] = 0;
	line = strstr(text, name);
	return line ? strtoull(line + sizeof name - 1, NULL, 10) : 0;
}
