/*
 * Taking things away under data/: what a killed extraction left, and versions
 * older than `previous`. Only names that this launcher makes are touched.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool is_hash(const char *text, size_t size)
{
	return size == HASH_HEX && strspn(text, "0123456789abcdef") >= HASH_HEX;
}

static bool is_version(const char *name)
{
	return is_hash(name, strlen(name));
}

static bool is_leftover(const char *name)
{
	size_t size = strlen(name);

	return size > HASH_HEX + 3 && strspn(name, "0123456789abcdef") == HASH_HEX && !strcmp(name + size - 4, "-tmp");
}

static void empty_folder(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_tree(fd, entry->d_name);
	closedir(dir);
}

void remove_tree(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		empty_folder(fd);
	if (unlinkat(dir_fd, name, fd >= 0 ? AT_REMOVEDIR : 0) && errno != ENOENT)
		log_line(LOG_WARNING, "cannot remove %s: %s", name, strerror(errno));
}

/*
 * Renamed first: a kill in between leaves a leftover, not half a version. A
 * folder in an overlay's lower layer cannot be renamed: it loses its program
 * first, so that the rest counts as no version from then on.
 */
static void discard_version(int data_fd, const char *hash)
{
	char leftover[HASH_HEX + sizeof "-old-tmp"], program[HASH_HEX + sizeof "/bin/k3s"];

	memcpy(leftover, hash, HASH_HEX);
	memcpy(leftover + HASH_HEX, "-old-tmp", sizeof "-old-tmp");
	remove_tree(data_fd, leftover);
	if (!renameat(data_fd, hash, data_fd, leftover)) {
		remove_tree(data_fd, leftover);
		return;
	}
	if (errno != EXDEV) {
		log_line(LOG_WARNING, "cannot rename %s: %s", hash, strerror(errno));
		return;
	}
	memcpy(program, hash, HASH_HEX);
	memcpy(program + HASH_HEX, "/bin/k3s", sizeof "/bin/k3s");
	unlinkat(data_fd, program, 0);
	remove_tree(data_fd, hash);
}

/* Calls visit for each entry below data/ whose name is chosen. */
static void each(int data_fd, bool (*chosen)(const char *), void (*visit)(int, const char *))
{
	int fd = openat(data_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (chosen(entry->d_name))
			visit(data_fd, entry->d_name);
	closedir(dir);
}

void prune_leftovers(int data_fd)
{
	each(data_fd, is_leftover, remove_tree);
}

/* Does the link data/NAME name this version? */
static bool is_named(int data_fd, const char *name, const char *hash)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(data_fd, name, target, sizeof target - 1);

	target[size < 0 ? 0 : size] = 0;
	return !strcmp(base_name(target), hash);
}

static const char *own_hash;

static void prune_one(int data_fd, const char *hash)
{
	char why[PATH_MAX];

	if (!strcmp(hash, own_hash) || is_named(data_fd, "current", hash) || is_named(data_fd, "previous", hash))
		return;
	if (is_in_use(hash, why)) {
		log_line(LOG_INFO, "Keeping the old version %s: %s", hash, why);
		return;
	}
	log_line(LOG_INFO, "Removing the old version %s", hash);
	discard_version(data_fd, hash);
}

void prune_versions(const struct bundle *b, int data_fd)
{
	own_hash = b->hash;
	each(data_fd, is_version, prune_one);
}
