/*
 * To the disk, and no answer of readdir taken for more than it is: the type of
 * an entry is optional (ext4 without filetype, XFS with ftype=0, some NFS), so
 * what an entry is, is asked of the entry.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Some file systems have no fsync for this kind of file (FUSE, 9p, a folder on
 * vboxsf): that is no fault of the disk, and the whole of it can still be asked.
 */
bool to_disk(int fd)
{
	if (!fsync(fd))
		return true;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return false;
	syncfs(fd);
	return true;
}

static const char *sync_entry(int dir_fd, const char *name, const char *path)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), error;
	const char *failed = NULL;
	struct stat st;

	/* a link is in its folder, and goes to the disk with it */
	if (fd < 0)
		return errno == ELOOP ? NULL : path;
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
		return sync_tree(fd, path);
	if (!to_disk(fd))
		failed = path;
	error = errno;
	close(fd);
	errno = error;
	return failed;
}

const char *sync_tree(int dir_fd, const char *path)
{
	static char failed_at[NAME_MAX + 1];
	DIR *dir = fdopendir(dir_fd);
	const char *failed = NULL;
	struct dirent *entry;
	int error;

	if (!dir)
		return path;
	while (!failed && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			failed = sync_entry(dir_fd, entry->d_name, entry->d_name);
	if (!failed && !to_disk(dir_fd))
		failed = path;
	error = errno;
	/* its name lives in the folder's buffer */
	if (failed && failed != failed_at) {
		snprintf(failed_at, sizeof failed_at, "%s", failed);
		failed = failed_at;
	}
	closedir(dir);
	errno = error;
	return failed;
}
