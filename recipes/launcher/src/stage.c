/*
 * Is the payload unpacked? Usually: one stat says so. If not, exactly one
 * process unpacks it while the others wait for the lock.
 *
 * data/<hash> appears by one rename, after everything in it is on the disk.
 * It then still carries PENDING_MARK, until data/cni, current and previous
 * point to it and old versions are gone; whoever finds the mark finishes that.
 * So a kill or a power cut at any point leaves either nothing of a version or
 * a whole one.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *format, const char *dir)
{
	char path[PATH_MAX];
	struct stat st;

	join(path, format, dir);
	return !lstat(path, &st);
}

static bool is_unpacked(const char *dir)
{
	return exists("%s/bin/k3s", dir);
}

static bool is_complete(const char *dir)
{
	return is_unpacked(dir) && !exists("%s/" PENDING_MARK, dir);
}

static bool is_good(struct bundle *b, const char *dir)
{
	if (!is_complete(dir))
		return false;
	bundle_peek(b);
	return is_whole(b, dir);
}

void no_data_dir(const char *path)
{
	int error = errno;
	struct trouble t = trouble_of(error);

	fail(t.code, "cannot make or open the data directory %s: %s\n"
	     "  cause: %s\n"
	     "  do: %s; or give a writable one with --data-dir or K3S_DATA_DIR%s", path, strerror(error), t.cause, t.cure,
	     geteuid() ? ", or run as root" : "");
}

/* mkdir -p; the umask is 0 here, so each new one is 0755 as it must be. */
int open_data(char *path)
{
	char *slash;
	int fd;

	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) && errno != EEXIST && errno != EROFS && errno != EACCES)
			no_data_dir(path);
		*slash = '/';
	}
	if (mkdir(path, 0755) && errno != EEXIST)
		no_data_dir(path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		no_data_dir(path);
	return fd;
}

static _Noreturn void cannot_lock(const char *path)
{
	int error = errno;
	struct trouble t = trouble_of(error);

	fail(EXIT_SYSTEM, "cannot lock %s: %s\n"
	     "  cause: %s\n"
	     "  do: %s, or give a --data-dir on a local disk", path, strerror(error), t.cause, t.cure);
}

void wait_for_lock(int fd, const char *path)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return;
	if (errno == EWOULDBLOCK)
		log_line(LOG_INFO, "Another k3s holds it, waiting");
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			cannot_lock(path);
}

int take_lock(int data_fd, const char *data_path)
{
	int fd = openat(data_fd, ".lock", O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		no_data_dir(data_path);
	log_line(LOG_INFO, "Acquiring lock file %s/.lock", data_path);
	wait_for_lock(fd, data_path);
	return fd;
}

static void unpack(const struct bundle *b, int data_fd, const char *data_path)
{
	char dir[PATH_MAX];

	join(dir, "%s/%s", data_path, b->hash);
	log_line(LOG_INFO, "Preparing data dir %s", dir);
	prune_leftovers(data_fd);
	if (!exists("%s", dir))
		extract(b, data_fd, data_path);
	else
		repair(b, data_fd, data_path);
}

static void finish(const struct bundle *b, int data_fd, const char *data_path)
{
	char mark[HASH_HEX + sizeof "/" PENDING_MARK];

	links_update(b, data_fd, data_path);
	prune_versions(b, data_fd);
	prune_leftovers(data_fd);
	memcpy(mark, b->hash, HASH_HEX);
	memcpy(mark + HASH_HEX, "/" PENDING_MARK, sizeof "/" PENDING_MARK);
	if (unlinkat(data_fd, mark, 0) && errno != ENOENT)
		log_line(LOG_WARNING, "cannot remove %s/%s: %s", data_path, mark, strerror(errno));
}

void with_lock(const struct bundle *b, const char *dir, void (*act)(const struct bundle *, int, const char *))
{
	mode_t umask_before = umask(0);
	char data_path[PATH_MAX];
	int data_fd, lock;

	join(data_path, "%.*s", (int)(strlen(dir) - HASH_HEX - 1), dir);
	data_fd = open_data(data_path);
	lock = take_lock(data_fd, data_path);
	act(b, data_fd, data_path);
	if (!is_complete(dir))
		finish(b, data_fd, data_path);
	close(lock);
	close(data_fd);
	umask(umask_before);
}

/* Another one may have done it while we waited. */
static void complete(const struct bundle *b, int data_fd, const char *data_path)
{
	char dir[PATH_MAX];

	join(dir, "%s/%s", data_path, b->hash);
	if (!is_unpacked(dir) || !is_whole(b, dir))
		unpack(b, data_fd, data_path);
}

/* An unpacked version on a disk that has since become read-only is still good. */
static bool usable_as_it_is(const struct bundle *b, const char *dir)
{
	return is_unpacked(dir) && is_whole(b, dir) && access(dir, W_OK);
}

bool stage_find(struct bundle *b, const char *data_dir, char dir[PATH_MAX])
{
	char fallback[PATH_MAX];

	join(dir, "%s/data/%s", data_dir[1] ? data_dir : "", b->hash);
	if (is_good(b, dir))
		return true;
	/* as upstream: rather the system's copy than a second one in a user's home */
	join(fallback, DEFAULT_DATA_DIR "/data/%s", b->hash);
	if (!is_good(b, fallback))
		return false;
	memcpy(dir, fallback, sizeof fallback);
	return true;
}

void stage(struct bundle *b, const char *dir)
{
	bundle_verify(b);
	if (is_complete(dir) && access(dir, W_OK))
		free(find_damage(b, dir));	/* named at least, for it cannot be repaired */
	if (usable_as_it_is(b, dir)) {
		log_line(LOG_WARNING, "%s is complete, but its links cannot be updated: %s", dir, strerror(errno));
		return;
	}
	with_lock(b, dir, complete);
}
