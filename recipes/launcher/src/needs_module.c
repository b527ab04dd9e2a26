/*
 * Kernel modules: loaded, loadable, or certain not to be there. The common
 * case of the last is a kernel that was updated without a restart: the folder
 * of the running one is gone.
 */
#include "needs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Is there a line about <name>.ko in this list of module files? -1: no such list. */
static int listed(const char *folder, const char *list, const char *name)
{
	char path[PATH_MAX], file[128];
	struct stat st;
	int fd, found = -1;
	void *text;

	join(path, "%s/%s", folder, list);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(file, sizeof file, "/%s.ko", name);
	if (!fstat(fd, &st) && st.st_size > 0) {
		text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (text != MAP_FAILED) {
			found = memmem(text, (size_t)st.st_size, file, strlen(file)) != NULL;
			munmap(text, (size_t)st.st_size);
		}
	}
	close(fd);
	return found;
}

/* The kernel's way to load one is the usual program, which reads /lib/modules. */
static bool has_usual_loader(void)
{
	char loader[PATH_MAX];

	if (!read_text("/proc/sys/kernel/modprobe", loader, sizeof loader))
		return true;	/* a kernel that loads none */
	loader[strcspn(loader, "\n")] = 0;
	return !strcmp(loader, "/sbin/modprobe") || !strcmp(loader, "/usr/sbin/modprobe");
}

enum module_state module_look(const char *name)
{
	char path[PATH_MAX];
	struct utsname u;

	join(path, "/sys/module/%s", name);
	if (!access(path, F_OK))
		return MODULE_LOADED;
	if (in_container() || uname(&u) || !has_usual_loader())
		return MODULE_UNKNOWN;
	join(path, "/lib/modules/%s", u.release);
	if (access(path, F_OK))
		return MODULE_ABSENT;
	if (listed(path, "modules.builtin", name) > 0)
		return MODULE_LOADED;
	switch (listed(path, "modules.dep", name)) {
	case 0:
		return MODULE_ABSENT;
	case 1:
		return MODULE_LOADABLE;
	default:
		return MODULE_UNKNOWN;
	}
}

/* No word of its own about what this start does not use. */
static enum need_state judge(const char *name, char what[WHAT_SIZE], const char *purpose, bool sure)
{
	enum module_state state = module_look(name);
	struct utsname u;

	if (state != MODULE_ABSENT)
		return NEED_THERE;
	if (uname(&u))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "kernel %.64s has no %s: %s is neither loaded nor below /lib/modules/%.64s", u.release, purpose,
		 name, u.release);
	return sure ? NEED_MISSING : NEED_UNSURE;
}

/* Another snapshotter, or another runtime, may do without. */
enum need_state need_overlay(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "snapshotter", "docker", "container-runtime-endpoint", NULL };
	char text[4096];

	if (node_given_any(n, others))
		return NEED_UNASKED;
	if (!read_text("/proc/filesystems", text, sizeof text) || has_word(text, "overlay"))
		return NEED_THERE;
	return judge("overlay", what, "overlay file system", true);
}

/* An agent does as its server says, which is not known yet. */
enum need_state need_vxlan(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "flannel-backend", "flannel-conf", "vpn-auth", "vpn-auth-file", NULL };

	if (node_given_any(n, others))
		return NEED_UNASKED;
	return judge("vxlan", what, "VXLAN", !n->is_agent);
}

static bool host_has_iptables(void)
{
	const char *path = from_environment("PATH"), *end;
	char program[PATH_MAX];

	for (; path && *path; path = *end ? end + 1 : end) {
		end = strchr(path, ':');
		end = end ? end : path + strlen(path);
		if (end - path < PATH_MAX - 16) {
			join(program, "%.*s/iptables", (int)(end - path), path);
			if (!access(program, X_OK))
				return true;
		}
	}
	return false;
}

/*
 * The bundle's own iptables is the legacy one, taken where the machine has none.
 * The machine's may use either; the file is there where the legacy code is loaded.
 */
enum need_state need_iptables(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "disable-kube-proxy", "kube-proxy-arg", "prefer-bundled-bin", NULL };

	if (node_given_any(n, others))
		return NEED_UNASKED;
	if (!access("/proc/net/ip_tables_names", F_OK) || module_look("ip_tables") != MODULE_ABSENT)
		return NEED_THERE;
	if (!host_has_iptables())
		return judge("ip_tables", what, "legacy iptables, and this machine no iptables of its own", !n->is_agent);
	if (module_look("nf_tables") != MODULE_ABSENT)
		return NEED_THERE;
	/* a kernel may have nf_tables inside, which shows nowhere where its lists are gone */
	return judge("ip_tables", what, "iptables, and nf_tables", false);
}
