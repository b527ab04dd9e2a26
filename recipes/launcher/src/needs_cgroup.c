/* Control groups: kubelet takes the unified hierarchy only, with these controllers. */
#include "needs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"
#define CONTROLLERS CGROUPS "/cgroup.controllers"

/* CGROUP2_SUPER_MAGIC and CGROUP_SUPER_MAGIC of the kernel's include/uapi/linux/magic.h */
static const unsigned long cgroup2_magic = 0x63677270, cgroup_magic = 0x27e0eb;

static unsigned long kind_of(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) ? 0 : (unsigned long)fs.f_type & 0xffffffffUL;
}

static bool is_unified(void)
{
	return kind_of(CGROUPS) == cgroup2_magic;
}

enum need_state need_cgroup2(const struct node *n, char what[WHAT_SIZE])
{
	bool version1 = kind_of(CGROUPS "/memory") == cgroup_magic || kind_of(CGROUPS "/cpu") == cgroup_magic ||
			kind_of(CGROUPS "/unified") == cgroup2_magic;

	if (is_unified())
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, version1 ? CGROUPS " has control groups of version 1, not the unified hierarchy of version 2" :
		 "no control groups are mounted at " CGROUPS);
	if (version1 && !n->is_rootless && (node_given(n, "kubelet-arg") || has_kubelet_file(n)))
		return NEED_UNSURE;
	return NEED_MISSING;
}

static bool has_controller(const char *name)
{
	char text[1024];

	/* what cannot be read is the other row's */
	return !is_unified() || !read_text(CONTROLLERS, text, sizeof text) || has_word(text, name);
}

enum need_state need_cgroup_memory(const struct node *n, char what[WHAT_SIZE])
{
	(void)n;
	if (has_controller("memory"))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "the memory controller is not in " CONTROLLERS);
	return NEED_MISSING;
}

/* A kernel for one processor cannot have cpuset, and k3s for ARMv6 does without. */
enum need_state need_cgroup_controllers(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const names[] = { "cpu", "pids", "cpuset" };
	size_t i, count = strcmp(n->bundle->target, "armv6") ? 3 : 2;

	for (i = 0; i < count; i++) {
		if (has_controller(names[i]))
			continue;
		snprintf(what, WHAT_SIZE, "the %s controller is not in " CONTROLLERS, names[i]);
		return NEED_MISSING;
	}
	return NEED_THERE;
}

enum need_state need_cgroup_writable(const struct node *n, char what[WHAT_SIZE])
{
	if (!n->is_root || !is_unified())
		return NEED_UNASKED;
	if (!access(CGROUPS, W_OK) || errno != EROFS)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, CGROUPS " is mounted read-only");
	return NEED_MISSING;
}
