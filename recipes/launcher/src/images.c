/*
 * Embedded container images to <data-dir>/agent/images, where k3s imports what
 * it finds. Usually all are there: one read of our record and a stat of each
 * say so. If not, the folder is locked, and
 *   - what an older version placed and this one does not have is removed,
 *   - each missing image is copied, verified and synced under a name that k3s
 *     passes over, written into the record, and only then renamed.
 * So a kill at any point leaves whole images, each of them known as ours, and
 * perhaps temporaries, which the next start removes. What the record does not
 * describe is the user's and stays; what it names and is gone was removed by the
 * user, and stays away until another version has another archive.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is there ---- */

enum image_state image_look(const struct placing *p, const char *name, const char *sha, struct stat *st)
{
	const struct placed *line;

	if (fstatat(p->dir_fd, name, st, AT_SYMLINK_NOFOLLOW))
		return sha && record_names(&p->record, name, sha) ? REMOVED : ABSENT;
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

static bool is_in_place(const struct placing *p, const struct image *i)
{
	struct stat st;

	switch (image_look(p, i->name, i->sha256, &st)) {
	case PLACED:
		return true;
	case REMOVED:
		log_line(LOG_DEBUG, "%s/%s was removed since k3s placed it, and stays so; without its line in " RECORD
			 " it is placed again", p->path, i->name);
		return true;
	default:
		return false;
	}
}

/* Every image of ours is in its place, there is nothing else of ours, and nothing was interrupted. */
static bool is_settled(const struct placing *p)
{
	const char *cursor = NULL;
	size_t count = 0;
	struct image i;
	struct stat st;

	if (!fstatat(p->dir_fd, IMAGE_TEMPORARY, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	for (; bundle_next_image(p->bundle, &cursor, &i); count++)
		if (!is_in_place(p, &i))
			return false;
	return count && count == p->record.count && !p->record.changed;
}

/* ---- taking away ---- */

/*
 * What an older version placed. By way of the temporary's name: a kill before the
 * line is gone must not look as if the user had removed it, for that version may
 * be started again. On a full disk the line can only be written afterwards. false:
 * it cannot be removed, its lines stay.
 */
static bool remove_ours(struct placing *p, const char *name)
{
	bool written;

	if (renameat(p->dir_fd, name, p->dir_fd, IMAGE_TEMPORARY)) {
		log_line(LOG_WARNING, "cannot remove the old %s/%s: %s", p->path, name, strerror(errno));
		return false;
	}
	record_drop(&p->record, name, NULL);
	written = record_write(&p->record);
	unlinkat(p->dir_fd, IMAGE_TEMPORARY, 0);
	if (!written && !record_write(&p->record))
		log_line(LOG_WARNING, "cannot write %s/" RECORD ": %s", p->path, strerror(errno));
	log_line(LOG_INFO, "Removed %s/%s: this version of k3s does not have it", p->path, name);
	return true;
}

static bool take_away(struct placing *p, const char *name)
{
	struct stat st;
	enum image_state state = image_look(p, name, NULL, &st);

	if (state == OUTDATED)
		return remove_ours(p, name);
	if (state == FOREIGN)
		log_line(LOG_INFO, "Keeping %s/%s: it was changed since k3s placed it", p->path, name);
	record_drop(&p->record, name, NULL);
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
	}
}

/* ---- placing ---- */

static void check_space(const struct placing *p)
{
	struct space need = space_begin(p->dir_fd);
	const char *cursor = NULL, *lacks;
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
	lacks = space_lacks(&need, p->dir_fd, p->path, " for the embedded images", PLACING_WAY_OUT);
	if (lacks)
		placing_refused(p, EXIT_DISK_FULL, lacks);
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
	if (!to_disk(p->dir_fd))
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

static struct placing *undone;

/* What is there if the record cannot be written has to stay: it is what tells that nobody removed an archive. */
static void remove_temporaries(void)
{
	if (record_forget_interrupted(&undone->record, IMAGE_TEMPORARY))
		unlinkat(undone->dir_fd, IMAGE_TEMPORARY, 0);
	unlinkat(undone->dir_fd, RECORD_NEW, 0);
}

static void place_locked(struct placing *p, const char *data_dir)
{
	if (p->dir_fd < 0)
		p->dir_fd = make_folders(p, data_dir);
	wait_for_lock(p->dir_fd, p->path);
	record_read(&p->record, p->dir_fd);
	if (is_settled(p))
		return;
	undone = p;
	on_fail(remove_temporaries);
	remove_temporaries();
	remove_old(p);
	check_space(p);
	place_all(p);
	finish(p);
}

/* Without its images a node starts only if there is a chance that it needs none of them. */
static void place_or_give_up(struct placing *p, const char *data_dir)
{
	mode_t umask_before = umask(0);
	jmp_buf give_up;

	if (!setjmp(give_up)) {
		p->give_up = &give_up;
		place_locked(p, data_dir);
	} else {
		p->give_up = NULL;
		if (undone)
			remove_temporaries();
	}
	on_fail(NULL);
	umask(umask_before);
}

/* Has containerd ever kept anything here? */
static bool may_have_images(const char *data_dir)
{
	char path[PATH_MAX];
	struct stat st;

	join(path, "%s/agent/containerd/io.containerd.metadata.v1.bolt/meta.db", data_dir[1] ? data_dir : "");
	return !stat(path, &st) && st.st_size;
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
	placing = (struct placing){ .bundle = b, .path = path, .may_do_without = may_have_images(data_dir) };
	p->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd >= 0)
		record_read(&p->record, p->dir_fd);
	if ((has_images(b) || p->record.exists) && !is_settled(p) && !is_skipped())
		place_or_give_up(p, data_dir);
	if (p->dir_fd >= 0)
		close(p->dir_fd);
}
