/*
 * Components of k3s that this bundle has no images for: the server is told not
 * to deploy them. k3s adds up what its configuration and each --disable name,
 * so nothing that the user disables is lost.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char flag[] = "--disable=";

static char *disable(const char *component)
{
	size_t size = sizeof flag + strlen(component);
	char *word = malloc(size);

	if (!word)
		fail(EXIT_SYSTEM, "no memory for the arguments\n  do: stop other programs, or add swap");
	snprintf(word, size, "%s%s", flag, component);
	return word;
}

static size_t count_components(const struct bundle *b)
{
	const char *cursor = NULL, *component;
	size_t count = 0;

	while (bundle_next_without(b, &cursor, &component))
		count++;
	return count;
}

static size_t count_words(char **argv)
{
	size_t count = 0;

	while (argv[count])
		count++;
	return count;
}

/*
 * Right behind the command, not at the end: a "--" or a word too many would
 * end the flags before ours, and a last flag that lacks its value would take
 * ours for it (`server --token` must stay an error).
 */
char **without_components(struct bundle *b, char **argv, int command_at)
{
	size_t words = count_words(argv), head = (size_t)command_at + 1, used = head;
	const char *cursor = NULL, *component;
	char **out;

	if (!b->has_extras)
		return argv;
	bundle_load(b);
	out = malloc((words + count_components(b) + 1) * sizeof *out);
	if (!out)
		fail(EXIT_SYSTEM, "no memory for the arguments\n  do: stop other programs, or add swap");
	memcpy(out, argv, head * sizeof *out);
	while (bundle_next_without(b, &cursor, &component)) {
		log_line(LOG_DEBUG, "This k3s has no %s: adding %s%s", component, flag, component);
		out[used++] = disable(component);
	}
	memcpy(out + used, argv + head, (words - head + 1) * sizeof *out);
	return out;
}
