/*
 * Defaults for small boards, which the manifest lists: applied before server
 * or agent, each only where the user chose nothing.
 *
 * Variables reach more than k3s. containerd, runc and the CNI plugins are its
 * children and inherit GOGC; pods do not, their environment is what their image
 * and specification say. The shims inherit it too, but set their own GC
 * percentage (40) when they start. That does no harm: a lower GOGC saves memory
 * in containerd for the same price as in k3s, runc and the plugins end before
 * their first collection.
 */
#include "launcher.h"

#include <stdlib.h>
#include <string.h>

static bool is_off(void)
{
	const char *given = from_environment(DEFAULTS_SWITCH);

	if (given && strcmp(given, "off"))
		log_line(LOG_WARNING, DEFAULTS_SWITCH " is '%s', but only 'off' means something", given);
	return given && !strcmp(given, "off");
}

struct wish wish_of(char **flags, const char *config)
{
	return (struct wish){ flags, config && *config ? config : NULL, memory_kib(), is_off() };
}

enum default_state default_judge(const struct board_default *d, const struct wish *w)
{
	if (w->off)
		return SWITCHED_OFF;
	if (!w->memory_kib)
		return MEMORY_UNKNOWN;
	if (w->memory_kib / 1024 >= d->below_mib)
		return ENOUGH_MEMORY;
	if (!d->is_flag)
		return getenv(d->name) ? USER_SET : APPLIED;	/* an empty one is a choice, too */
	if (flag_given(d->name, d->value, w->flags, w->config))
		return USER_SET;
	return w->config && is_url(w->config) ? CONFIG_UNREAD : APPLIED;
}

char **defaults_apply(struct bundle *b, const struct request *r, const char *config)
{
	bool is_agent = !strcmp(r->command->name, "agent");
	int at = r->command_at + 1;
	struct wish w = wish_of(r->argv + at, config);
	char **argv = r->argv;
	const char *cursor = NULL;
	struct board_default d;

	if (!b->has_extras)
		return argv;
	bundle_load(b);
	while (bundle_next_default(b, &cursor, &d)) {
		if (!(is_agent ? d.agent : d.server) || default_judge(&d, &w) != APPLIED)
			continue;
		log_line(LOG_INFO, "Default of a small board: %s=%s (" DEFAULTS_SWITCH "=off starts without)", d.name, d.value);
		if (d.is_flag)
			argv = add_flag(argv, at++, d.name, d.value);
		else
			set_environment(d.name, d.value);
	}
	return argv;
}
