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

void no_data_dir(const char *path)
{
	fail(EXIT_DATA_DIR, "cannot make or open the data directory %s: %s\n"
	     "  cause: %s\n"
	     "  do: give a writable one with --data-dir or K3S_DATA_DIR%s", path, strerror(errno),
	     errno == EROFS ? "its file system is mounted read-only" :
	     errno == EACCES || errno == EPERM ? "this user may not write there" :
	     errno == ENOSPC || errno == EDQUOT ? "its file system is full" :
	     "a file is in the way, or the disk has a fault",
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

void wait_for_lock(int fd, const char *path)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return;
	if (errno == EWOULDBLOCK)
		log_line(LOG_INFO, "Another k3s holds it, waiting");
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			fail(EXIT_SYSTEM, "cannot lock %s: %s\n"
			     "  cause: a network file system without locks?\n"
			     "  do: give a --data-dir on a local disk", path, strerror(errno));
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

static void unpack(const struct bundle *b, int data_fd, const char *data_path, const char *dir)
{
	log_line(LOG_INFO, "Preparing data dir %s", dir);
	prune_leftovers(data_fd);
	if (exists("%s", dir)) {
		log_line(LOG_WARNING, "%s has no bin/k3s: unpacking it anew", dir);
		discard_version(data_fd, b->hash);
	}
	extract(b, data_fd, data_path);
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

static void stage_locked(const struct bundle *b, const char *data_dir, const char *dir)
{
	mode_t umask_before = umask(0);
	char data_path[PATH_MAX];
	int data_fd, lock;

	join(data_path, "%s/data", data_dir[1] ? data_dir : "");
	data_fd = open_data(data_path);
	lock = take_lock(data_fd, data_path);
	if (!is_complete(dir)) {
		if (!is_unpacked(dir))
			unpack(b, data_fd, data_path, dir);
		finish(b, data_fd, data_path);
	}
	close(lock);
	close(data_fd);
	umask(umask_before);
}

/* An unpacked version on a disk that has since become read-only is still good. */
static bool usable_as_it_is(const char *dir)
{
	return is_unpacked(dir) && access(dir, W_OK);
}

bool stage_find(const struct bundle *b, const char *data_dir, char dir[PATH_MAX])
{
	char fallback[PATH_MAX];

	join(dir, "%s/data/%s", data_dir[1] ? data_dir : "", b->hash);
	if (is_complete(dir))
		return true;
	/* as upstream: rather the system's copy than a second one in a user's home */
	join(fallback, DEFAULT_DATA_DIR "/data/%s", b->hash);
	if (!is_complete(fallback))
		return false;
	memcpy(dir, fallback, sizeof fallback);
	return true;
}

void stage(struct bundle *b, const char *data_dir, char dir[PATH_MAX])
{
	if (stage_find(b, data_dir, dir))
		return;
	if (usable_as_it_is(dir)) {
		log_line(LOG_WARNING, "%s is complete, but its links cannot be updated: %s", dir, strerror(errno));
		return;
	}
	bundle_verify(b);
	stage_locked(b, data_dir, dir);
}
