/*
 * Which data directory: K3S_DATA_DIR, then the flag, then the configuration,
 * then the default. Always made absolute, because links and PATH hold it.
 */
#include "launcher.h"

#include <string.h>
#include <unistd.h>

static const char *from_flag(char **argv, const struct request *r)
{
	struct flag f = { "data-dir", 'd', false, 0, NULL };

	if (r->command->external)
		f.foreign_from = r->command_at + 1;
	flag_find(argv, &f);
	return f.value;
}

static void resolve(const char *dir, char out[PATH_MAX])
{
	char expanded[PATH_MAX];

	if (!expand_home(expanded, dir))
		fail(EXIT_CONFIG, "the data directory %s needs a home directory, and HOME is not set\n"
		     "  do: set HOME, or give --data-dir", dir);
	absolute_path(out, expanded);
}

bool datadir_is_given(char **argv, const struct request *r)
{
	const char *flag = from_flag(argv, r);

	return from_environment("K3S_DATA_DIR") || (flag && *flag);
}

void datadir_find(const struct settings *s, char **argv, const struct request *r, char out[PATH_MAX])
{
	const char *dir = from_environment("K3S_DATA_DIR");

	if (!dir)
		dir = from_flag(argv, r);
	if (!dir || !*dir)
		dir = s->data_dir;
	if (!*dir)
		dir = getuid() ? HOME_DATA_DIR : DEFAULT_DATA_DIR;
	resolve(dir, out);
}

static bool is_rootless(const struct settings *s, char **flags)
{
	struct flag f = { "rootless", 0, true, 0, NULL };
	bool rootless = false;

	parse_bool(s->rootless, &rootless);
	flag_find(flags, &f);
	if (f.value)
		parse_bool(f.value, &rootless);
	return rootless;
}

/*
 * As the inner program's own parser decides: a flag counts only behind the
 * command, flag and configuration beat the environment, and the agent's
 * default is the system's folder for whoever starts it.
 */
void datadir_of_node(const struct settings *s, char **argv, const struct request *r, char out[PATH_MAX])
{
	struct flag f = { "data-dir", 'd', false, 0, NULL };
	char **flags = argv + r->command_at + 1;
	bool is_agent = !strcmp(r->command->name, "agent");
	const char *dir = s->data_dir;

	flag_find(flags, &f);
	if (f.value)
		dir = f.value;
	else if (!s->has_data_dir)
		dir = from_environment("K3S_DATA_DIR");
	if (!dir && is_agent)
		dir = DEFAULT_DATA_DIR;
	if (!dir || !*dir)
		dir = getuid() || is_rootless(s, flags) ? HOME_DATA_DIR : DEFAULT_DATA_DIR;
	resolve(dir, out);
}
