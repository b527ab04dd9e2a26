/*
 * Embedded container images to <data-dir>/agent/images, where k3s imports what
 * it finds. Usually all are there: one read of our record and a stat of each
 * say so. If not, the folder is locked, and
 *   - what an older version placed and this one does not have is removed,
 *   - each missing image is copied, verified and synced under a name that k3s
 *     passes over, written into the record, and only then renamed.
 * So a kill at any point leaves whole images, each of them known as ours, and
 * perhaps temporaries, which the next start removes. What the record does not
 * describe is the user's and stays.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is there ---- */

enum image_state image_look(const struct placing *p, const char *name, const char *sha, struct stat *st)
{
	const struct placed *line;

	if (fstatat(p->dir_fd, name, st, AT_SYMLINK_NOFOLLOW))
		return ABSENT;
	line = record_match(&p->record, name, st);
	if (!line)
		return FOREIGN;
	return sha && !strcmp(line->sha256, sha) ? PLACED : OUTDATED;
}

static bool has_image(const struct placing *p, const char *name)
{
	const char *cursor = NULL;
	struct image i;

	while (bundle_next_image(p->bundle, &cursor, &i))
		if (!strcmp(i.name, name))
			return true;
	return false;
}

/* Every image of ours is in its place, and there is nothing else of ours. */
static bool is_settled(const struct placing *p)
{
	const char *cursor = NULL;
	size_t count = 0;
	struct image i;
	struct stat st;

	for (; bundle_next_image(p->bundle, &cursor, &i); count++)
		if (image_look(p, i.name, i.sha256, &st) != PLACED)
			return false;
	return count && count == p->record.count && !p->record.changed;
}

/* ---- taking away ---- */

/* What an older version placed. The lines of a file that cannot be removed stay. */
static bool take_away(const struct placing *p, const char *name)
{
	struct stat st;

	switch (image_look(p, name, NULL, &st)) {
	case ABSENT:
		return true;
	case FOREIGN:
		log_line(LOG_INFO, "Keeping %s/%s: it was changed since k3s placed it", p->path, name);
		return true;
	default:
		break;
	}
	if (unlinkat(p->dir_fd, name, 0)) {
		log_line(LOG_WARNING, "cannot remove the old %s/%s: %s", p->path, name, strerror(errno));
		return false;
	}
	log_line(LOG_INFO, "Removed %s/%s: this version of k3s does not have it", p->path, name);
	return true;
}

static void remove_old(struct placing *p)
{
	char name[IMAGE_NAME_MAX + 1];
	size_t i = 0;

	while (i < p->record.count) {
		memcpy(name, p->record.placed[i].name, sizeof name);
		if (has_image(p, name) || !take_away(p, name))
			i++;
		else
			record_drop(&p->record, name, NULL);
	}
}

/* ---- placing ---- */

static void check_space(const struct placing *p)
{
	struct space need = space_begin(p->dir_fd);
	const char *cursor = NULL;
	enum image_state state;
	struct image i;
	struct stat st;

	while (bundle_next_image(p->bundle, &cursor, &i)) {
		state = image_look(p, i.name, i.sha256, &st);
		if (state == ABSENT || state == OUTDATED)
			space_add(&need, i.size);
	}
	if (!need.files)
		return;
	need.bytes += 8 * need.unit;	/* the record, twice, and the folder */
	need.files += 2;
	space_check(&need, p->dir_fd, p->path, " for the embedded images", PLACING_WAY_OUT);
}

static void place_all(struct placing *p)
{
	const char *cursor = NULL;
	struct image i;

	while (bundle_next_image(p->bundle, &cursor, &i))
		image_place(p, &i);
}

static void finish(struct placing *p)
{
	if (!p->record.count) {
		if (unlinkat(p->dir_fd, RECORD, 0) && errno != ENOENT)
			log_line(LOG_WARNING, "cannot remove %s/%s: %s", p->path, RECORD, strerror(errno));
	} else if (p->record.changed && !record_write(&p->record)) {
		placing_failed(p, "write", RECORD);
	}
	if (fsync(p->dir_fd))
		log_line(LOG_WARNING, "cannot write %s to the disk: %s", p->path, strerror(errno));
}

/* ---- the folder ---- */

static int make_folder(const struct placing *p, int parent, const char *name, mode_t mode)
{
	int fd;

	if (mkdirat(parent, name, mode) && errno != EEXIST)
		placing_failed(p, "make the folder", "");
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		placing_failed(p, "open the folder", "");
	return fd;
}

/* With the modes that k3s and its documentation give them. */
static int make_folders(const struct placing *p, const char *data_dir)
{
	char path[PATH_MAX];
	int data, agent, images;

	join(path, "%s", data_dir);
	data = open_data(path);
	agent = make_folder(p, data, "agent", 0700);
	images = make_folder(p, agent, "images", 0755);
	close(agent);
	close(data);
	return images;
}

static int undo_fd;

static void remove_temporaries(void)
{
	unlinkat(undo_fd, IMAGE_TEMPORARY, 0);
	unlinkat(undo_fd, RECORD_NEW, 0);
}

static void place_locked(struct placing *p, const char *data_dir)
{
	mode_t umask_before = umask(0);

	if (p->dir_fd < 0)
		p->dir_fd = make_folders(p, data_dir);
	wait_for_lock(p->dir_fd, p->path);
	record_read(&p->record, p->dir_fd);
	if (!is_settled(p)) {
		undo_fd = p->dir_fd;
		on_fail(remove_temporaries);
		remove_temporaries();
		remove_old(p);
		check_space(p);
		place_all(p);
		finish(p);
		on_fail(NULL);
	}
	umask(umask_before);
}

static bool is_skipped(void)
{
	const char *given = from_environment(PLACING_SWITCH);

	if (given && strcmp(given, "skip"))
		log_line(LOG_WARNING, PLACING_SWITCH " is '%s', but only 'skip' means something", given);
	return given && !strcmp(given, "skip");
}

static bool has_images(const struct bundle *b)
{
	const char *cursor = NULL;
	struct image i;

	return b->has_extras && bundle_next_image(b, &cursor, &i);
}

void images_place(struct bundle *b, const char *data_dir)
{
	static struct placing placing;
	struct placing *p = &placing;
	char path[PATH_MAX], record[PATH_MAX];
	struct stat st;

	join(path, "%s/agent/images", data_dir[1] ? data_dir : "");
	join(record, "%s/" RECORD, path);
	if (!b->has_extras && lstat(record, &st))
		return;
	/* the head only hints that there are none: verified before anything is removed */
	bundle_load(b);
	placing = (struct placing){ .bundle = b, .path = path };
	p->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd >= 0)
		record_read(&p->record, p->dir_fd);
	if ((has_images(b) || p->record.exists) && !is_settled(p) && !is_skipped())
		place_locked(p, data_dir);
	if (p->dir_fd >= 0)
		close(p->dir_fd);
}
