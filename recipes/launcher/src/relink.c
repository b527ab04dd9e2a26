/*
 * Links of a data directory that was moved or copied to another place, or that
 * somebody removed. They hold absolute names: data/current and data/previous are
 * for people and scripts, with those in data/cni containerd finds its plugins.
 * A link is judged by where it leads, not by its text: a data directory may have
 * two names. If all are right, which some thirty stats tell, no lock is taken.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	int data_fd;
	const char *data_path;	/* of data/ */
	const char *hash;
};

static bool is_same(int a_fd, const char *a, int b_fd, const char *b)
{
	struct stat x, y;

	return !fstatat(a_fd, a, &x, 0) && !fstatat(b_fd, b, &y, 0) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static bool is_absent(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
}

/* The version that a link names; NULL: it is none of ours. */
static const char *version_of(int dir_fd, const char *name, char target[PATH_MAX])
{
	const char *hash;

	if (!read_link(dir_fd, name, target))
		return NULL;
	hash = base_name(target);
	return is_hash(hash, strlen(hash)) ? hash : NULL;
}

/* data/current or data/previous leads to another place than the folder beside it. */
static bool leads_away(const struct place *p, const char *name, const char **hash, char target[PATH_MAX])
{
	*hash = version_of(p->data_fd, name, target);
	return *hash && !is_same(p->data_fd, name, p->data_fd, *hash);
}

static bool is_current_wrong(const struct place *p)
{
	char target[PATH_MAX];
	const char *hash;

	return is_absent(p->data_fd, "current") || leads_away(p, "current", &hash, target);
}

static bool is_previous_wrong(const struct place *p)
{
	char target[PATH_MAX];
	const char *hash;

	return leads_away(p, "previous", &hash, target);
}

/* A plugin: absent, or a link of ours that leads to no version here. */
static bool is_plugin_wrong(const struct place *p, int cni_fd, const char *name)
{
	char target[PATH_MAX];

	if (is_absent(cni_fd, name))
		return true;
	if (!read_link(cni_fd, name, target) || !links_to_cni(target))
		return false;
	return !is_same(cni_fd, name, p->data_fd, target + strlen(target) - sizeof "/bin/cni" + 1 - HASH_HEX);
}

static bool are_plugins_wrong(const struct place *p)
{
	int cni_fd = openat(p->data_fd, "cni", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char bin[HASH_HEX + sizeof "/bin"], target[PATH_MAX];
	struct dirent *entry;
	bool wrong = cni_fd < 0;
	int bin_fd;
	DIR *dir;

	memcpy(bin, p->hash, HASH_HEX);
	memcpy(bin + HASH_HEX, "/bin", sizeof "/bin");
	bin_fd = openat(p->data_fd, bin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = bin_fd < 0 ? NULL : fdopendir(bin_fd);
	while (!wrong && dir && (entry = readdir(dir)))
		wrong = (read_link(dirfd(dir), entry->d_name, target) ? !strcmp(target, "cni") : !strcmp(entry->d_name, "cni")) &&
			is_plugin_wrong(p, cni_fd, entry->d_name);
	if (dir)
		closedir(dir);
	if (cni_fd >= 0)
		close(cni_fd);
	return wrong;
}

static void point_to(const struct place *p, const char *name, const char *hash)
{
	char target[PATH_MAX];

	join(target, "%s/%s", p->data_path, hash);
	if (!link_replace(p->data_fd, name, target))
		log_line(LOG_WARNING, "cannot make the link %s/%s: %s", p->data_path, name, strerror(errno));
}

/* To the version of the same name that is here; without one there is nothing to lead to. */
static void correct_previous(const struct place *p)
{
	char target[PATH_MAX];
	const char *hash;

	if (!leads_away(p, "previous", &hash, target))
		return;
	if (!is_absent(p->data_fd, hash))
		point_to(p, "previous", hash);
	else
		unlinkat(p->data_fd, "previous", 0);
}

static void correct(struct bundle *b, const struct place *p)
{
	mode_t umask_before = umask(0);
	int lock = take_lock(p->data_fd, p->data_path);

	if (is_current_wrong(p))
		point_to(p, "current", p->hash);
	correct_previous(p);
	if (are_plugins_wrong(p)) {
		bundle_verify(b);
		links_update_cni(b, p->data_fd, p->data_path);
	}
	fsync(p->data_fd);
	close(lock);
	umask(umask_before);
	log_line(LOG_INFO, "Made the links in %s again: some were missing or led to another place", p->data_path);
}

void relink(struct bundle *b, const char *dir)
{
	char data_path[PATH_MAX];
	struct place p = { -1, data_path, b->hash };

	join(data_path, "%.*s", (int)(strlen(dir) - HASH_HEX - 1), dir);
	p.data_fd = open(data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.data_fd < 0)
		return;
	if ((is_current_wrong(&p) || is_previous_wrong(&p) || are_plugins_wrong(&p)) && !access(data_path, W_OK))
		correct(b, &p);
	close(p.data_fd);
}
