/* Stand-ins for two functions of the C library that comes with zig 0.16, whose strnlen() and
 * memchr() read whole blocks of the length they are given and so run past the end of a string into
 * a page that is not there; printf("%s") calls them. The library's are weak symbols, so these win.
 * To go when a zig without the fault is pinned: tests/integration/building/test_libc.py tells. */
#include <stddef.h>

__attribute__((no_builtin)) size_t strnlen(const char *text, size_t max)
{
	size_t size = 0;

	while (size < max && text[size])
		size++;
	return size;
}

__attribute__((no_builtin)) void *memchr(const void *memory, int wanted, size_t size)
{
	const unsigned char *at = memory;

	for (; size; size--, at++)
		if (*at == (unsigned char)wanted)
			return (void *)at;
	return NULL;
}
