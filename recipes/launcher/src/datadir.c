/*
 * Which data directory: K3S_DATA_DIR, then the flag, then the configuration,
 * then the default. Always made absolute, because links and PATH hold it.
 */
#include "launcher.h"

#include <unistd.h>

static const char *from_flag(char **argv, const struct request *r)
{
	struct flag f = { "data-dir", 'd', false, 0, NULL };

	if (r->command->external)
		f.foreign_from = r->command_at + 1;
	flag_find(argv, &f);
	return f.value;
}

void datadir_find(const struct settings *s, char **argv, const struct request *r, char out[PATH_MAX])
{
	const char *dir = from_environment("K3S_DATA_DIR");
	char expanded[PATH_MAX];

	if (!dir)
		dir = from_flag(argv, r);
	if (!dir || !*dir)
		dir = s->data_dir;
	if (!*dir)
		dir = getuid() ? HOME_DATA_DIR : DEFAULT_DATA_DIR;
	if (!expand_home(expanded, dir))
		fail(EXIT_CONFIG, "the data directory %s needs a home directory, and HOME is not set\n"
		     "  do: set HOME, or give --data-dir", dir);
	absolute_path(out, expanded);
}
