/*
 * What a power loss leaves of pods' networks. CNI's plugins and libcni write
 * without waiting for the disk, so after it a file may have its name and nothing
 * in it:
 *   - /var/lib/cni/networks/<network>/<address>: host-local finds by content what
 *     it is to free, so nobody frees this one, and hands out no address whose
 *     file is there: one address less, for ever.
 *   - /var/lib/cni/results/<network>-<container>-<interface>: libcni refuses to
 *     take such a sandbox down, so its pod is not removed, nor its address freed.
 *
 * An address is freed only if nobody can have it. host-local creates and fills
 * the file under its lock, so with that lock in our hand an empty one is not on
 * its way; and no network namespace of a pod is mounted, so no sandbox of this
 * boot lives whose file could have lost its content otherwise. No time is
 * compared: a board without a clock begins in 1970, and "before this boot" means
 * nothing there. A pod that lives (k3s alone was restarted) puts it off.
 */
#include "launcher.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define NETWORKS "/var/lib/cni/networks"
#define RESULTS "/var/lib/cni/results"
#define NAMESPACES "/run/netns"

enum { BLANK_MAX = 4096, NAMESPACE_MAGIC = 0x6e736673 };

/* Nothing in it: no bytes, or only zeros, as XFS leaves a file whose data were not written. */
static bool is_blank(int dir_fd, const char *name)
{
	char content[BLANK_MAX];
	struct stat st;
	ssize_t got, i;
	int fd;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) || st.st_size >= BLANK_MAX)
		return false;
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, content, sizeof content);
	close(fd);
	for (i = 0; i < got; i++)
		if (content[i])
			return false;
	return got >= 0;
}

static void remove_blank(int dir_fd, const char *folder, const char *name, const char *what)
{
	if (unlinkat(dir_fd, name, 0))
		log_line(LOG_WARNING, "%s/%s is empty, as a power loss leaves it, and cannot be removed: %s", folder, name,
			 strerror(errno));
	else
		log_line(LOG_WARNING, "Removed %s/%s, which was empty, as a power loss leaves it: %s", folder, name, what);
}

/* ---- addresses ---- */

/* containerd mounts a pod's namespace as cni-<id>; a file of that name without a mount is of a former boot. */
static bool has_sandbox(void)
{
	DIR *dir = opendir(NAMESPACES);
	bool found = !dir && errno != ENOENT;
	char path[PATH_MAX];
	struct dirent *entry;
	struct statfs fs;

	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "cni-", 4))
			continue;
		join(path, NAMESPACES "/%s", entry->d_name);
		found = statfs(path, &fs) || fs.f_type == NAMESPACE_MAGIC;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_address(const char *name)
{
	struct in6_addr out;

	return inet_pton(AF_INET, name, &out) == 1 || inet_pton(AF_INET6, name, &out) == 1;
}

/* host-local's own; whoever holds it is at work here. */
static int lock_network(int dir_fd)
{
	int fd = openat(dir_fd, "lock", O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0750);

	if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	close(fd);
	return -1;
}

static void free_of_network(DIR *dir, const char *folder)
{
	int lock = lock_network(dirfd(dir));
	struct dirent *entry;

	while (lock >= 0 && (entry = readdir(dir)))
		if (is_address(entry->d_name) && is_blank(dirfd(dir), entry->d_name))
			remove_blank(dirfd(dir), folder, entry->d_name, "no pod can have this address, it is free again");
	if (lock >= 0)
		close(lock);
}

static void free_addresses(void)
{
	DIR *networks = opendir(NETWORKS), *dir;
	char folder[PATH_MAX];
	struct dirent *entry;
	int fd;

	if (!networks)
		return;
	while ((entry = readdir(networks))) {
		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(networks), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		if (!dir && fd >= 0)
			close(fd);
		if (!dir)
			continue;
		join(folder, NETWORKS "/%s", entry->d_name);
		free_of_network(dir, folder);
		closedir(dir);
	}
	closedir(networks);
}

/* ---- results ---- */

/* "<network>-<container>-<interface>"; containerd's containers have 64 hexadecimal digits. */
static bool is_result(const char *name)
{
	const char *at;

	for (at = name; (at = strchr(at, '-')); at++)
		if (at > name && strspn(at + 1, "0123456789abcdef") == HASH_HEX && at[1 + HASH_HEX] == '-' && at[2 + HASH_HEX])
			return true;
	return false;
}

static void remove_results(void)
{
	DIR *dir = opendir(RESULTS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_result(entry->d_name) && is_blank(dirfd(dir), entry->d_name))
			remove_blank(dirfd(dir), RESULTS, entry->d_name, "its pod's network can be taken down without it");
	if (dir)
		closedir(dir);
}

void heal_networks(void)
{
	remove_results();
	if (!has_sandbox())
		free_addresses();
}
