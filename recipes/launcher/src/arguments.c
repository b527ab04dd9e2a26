/* One more word for the inner program. */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *memory)
{
	if (!memory)
		fail(EXIT_SYSTEM, "no memory for the arguments\n  do: stop other programs, or add swap");
	return memory;
}

static char *flag_word(const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + sizeof "--=";
	char *word = need(malloc(size));

	snprintf(word, size, "--%s=%s", name, value);
	return word;
}

/* Never freed: the program is executed soon. */
char **add_flag(char **argv, int at, const char *name, const char *value)
{
	size_t words = 0, head = (size_t)at;
	char **out;

	while (argv[words])
		words++;
	out = need(malloc((words + 2) * sizeof *out));
	memcpy(out, argv, head * sizeof *out);
	out[head] = flag_word(name, value);
	memcpy(out + head + 1, argv + head, (words - head + 1) * sizeof *out);
	return out;
}
