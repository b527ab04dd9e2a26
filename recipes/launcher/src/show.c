/* k3s --show-defaults: each default, its value here, and whether it is applied. */
#include "launcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *commands_of(const struct board_default *d)
{
	return d->server && d->agent ? "server, agent" : d->server ? "server" : "agent";
}

static void reason(char *out, size_t size, const struct board_default *d, const struct wish *w, enum default_state state)
{
	uint64_t mib = w->memory_kib / 1024;

	switch (state) {
	case APPLIED:
		snprintf(out, size, "%" PRIu64 " MiB of memory, less than %" PRIu64, mib, d->below_mib);
		break;
	case ENOUGH_MEMORY:
		snprintf(out, size, "%" PRIu64 " MiB of memory, not less than %" PRIu64, mib, d->below_mib);
		break;
	case SWITCHED_OFF:
		snprintf(out, size, DEFAULTS_SWITCH "=off");
		break;
	case MEMORY_UNKNOWN:
		snprintf(out, size, "/proc/meminfo does not tell how much memory there is");
		break;
	case USER_SET:
		snprintf(out, size, "you set it");
		break;
	case CONFIG_UNREAD:
		snprintf(out, size, "the configuration is a URL, which may set it");
		break;
	}
}

static void show_line(const struct board_default *d, bool applied, const char *because)
{
	printf("%s=%s (%s) %s: %s. %s\n", d->name, d->value, commands_of(d), applied ? "applied" : "not applied", because,
	       d->why);
}

/* Nothing here needs an escape: the manifest is held to that, and the rest is ours. */
static void show_json(const struct board_default *d, bool applied, const char *because)
{
	printf("{\"name\": \"%s\", \"value\": \"%s\", \"kind\": \"%s\", \"server\": %s, \"agent\": %s, "
	       "\"below_mib\": %" PRIu64 ", \"applied\": %s, \"because\": \"%s\", \"why\": \"%s\"}",
	       d->name, d->value, d->is_flag ? "flag" : "env", d->server ? "true" : "false",
	       d->agent ? "true" : "false", d->below_mib, applied ? "true" : "false", because, d->why);
}

/* Is it asked about? Without a command all are. */
static bool is_asked(const struct board_default *d, const char *command)
{
	return (d->server && strcmp(command, "agent")) || (d->agent && strcmp(command, "server"));
}

void defaults_show(struct bundle *b, const struct request *r, const char *config)
{
	char because[128];
	struct wish w = wish_of(r->argv + r->command_at + 1, config);
	const char *cursor = NULL;
	enum default_state state;
	struct board_default d;
	unsigned int count = 0;

	bundle_load(b);
	if (r->as_json)
		printf("[");
	while (bundle_next_default(b, &cursor, &d)) {
		if (!is_asked(&d, r->command->name))
			continue;
		state = default_judge(&d, &w);
		reason(because, sizeof because, &d, &w, state);
		if (r->as_json)
			fputs(count ? ",\n " : "", stdout);
		(r->as_json ? show_json : show_line)(&d, state == APPLIED, because);
		count++;
	}
	if (r->as_json)
		printf("]\n");
	else if (!count)
		printf("This k3s has no defaults of its own for %s\n", b->target);
	leave(0);
}
