/* The host's own programs: where its iptables for nf_tables lies, and its modprobe. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "detect.h"

extern char **environ;

/* A user's PATH may lack them, and rules must not depend on whose PATH it is. */
#define MORE_FOLDERS ":/usr/local/sbin:/usr/sbin:/sbin"

/* Programs of legacy iptables, through whatever links they were found. */
static bool is_legacy(const char *real)
{
	const char *slash = strrchr(real, '/');
	const char *name = slash ? slash + 1 : real;

	return !strcmp(name, "xtables-legacy-multi") || !strcmp(name, "xtables-multi");
}

static bool same_file(const char *path, const struct stat *self)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == self->st_dev && st.st_ino == self->st_ino;
}

/* Whether path is a program for nf_tables, and not this one. */
static bool serves(const char *path, const struct stat *self)
{
	char real[PATH_MAX];

	return !access(path, X_OK) && realpath(path, real) && !is_legacy(real) && !same_file(path, self);
}

/* Tries `folder/prefix` + middle + rest of the name. */
static bool look(char path[PATH_MAX], const char *folder, int size, const char *prefix, const char *middle,
		 const char *rest, const struct stat *self)
{
	int length = snprintf(path, PATH_MAX, "%.*s/%s%s%s", size, folder, prefix, middle, rest);

	return length < PATH_MAX && serves(path, self);
}

bool find_host(char path[PATH_MAX], const char *name, const struct family *family)
{
	const char *given = getenv("PATH"), *rest = name + strlen(family->prefix);
	const char *middles[] = { "-nft", "" };
	struct stat self;
	char *folders;
	bool found = false;

	if (stat("/proc/self/exe", &self) || asprintf(&folders, "%s" MORE_FOLDERS, given ? given : "") < 0)
		return false;
	/* a program that says nft in its name, anywhere, comes before one that only may be */
	for (size_t i = 0; i < 2 && !found; i++)
		for (const char *at = folders; *at && !found; at += *at == ':') {
			int size = (int)strcspn(at, ":");

			/* not the working directory: this runs as root */
			found = *at == '/' && look(path, at, size, family->prefix, middles[i], rest, &self);
			at += size;
		}
	free(folders);
	return found;
}

bool own_folder(char folder[PATH_MAX])
{
	ssize_t size = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	if (size < 0)
		return false;
	folder[size] = 0;
	slash = strrchr(folder, '/');
	if (!slash)
		return false;
	*slash = 0;
	return true;
}

/* What the kernel itself would run to load a module. */
static bool kernels_modprobe(char path[PATH_MAX])
{
	FILE *file = fopen("/proc/sys/kernel/modprobe", "re");
	bool read = file && fgets(path, PATH_MAX, file);

	if (file)
		fclose(file);
	if (read)
		path[strcspn(path, "\n")] = 0;
	return read && path[0] == '/';
}

void load_module(const char *module)
{
	char path[PATH_MAX], name[32], quiet[] = "-q";
	char *argv[] = { path, quiet, name, NULL };
	pid_t child;

	if (!kernels_modprobe(path))
		return;
	snprintf(name, sizeof name, "%s", module);
	if (posix_spawn(&child, path, NULL, NULL, argv, environ))
		return;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}
