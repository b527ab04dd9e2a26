/* Folders that k3s writes outside of its data directory, and that directory's disk. */
#include "needs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of a path that is not there yet, the folder that it will be made in. */
static void nearest(char path[PATH_MAX])
{
	char *slash;

	while (access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR)) {
		slash = strrchr(path, '/');
		if (!slash || slash == path) {	/* absolute: the root is left */
			path[1] = 0;
			return;
		}
		*slash = 0;
	}
}

static bool is_read_only(const char *folder)
{
	char path[PATH_MAX];

	join(path, "%s", folder);
	nearest(path);
	return access(path, W_OK) && errno == EROFS;
}

enum need_state need_folders(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const folders[] = { "/etc/rancher/node", "/run/k3s", "/var/lib/kubelet", "/var/log/pods",
					       "/var/log/containers" };
	bool other_root = node_given(n, "kubelet-arg") || has_kubelet_file(n);
	size_t i, used;

	if (!n->is_root)
		return NEED_UNASKED;
	what[0] = 0;
	for (i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		/* root-dir is kubelet's own flag */
		if ((other_root && i > 1) || !is_read_only(folders[i]))
			continue;
		used = strlen(what);
		snprintf(what + used, WHAT_SIZE - used, "%s%s", used ? ", " : "read-only: ", folders[i]);
	}
	return *what ? NEED_MISSING : NEED_THERE;
}

struct disk {
	unsigned long magic;	/* of the kernel's include/uapi/linux/magic.h, or its driver's */
	const char *name;
};

/* The kernel takes none of these for overlay's upper folder. */
static const char *refused_disk(const char *path)
{
	static const struct disk disks[] = {
		{ 0x794c7630, "an overlay file system" }, { 0x6969, "NFS" },	      { 0x4d44, "FAT" },
		{ 0x2011bab0, "exFAT" },		  { 0xff534d42, "CIFS" },     { 0xfe534d42, "SMB" },
	};
	struct statfs fs;
	size_t i;

	if (statfs(path, &fs))
		return NULL;
	for (i = 0; i < sizeof disks / sizeof disks[0]; i++)
		if (((unsigned long)fs.f_type & 0xffffffffUL) == disks[i].magic)
			return disks[i].name;
	return NULL;
}

/* Does the disk say of its files what they are? k3s looks at each entry of a folder, too. */
static bool lacks_types(const char *path)
{
	struct dirent *entry;
	bool all_unknown = true;
	DIR *dir = opendir(path);
	int seen = 0;

	if (!dir)
		return false;
	while (all_unknown && (entry = readdir(dir))) {
		all_unknown = entry->d_type == DT_UNKNOWN;
		seen++;
	}
	closedir(dir);
	return seen && all_unknown;
}

enum need_state need_overlay_disk(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "snapshotter", "docker", "container-runtime-endpoint", NULL };
	char path[PATH_MAX];
	const char *disk;

	if (node_given_any(n, others))
		return NEED_UNASKED;
	join(path, "%s/agent/containerd", n->data_dir);
	nearest(path);
	disk = refused_disk(path);
	if (!disk && !lacks_types(path))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "%.512s is on %s, where no overlay can be mounted", n->data_dir,
		 disk ? disk : "a file system without d_type");
	return NEED_MISSING;
}
