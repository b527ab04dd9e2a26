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

/* Renamed first: a kill in between leaves a leftover, not half a version. */
void discard_version(int data_fd, const char *hash)
{
	char leftover[HASH_HEX + sizeof "-old-tmp"];

	memcpy(leftover, hash, HASH_HEX);
	memcpy(leftover + HASH_HEX, "-old-tmp", sizeof "-old-tmp");
	remove_tree(data_fd, leftover);
	if (renameat(data_fd, hash, data_fd, leftover))
		log_line(LOG_WARNING, "cannot rename %s: %s", hash, strerror(errno));
	else
		remove_tree(data_fd, leftover);
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

/*
 * A container's shim outlives the k3s that started it and calls runc from its
 * own version's folder: as long as one runs from there, that version stays.
 */
static bool is_running(const char *hash)
{
	char name[sizeof "/proc//exe" + NAME_MAX], target[PATH_MAX];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;
	ssize_t size;

	if (!proc)
		return true;
	while (!found && (entry = readdir(proc))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(name, sizeof name, "/proc/%s/exe", entry->d_name);
		size = readlink(name, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = 0;
		found = strstr(target, hash) != NULL;
	}
	closedir(proc);
	return found;
}

static const char *own_hash;

static void prune_one(int data_fd, const char *hash)
{
	if (!strcmp(hash, own_hash) || is_named(data_fd, "current", hash) || is_named(data_fd, "previous", hash))
		return;
	if (is_running(hash)) {
		log_line(LOG_INFO, "Keeping the old version %s: a process still runs from it", hash);
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
