/*
 * What of agent/images is ours: a file beside the images with a line for each
 * archive that a launcher placed, as the archive was then. A file that no line
 * describes is the user's. k3s imports by a name's ending, so it passes the
 * record over. A line that makes no sense is passed over as well: the worst
 * that follows is that a file counts as the user's.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 256, TEXT_SIZE = RECORD_MAX * LINE_SIZE };

/* "image <size> <mtime> <sha256> <name>" */
static bool parse(char *line, struct placed *p)
{
	char *word[5], *size_end, *mtime_end;

	if (split_words(line, word, 5) != 5 || strcmp(word[0], "image") || !is_image_name(word[4]) ||
	    !is_hash(word[3], strlen(word[3])))
		return false;
	errno = 0;
	p->size = strtoull(word[1], &size_end, 10);
	p->mtime = strtoll(word[2], &mtime_end, 10);
	memcpy(p->sha256, word[3], sizeof p->sha256);
	snprintf(p->name, sizeof p->name, "%s", word[4]);
	return !errno && !*size_end && !*mtime_end;
}

static ssize_t read_text(int dir_fd, char *text, size_t size, bool *exists)
{
	int fd = openat(dir_fd, RECORD, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size);

	*exists = fd >= 0 || errno != ENOENT;
	if (got < 0 && *exists)
		log_line(LOG_WARNING, "cannot read %s: %s", RECORD, strerror(errno));
	if (fd >= 0)
		close(fd);
	return got;
}

void record_read(struct record *r, int dir_fd)
{
	static char text[TEXT_SIZE];
	char *line = text, *last, *end;
	ssize_t size;

	*r = (struct record){ .dir_fd = dir_fd };
	size = read_text(dir_fd, text, sizeof text, &r->exists);
	last = text + (size < 0 ? 0 : size);
	for (; (end = memchr(line, '\n', (size_t)(last - line))); line = end + 1) {
		*end = 0;
		if (r->count < RECORD_MAX && parse(line, &r->placed[r->count]))
			r->count++;
		else
			r->changed = true;
	}
	r->changed = r->changed || line < last;
}

static bool describes(const struct placed *p, const char *name, const struct stat *st)
{
	return !strcmp(p->name, name) && S_ISREG(st->st_mode) && (uint64_t)st->st_size == p->size &&
	       st->st_mtim.tv_sec == p->mtime;
}

const struct placed *record_match(const struct record *r, const char *name, const struct stat *st)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (describes(&r->placed[i], name, st))
			return &r->placed[i];
	return NULL;
}

bool record_names(const struct record *r, const char *name, const char *sha256)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (!strcmp(r->placed[i].name, name) && !strcmp(r->placed[i].sha256, sha256))
			return true;
	return false;
}

void record_add(struct record *r, const struct placed *p)
{
	if (r->count == RECORD_MAX)
		fail(EXIT_SYSTEM, "%s has more than %d lines\n  do: remove it, then start again", RECORD, RECORD_MAX);
	r->placed[r->count++] = *p;
	r->changed = true;
}

void record_drop(struct record *r, const char *name, const struct stat *keep)
{
	size_t from, to = 0;

	for (from = 0; from < r->count; from++)
		if (strcmp(r->placed[from].name, name) || (keep && describes(&r->placed[from], name, keep)))
			r->placed[to++] = r->placed[from];
	r->changed = r->changed || to < r->count;
	r->count = to;
}

int64_t record_newest(const struct record *r, const char *name)
{
	int64_t newest = INT64_MIN;
	size_t i;

	for (i = 0; i < r->count; i++)
		if (!strcmp(r->placed[i].name, name) && r->placed[i].mtime > newest)
			newest = r->placed[i].mtime;
	return newest;
}

bool record_create(struct record *r)
{
	int fd = openat(r->dir_fd, RECORD, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 || close(fd))
		return false;
	fsync(r->dir_fd);
	r->exists = true;
	return true;
}

static bool write_lines(const struct record *r, int fd)
{
	const struct placed *p;

	for (p = r->placed; p < r->placed + r->count; p++)
		if (dprintf(fd, "image %" PRIu64 " %" PRId64 " %s %s\n", p->size, p->mtime, p->sha256, p->name) < 0)
			return false;
	return to_disk(fd);
}

/* On the disk when it returns; errno tells why not. */
bool record_write(struct record *r)
{
	int fd = openat(r->dir_fd, RECORD_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	bool written = fd >= 0 && write_lines(r, fd);

	if (fd >= 0 && close(fd))
		written = false;
	if (!written || renameat(r->dir_fd, RECORD_NEW, r->dir_fd, RECORD))
		return false;
	fsync(r->dir_fd);
	r->exists = true;
	r->changed = false;
	return true;
}

bool record_forget_interrupted(struct record *r, const char *temporary)
{
	char name[IMAGE_NAME_MAX + 1];
	struct stat is, st;
	size_t i;

	if (fstatat(r->dir_fd, temporary, &is, AT_SYMLINK_NOFOLLOW))
		return true;
	for (i = 0; i < r->count; i++) {
		if (!describes(&r->placed[i], r->placed[i].name, &is) ||
		    !fstatat(r->dir_fd, r->placed[i].name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		memcpy(name, r->placed[i].name, sizeof name);
		record_drop(r, name, NULL);
		return record_write(r);
	}
	return true;
}
