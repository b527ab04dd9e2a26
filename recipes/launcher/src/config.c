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

static bool unreadable(struct config_problem *p, const char *file, const char *why)
{
	join(p->text, "cannot read the configuration %.3000s: %s", file, why);
	p->advice = "correct its permissions, or name another file in K3S_CONFIG_FILE";
	return false;
}

static bool not_understood(struct config_problem *p, const char *file, const struct yaml_problem *y)
{
	join(p->text, "cannot understand the configuration %.3000s, line %zu: %s", file, y->line, y->what);
	p->advice = "write it as simple lines 'key: value', with quotation marks around the value";
	return false;
}

/* What can be read twice, here and by the inner program. */
static bool read_open(int fd, const char *file, yaml_visit *visit, void *to, struct config_problem *p)
{
	struct yaml_problem y = { 0 };
	size_t size = 0;
	ssize_t got = -1;
	char *text = malloc(CONFIG_MAX + 1);
	bool good;

	while (text && size <= CONFIG_MAX && (got = read(fd, text + size, CONFIG_MAX + 1 - size)) > 0)
		size += (size_t)got;
	if (got < 0)
		good = unreadable(p, file, strerror(errno));
	else if (size > CONFIG_MAX)
		good = unreadable(p, file, "it is larger than 4 MiB");
	else
		good = yaml_read(text, size, visit, to, &y) || not_understood(p, file, &y);
	free(text);
	return good;
}

static bool read_file(const char *file, yaml_visit *visit, void *to, struct config_problem *p)
{
	struct stat st;
	bool good;
	int fd;

	if (stat(file, &st))
		return errno == ENOENT || unreadable(p, file, strerror(errno));
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return unreadable(p, file, "it is a pipe, and k3s reads it more than once");
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return unreadable(p, file, strerror(errno));
	good = read_open(fd, file, visit, to, p);
	close(fd);
	return good;
}

static bool is_dropin(int dir_fd, const char *name)
{
	const char *dot = strrchr(name, '.');
	struct stat st;

	return dot && (!strcasecmp(dot, ".yaml") || !strcasecmp(dot, ".yml")) &&
	       !(!fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool read_dropins(const char *folder, yaml_visit *visit, void *to, struct config_problem *p)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), count, i;
	char path[PATH_MAX];
	struct dirent **names;
	bool good = true;

	if (fd < 0)
		return errno == ENOENT || unreadable(p, folder, strerror(errno));
	count = scandir(folder, &names, NULL, by_bytes);
	if (count < 0)
		good = unreadable(p, folder, strerror(errno));
	for (i = 0; i < count; i++) {
		join(path, "%s/%s", folder, names[i]->d_name);
		good = good && (!is_dropin(fd, names[i]->d_name) || read_file(path, visit, to, p));
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	close(fd);
	return good;
}

bool config_each(const char *file, yaml_visit *visit, void *to, struct config_problem *p)
{
	char folder[PATH_MAX];

	/* a folder called http: may be anybody's */
	if (is_url(file))
		return true;
	join(folder, "%s.d", file);
	return read_file(file, visit, to, p) && read_dropins(folder, visit, to, p);
}

/* k3s makes a flag of each value, and the last one wins. */
static bool store(void *to, const struct yaml_item *item)
{
	struct settings *s = to;
	bool is_dir = !strcmp(item->key, "data-dir") || !strcmp(item->key, "d");
	char *place = is_dir ? s->data_dir : !strcmp(item->key, "prefer-bundled-bin") ? s->prefer_bundled_bin :
		      !strcmp(item->key, "debug") ? s->debug : !strcmp(item->key, "rootless") ? s->rootless : NULL;

	if (!place || (item->appends && (item->none || (item->null && *place))))
		return true;
	snprintf(place, is_dir ? sizeof s->data_dir : SETTING_MAX, "%s", item->value);
	if (is_dir)
		s->has_data_dir = !item->none;
	return item->exact;
}

void config_read(const char *file, struct settings *s)
{
	config_each(file, store, s, &s->problem);
}
