/*
 * Is what is unpacked still what was packed? At each start by kind and size
 * alone, which reads no file; by every byte only where there is a reason, for an
 * SD card needs a minute for all of them:
 *   - kind or size differ, or the program could not be executed (repair.c);
 *   - the boot in which the version was unpacked is over. A card that loses power
 *     may lose what it said it has, and it is the youngest that it loses. Once
 *     seen whole in a later boot, the version is not read again.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 128 << 10 };

static bool read_small(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);

	out[got < 0 ? 0 : got] = 0;
	out[strcspn(out, "\n")] = 0;
	if (fd >= 0)
		close(fd);
	return got >= 0;
}

void boot_id(char out[BOOT_ID_SIZE])
{
	read_small("/proc/sys/kernel/random/boot_id", out, BOOT_ID_SIZE);
}

bool is_content_due(const char *dir)
{
	char path[PATH_MAX], marked[BOOT_ID_SIZE], now[BOOT_ID_SIZE];

	join(path, "%s/" CHECK_MARK, dir);
	if (!read_small(path, marked, sizeof marked))
		return false;
	boot_id(now);
	/* where the mark cannot be removed, each start would read everything */
	return *now && strcmp(marked, now) && !access(dir, W_OK);
}

/* ---- by kind and size ---- */

static bool has_kind_and_size(int dir_fd, const struct entry *e, struct stat *st)
{
	if (fstatat(dir_fd, e->path, st, AT_SYMLINK_NOFOLLOW))
		return false;
	/* some file systems say 0 for a link */
	if (e->link)
		return S_ISLNK(st->st_mode) && (!st->st_size || (uint64_t)st->st_size == strlen(e->link));
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size;
}

bool is_whole(const struct bundle *b, const char *dir)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *cursor = NULL;
	bool whole = fd >= 0;
	struct entry e;
	struct stat st;

	while (whole && bundle_next(b, &cursor, &e))
		whole = has_kind_and_size(fd, &e, &st);
	if (fd >= 0)
		close(fd);
	return whole;
}

/* ---- by content ---- */

static bool has_sum(int fd, const char *sha256)
{
	static uint8_t chunk[CHUNK];
	uint8_t digest[32];
	struct sha256 sum;
	ssize_t got;

	sha256_begin(&sum);
	for (;;) {
		got = read(fd, chunk, sizeof chunk);
		if (!got)
			break;
		if (got < 0 && errno != EINTR)
			return false;
		if (got > 0)
			sha256_add(&sum, chunk, (size_t)got);
	}
	sha256_end(&sum, digest);
	return sha256_is(digest, sha256);
}

static bool has_content(int dir_fd, const struct entry *e)
{
	char target[PATH_MAX];
	bool same;
	ssize_t size;
	int fd;

	if (e->link) {
		size = readlinkat(dir_fd, e->path, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = 0;
		return !strcmp(target, e->link);
	}
	fd = openat(dir_fd, e->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	/* what this user may not read may be as it was */
	if (fd < 0)
		return errno == EACCES || errno == EPERM;
	same = has_sum(fd, e->sha256);
	close(fd);
	return same;
}

static void name_damage(const char *dir, const struct entry *e, bool is_there, const struct stat *st)
{
	int error = errno;

	if (!is_there)
		log_line(LOG_WARNING, "%s/%s is damaged: it is not there", dir, e->path);
	else if (e->link || !S_ISREG(st->st_mode))
		log_line(LOG_WARNING, "%s/%s is damaged: it is another thing than was unpacked", dir, e->path);
	else if ((uint64_t)st->st_size != e->size)
		log_line(LOG_WARNING, "%s/%s is damaged: it has %llu bytes instead of %llu", dir, e->path,
			 (unsigned long long)st->st_size, (unsigned long long)e->size);
	else
		log_line(LOG_WARNING, "%s/%s is damaged: its content is not what was unpacked%s%s", dir, e->path,
			 error ? ", or cannot be read: " : "", error ? strerror(error) : "");
}

static bool is_damaged(const char *dir, int dir_fd, const struct entry *e)
{
	struct stat st = { .st_size = 0 };
	bool is_there = !fstatat(dir_fd, e->path, &st, AT_SYMLINK_NOFOLLOW);

	errno = 0;
	if (is_there && has_kind_and_size(dir_fd, e, &st) && has_content(dir_fd, e))
		return false;
	name_damage(dir, e, is_there, &st);
	return true;
}

static size_t count_entries(const struct bundle *b)
{
	const char *cursor = NULL;
	size_t count = 0;
	struct entry e;

	while (bundle_next(b, &cursor, &e))
		count++;
	return count;
}

bool *find_damage(const struct bundle *b, const char *dir)
{
	bool *damaged = calloc(count_entries(b) + 1, sizeof *damaged), any = false;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *cursor = NULL;
	struct entry e;
	size_t i;

	if (!damaged)
		fail(EXIT_SYSTEM, "no memory to check %s\n  do: stop other programs, or add swap", dir);
	for (i = 0; bundle_next(b, &cursor, &e); i++) {
		damaged[i] = is_damaged(dir, fd, &e);
		any = any || damaged[i];
	}
	if (fd >= 0)
		close(fd);
	if (!any)
		free(damaged);
	return any ? damaged : NULL;
}
