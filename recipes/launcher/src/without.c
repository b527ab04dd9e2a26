/*
 * Components of k3s that this bundle has no images for: the server is told not
 * to deploy them. k3s adds up what its configuration and each --disable name,
 * so nothing that the user disables is lost.
 */
#include "launcher.h"

/*
 * Right behind the command, not at the end: a "--" or a word too many would
 * end the flags before ours, and a last flag that lacks its value would take
 * ours for it (`server --token` must stay an error).
 */
char **without_components(struct bundle *b, char **argv, int command_at)
{
	const char *cursor = NULL, *component;
	int at = command_at + 1;

	if (!b->has_extras)
		return argv;
	bundle_load(b);
	while (bundle_next_without(b, &cursor, &component)) {
		log_line(LOG_DEBUG, "This k3s has no %s: adding --disable=%s", component, component);
		argv = add_flag(argv, at++, "disable", component);
	}
	return argv;
}
