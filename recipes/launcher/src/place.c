/*
 * One embedded image into agent/images: a verified copy under a name that k3s
 * passes over, synced and written into the record before it gets its own.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMPORT_CACHE ".cache.json"

void placing_refused(const struct placing *p, enum exit_code code, const char *why)
{
	char line[2 * PATH_MAX];
	size_t used = 0;

	if (!p->may_do_without || !p->give_up)
		fail(code, "%s", why);
	/* one line of the log */
	for (; *why && used < sizeof line - 3; why++) {
		if (*why != '\n') {
			line[used++] = *why;
			continue;
		}
		line[used++] = ';';
		while (why[1] == ' ' && why[2] == ' ')
			why++;
	}
	line[used] = 0;
	log_line(LOG_WARNING, "The embedded images are not placed, k3s starts without: %s; containerd may have them from before, "
		 "otherwise they are pulled", line);
	longjmp(*p->give_up, 1);
}

void placing_failed(const struct placing *p, const char *what, const char *name)
{
	int error = errno;
	struct trouble t = trouble_of(error);
	char why[2 * PATH_MAX];

	snprintf(why, sizeof why, "cannot %s %s%s%s: %s\n"
		 "  cause: %s\n"
		 "  do: %s, or " PLACING_WAY_OUT, what, p->path, *name ? "/" : "", name, strerror(error), t.cause, t.cure);
	placing_refused(p, t.code, why);
}

/* false: it was not to be had from the executable, which is told. */
static bool copy(const struct placing *p, const struct image *i, int fd)
{
	switch (image_copy(p->bundle, i, fd)) {
	case COPIED:
		return true;
	case UNWRITABLE:
		placing_failed(p, "write", IMAGE_TEMPORARY);
	case UNREADABLE:
		log_line(LOG_ERROR, "cannot read the embedded image %s from %s: %s: it is not placed",
			 i->name, p->bundle->path, strerror(errno));
		return false;
	case DAMAGED:
		break;
	}
	log_line(LOG_ERROR, "the embedded image %s in %s is damaged (its sha256 differs): it is not placed; "
		 "download the executable again", i->name, p->bundle->path);
	return false;
}

/*
 * A time later than that of any former file of this name: two lines of the
 * record then never describe the same file, whatever the clock says (a board
 * without one starts in 1970), and k3s sees that the file is newer.
 */
static void date(const struct placing *p, int fd, const struct image *i, struct placed *line)
{
	int64_t newest = record_newest(&p->record, i->name);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	struct stat st;

	if (!fstat(fd, &st) && st.st_mtim.tv_sec <= newest) {
		times[1].tv_sec = (time_t)(newest + 1);
		if (futimens(fd, times))
			placing_failed(p, "set the time of", IMAGE_TEMPORARY);
	}
	if (!to_disk(fd) || fstat(fd, &st))
		placing_failed(p, "write", IMAGE_TEMPORARY);
	line->size = i->size;
	line->mtime = st.st_mtim.tv_sec;
	memcpy(line->sha256, i->sha256, sizeof line->sha256);
	memcpy(line->name, i->name, strlen(i->name) + 1);
}

/*
 * k3s imports again what has another size and a later time than its own cache
 * says; the cache is only there if the user made the file. An empty one is
 * good, and after it an archive of the same size is imported, too.
 */
static void forget_import(const struct placing *p)
{
	int fd = openat(p->dir_fd, IMPORT_CACHE, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

/* A verified copy in IMAGE_TEMPORARY, and what to write about it; false: the image is damaged. */
static bool prepare(const struct placing *p, const struct image *i, struct placed *line)
{
	int fd = openat(p->dir_fd, IMAGE_TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	bool good;

	if (fd < 0)
		placing_failed(p, "create", IMAGE_TEMPORARY);
	good = copy(p, i, fd);
	if (good)
		date(p, fd, i, line);
	if (close(fd) && good)
		placing_failed(p, "write", IMAGE_TEMPORARY);
	if (!good)
		unlinkat(p->dir_fd, IMAGE_TEMPORARY, 0);
	return good;
}

static void keep_foreign(struct placing *p, const char *name)
{
	log_line(LOG_WARNING, "Keeping your own %s/%s: the embedded image of that name is not placed", p->path, name);
	record_drop(&p->record, name, NULL);
}

/* IMAGE_TEMPORARY becomes the image, unless the user put a file there while it was copied. */
static void settle(struct placing *p, const struct image *i, const struct placed *line)
{
	struct stat st;

	if (image_look(p, i->name, NULL, &st) == FOREIGN) {
		unlinkat(p->dir_fd, IMAGE_TEMPORARY, 0);
		keep_foreign(p, i->name);
		return;
	}
	/* both lines are there until the rename is done: either file is ours */
	record_add(&p->record, line);
	if (!record_write(&p->record))
		placing_failed(p, "write", RECORD);
	forget_import(p);
	if (renameat(p->dir_fd, IMAGE_TEMPORARY, p->dir_fd, i->name) || fstatat(p->dir_fd, i->name, &st, AT_SYMLINK_NOFOLLOW))
		placing_failed(p, "make", i->name);
	record_drop(&p->record, i->name, &st);
	/* before the next one: whether its user removed it is told by what is there after a power loss, too */
	if (!to_disk(p->dir_fd))
		placing_failed(p, "write", i->name);
}

void image_place(struct placing *p, const struct image *i)
{
	struct placed line = { .size = 0 };
	struct stat st;

	switch (image_look(p, i->name, i->sha256, &st)) {
	case REMOVED:
		return;
	case PLACED:
		record_drop(&p->record, i->name, &st);
		return;
	case FOREIGN:
		keep_foreign(p, i->name);
		return;
	case OUTDATED:
		record_drop(&p->record, i->name, &st);
		break;
	case ABSENT:
		record_drop(&p->record, i->name, NULL);
		break;
	}
	/* it tells a version without images that it has to clean up here */
	if (!p->record.exists && !record_create(&p->record))
		placing_failed(p, "create", RECORD);
	log_line(LOG_INFO, "Placing the embedded image %s/%s", p->path, i->name);
	if (prepare(p, i, &line))
		settle(p, i, &line);
}
