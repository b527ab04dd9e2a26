/*
 * The links that others rely on: data/current and data/previous for people and
 * scripts, data/cni for containerd, which looks for its plugins there whatever
 * the version. Each is replaced by a rename, so it never is absent.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_LINK ".k3s-link-tmp"

bool read_link(int dir_fd, const char *name, char out[PATH_MAX])
{
	ssize_t size = readlinkat(dir_fd, name, out, PATH_MAX - 1);

	out[size < 0 ? 0 : size] = 0;
	return size >= 0;
}

bool link_replace(int dir_fd, const char *name, const char *target)
{
	unlinkat(dir_fd, NEW_LINK, 0);
	return !symlinkat(target, dir_fd, NEW_LINK) && !renameat(dir_fd, NEW_LINK, dir_fd, name);
}

static void point(int dir_fd, const char *folder, const char *name, const char *target)
{
	struct trouble t;
	int error;

	log_line(LOG_DEBUG, "Creating symlink %s/%s -> %s", folder, name, target);
	if (link_replace(dir_fd, name, target))
		return;
	error = errno;
	t = trouble_of(error);
	fail(t.code, "cannot make the link %s/%s: %s\n"
	     "  cause: %s\n"
	     "  do: %s, then start again", folder, name, strerror(error), t.cause, t.cure);
}

/*
 * Ours are the links to data/<hash>/bin/cni, wherever the data directory was
 * when they were made. Everything else is the user's.
 */
bool links_to_cni(const char *target)
{
	size_t size = strlen(target), tail = sizeof "/bin/cni" - 1;

	return size > tail + HASH_HEX && !strcmp(target + size - tail, "/bin/cni") &&
	       is_hash(target + size - tail - HASH_HEX, HASH_HEX);
}

static bool may_replace(int cni_fd, const char *name)
{
	char target[PATH_MAX];
	struct stat st;

	if (fstatat(cni_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return true;
	return S_ISLNK(st.st_mode) && read_link(cni_fd, name, target) && links_to_cni(target);
}

static _Noreturn void no_cni(const char *what, const char *folder)
{
	int error = errno;
	struct trouble t = trouble_of(error);

	fail(t.code, "cannot %s the folder %s: %s\n"
	     "  cause: %s\n"
	     "  do: %s, then start again", what, folder, strerror(error), t.cause, t.cure);
}

static int open_cni(int data_fd, const char *folder)
{
	int fd;

	if (mkdirat(data_fd, "cni", 0755) && errno != EEXIST)
		no_cni("make", folder);
	fd = openat(data_fd, "cni", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		no_cni("open", folder);
	return fd;
}

void links_update_cni(const struct bundle *b, int data_fd, const char *data_path)
{
	char folder[PATH_MAX], binary[PATH_MAX];
	const char *cursor = NULL, *name;
	struct entry e;
	int fd;

	join(folder, "%s/cni", data_path);
	join(binary, "%s/%s/bin/cni", data_path, b->hash);
	fd = open_cni(data_fd, folder);
	point(fd, folder, "cni", binary);
	while (bundle_next(b, &cursor, &e)) {
		name = e.path + 4;
		if (!e.link || strcmp(e.link, "cni") || strncmp(e.path, "bin/", 4) || strchr(name, '/'))
			continue;
		if (may_replace(fd, name))
			point(fd, folder, name, binary);
		else
			log_line(LOG_INFO, "Keeping your own CNI plugin %s/%s", folder, name);
	}
	fsync(fd);
	close(fd);
}

/* An interrupted run may have been here before: never rotate a version onto itself. */
static void rotate(const struct bundle *b, int data_fd, const char *data_path)
{
	char dir[PATH_MAX], current[PATH_MAX];
	struct stat st;

	join(dir, "%s/%s", data_path, b->hash);
	if (read_link(data_fd, "current", current)) {
		if (!strcmp(current, dir))
			return;
		point(data_fd, data_path, "previous", current);
	} else if (!fstatat(data_fd, "current", &st, AT_SYMLINK_NOFOLLOW)) {
		log_line(LOG_WARNING, "%s/current is no link: leaving it alone", data_path);
		return;
	}
	point(data_fd, data_path, "current", dir);
}

void links_update(const struct bundle *b, int data_fd, const char *data_path)
{
	links_update_cni(b, data_fd, data_path);
	rotate(b, data_fd, data_path);
	fsync(data_fd);
}
