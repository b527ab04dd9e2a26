/*
 * k3s's configuration: the main file first, then the files of <main>.d in order
 * of their names. The launcher obeys four of its keys; the last value wins.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_MAX = 4 << 20 };

static void unreadable(const char *file, bool strict)
{
	int error = errno;

	if (strict)
		fail(EXIT_CONFIG, "cannot read the configuration %s: %s\n"
		     "  do: correct its permissions, or name another file in K3S_CONFIG_FILE", file, strerror(error));
	log_line(LOG_WARNING, "cannot read the configuration %s: %s", file, strerror(error));
}

static void read_file(const char *file, bool strict, yaml_visit *visit, void *to)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got = -1;
	char *text;

	/* what cannot even be seen is no configuration (an http URL, a closed folder) */
	if (fd < 0 && stat(file, &st))
		return;
	if (fd < 0) {
		unreadable(file, strict);
		return;
	}
	text = malloc(CONFIG_MAX);
	if (text)
		got = read(fd, text, CONFIG_MAX);
	if (got < 0)
		unreadable(file, strict);
	else
		yaml_read(text, (size_t)got, visit, to);
	free(text);
	close(fd);
}

static int is_dropin(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_type != DT_DIR && dot && (!strcasecmp(dot, ".yaml") || !strcasecmp(dot, ".yml"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void config_each(const char *file, bool strict, yaml_visit *visit, void *to)
{
	char folder[PATH_MAX], path[PATH_MAX];
	struct dirent **names;
	int count, i;

	/* a folder called http: may be anybody's */
	if (is_url(file))
		return;
	read_file(file, strict, visit, to);
	join(folder, "%s.d", file);
	count = scandir(folder, &names, is_dropin, by_bytes);
	if (count < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			unreadable(folder, strict);
		return;
	}
	for (i = 0; i < count; i++) {
		join(path, "%s/%s", folder, names[i]->d_name);
		read_file(path, strict, visit, to);
		free(names[i]);
	}
	free(names);
}

/* Of a list the first value counts. */
static void store(void *to, const char *key, const char *value, bool first)
{
	struct settings *s = to;

	if (!first)
		return;
	if (!strcmp(key, "data-dir"))
		snprintf(s->data_dir, sizeof s->data_dir, "%s", value);
	else if (!strcmp(key, "prefer-bundled-bin"))
		snprintf(s->prefer_bundled_bin, sizeof s->prefer_bundled_bin, "%s", value);
	else if (!strcmp(key, "debug"))
		snprintf(s->debug, sizeof s->debug, "%s", value);
	else if (!strcmp(key, "rootless"))
		snprintf(s->rootless, sizeof s->rootless, "%s", value);
}

void config_read(const char *file, bool strict, struct settings *s)
{
	config_each(file, strict, store, s);
}
