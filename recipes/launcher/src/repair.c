/*
 * What of an unpacked version is damaged is unpacked again: into data/<hash>-tmp,
 * synced, then each file is renamed over the damaged one. So whoever runs from
 * the old file keeps it, nothing is absent for a moment that was there, and it
 * works in an overlay whose lower layer has the version. Until all is done
 * CHECK_MARK names no boot: after a kill, the next start of a node looks at every
 * byte again.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void cannot(const char *what, const char *dir, const char *name)
{
	int error = errno;
	struct trouble t = trouble_of(error);

	fail(t.code, "cannot %s %s/%s: %s\n"
	     "  cause: %s\n"
	     "  do: %s; or give another data directory with --data-dir or K3S_DATA_DIR", what, dir, name, strerror(error),
	     t.cause, t.cure);
}

/* Makes the folders above path that are gone; the last one's fd. */
static int open_folder(int fd, const char *dir, const char *path)
{
	char part[PATH_MAX];
	const char *slash;
	int next;

	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	for (; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = 0;
		if (mkdirat(fd, part, 0755) && errno != EEXIST)
			cannot("make the folder", dir, part);
		next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			cannot("open the folder", dir, part);
		close(fd);
		fd = next;
	}
	if (fd < 0)
		cannot("open", dir, path);
	return fd;
}

static void put_in_place(int from, int dir_fd, const char *dir, const char *path)
{
	int folder = open_folder(dir_fd, dir, path);

	if (renameat(from, path, folder, base_name(path)))
		cannot("replace", dir, path);
	if (!to_disk(folder))
		cannot("write to the disk", dir, path);
	close(folder);
}

/* Both are what a fresh version has: links and pruning are to be finished, the content to be seen after this boot. */
static void put_marks(int from, int dir_fd, const char *dir)
{
	if (renameat(from, PENDING_MARK, dir_fd, PENDING_MARK) || renameat(from, CHECK_MARK, dir_fd, CHECK_MARK))
		cannot("mark", dir, "");
}

static void mark_begun(int dir_fd, const char *dir)
{
	int fd = openat(dir_fd, CHECK_MARK, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 || !to_disk(fd) || !to_disk(dir_fd))
		cannot("mark", dir, "");
	close(fd);
}

/* From data/<hash>-tmp, which it takes away; damaged: NULL, if there is nothing yet. */
static void place_entries(const struct bundle *b, int data_fd, const char *dir, int from, int dir_fd, const bool *damaged)
{
	char temporary[HASH_HEX + sizeof "-tmp"];
	const char *cursor = NULL;
	struct entry e;
	size_t i;

	for (i = 0; bundle_next(b, &cursor, &e); i++) {
		if (damaged && !damaged[i])
			continue;
		put_in_place(from, dir_fd, dir, e.path);
		if (damaged)
			log_line(LOG_WARNING, "Unpacked %s/%s again", dir, e.path);
	}
	put_marks(from, dir_fd, dir);
	extract_end();
	if (!to_disk(dir_fd))
		cannot("write to the disk", dir, "");
	memcpy(temporary, b->hash, HASH_HEX);
	memcpy(temporary + HASH_HEX, "-tmp", sizeof "-tmp");
	remove_tree(data_fd, temporary);
}

static int open_begun(const struct bundle *b, int data_fd, const char *dir)
{
	int dir_fd = openat(data_fd, b->hash, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0)
		cannot("open", dir, "");
	mark_begun(dir_fd, dir);
	return dir_fd;
}

bool repair(const struct bundle *b, int data_fd, const char *data_path)
{
	char dir[PATH_MAX];
	int dir_fd, from;
	bool *damaged;

	join(dir, "%s/%s", data_path, b->hash);
	damaged = find_damage(b, dir);
	if (!damaged)
		return false;
	prune_leftovers(data_fd);
	dir_fd = open_begun(b, data_fd, dir);
	from = extract_begin(b, data_fd, data_path, damaged);
	place_entries(b, data_fd, dir, from, dir_fd, damaged);
	close(dir_fd);
	free(damaged);
	return true;
}

void place_by_files(const struct bundle *b, int data_fd, const char *data_path, int from)
{
	char dir[PATH_MAX];
	int dir_fd;

	join(dir, "%s/%s", data_path, b->hash);
	if (mkdirat(data_fd, b->hash, 0755))
		cannot("make the folder", dir, "");
	dir_fd = open_begun(b, data_fd, dir);
	place_entries(b, data_fd, dir, from, dir_fd, NULL);
	close(dir_fd);
}

static void repair_under_lock(const struct bundle *b, int data_fd, const char *data_path)
{
	repair(b, data_fd, data_path);
}

bool repair_content(struct bundle *b, const char *dir)
{
	bool *damaged;

	bundle_verify(b);
	/* not under the lock: who may not repair it is told what it is */
	damaged = find_damage(b, dir);
	if (!damaged)
		return false;
	free(damaged);
	with_lock(b, dir, repair_under_lock);
	return true;
}

void check_content(struct bundle *b, const char *dir)
{
	char mark[PATH_MAX];

	if (!is_content_due(dir))
		return;
	log_line(LOG_INFO, "Checking every file in %s, once: this is the first boot after the one in which it was unpacked", dir);
	join(mark, "%s/" CHECK_MARK, dir);
	if (!repair_content(b, dir) && unlink(mark) && errno != ENOENT)
		log_line(LOG_WARNING, "cannot remove %s: %s", mark, strerror(errno));
}
