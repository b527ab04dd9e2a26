/*
 * Is an old version still needed? Two witnesses, one is enough:
 *   - a process runs from it. A container's shim outlives the k3s that started
 *     it, and calls runc from its own version's folder.
 *   - containerd's record of a task names it: <state>/<plugin>/<namespace>/<id>/
 *     shim-binary-path. A container that was restarted after an upgrade lives in
 *     the shim process of the version before, and its record names the version
 *     that started it, from which no process runs; containerd calls what the
 *     record names to look after it, or to clean up after a killed shim.
 *
 * k3s gives containerd its state folder by a flag, so no configuration moves it.
 * It is in /run as the processes see it that run from our versions (rootless
 * ones have their own), and as the first process sees it, wherever we are; who
 * may not look there takes nothing away while any container's shim runs. What
 * cannot be read may name the version. A record that is stale keeps a
 * version until the next upgrade after containerd has cleaned up, or until a
 * boot empties /run.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE "k3s/containerd"
#define RECORD_OF_SHIM "shim-binary-path"

enum { DEPTH = 3 };	/* plugin, namespace, id */

struct search {
	const char *hash;
	bool found;
	char why[PATH_MAX];
};

static void found(struct search *s, const char *format, const char *what)
{
	if (s->found)
		return;
	s->found = true;
	snprintf(s->why, sizeof s->why, format, what);
}

/* ---- records ---- */

static void read_record(struct search *s, int dir_fd, const char *path)
{
	int fd = openat(dir_fd, RECORD_OF_SHIM, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char text[PATH_MAX + 1];
	ssize_t got;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return;
	got = fd < 0 ? -1 : read(fd, text, PATH_MAX);
	text[got < 0 ? 0 : got] = 0;
	if (got < 0)
		found(s, "the record of a container's shim cannot be read: %s/" RECORD_OF_SHIM, path);
	else if (strstr(text, s->hash))
		found(s, "containerd's record of a container names it: %s/" RECORD_OF_SHIM, path);
	if (fd >= 0)
		close(fd);
}

/* What vanishes while it is looked at was no record of a living container. */
static void read_records(struct search *s, int parent, const char *name, const char *path, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char inner[PATH_MAX];
	struct dirent *entry;

	if (!dir) {
		if (errno != ENOENT && errno != ENOTDIR)
			found(s, "its containers' records cannot be read: %s", path);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (!depth)
		read_record(s, fd, path);
	while (depth && !s->found && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		read_records(s, fd, entry->d_name, inner, depth - 1);
	}
	closedir(dir);
}

static void read_state(struct search *s, const char *format, const char *run)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, format, run);
	read_records(s, AT_FDCWD, path, path, DEPTH);
}

/* ---- processes ---- */

static bool read_proc(const char *format, const char *pid, char out[PATH_MAX])
{
	char path[PATH_MAX];
	ssize_t size;

	snprintf(path, sizeof path, format, pid);
	size = readlink(path, out, PATH_MAX - 1);
	out[size < 0 ? 0 : size] = 0;
	return size >= 0;
}

/* Is there a version's name in it, of any version? */
static bool names_a_version(const char *path)
{
	size_t size;

	for (; *path; path += size + (path[size] == '/')) {
		size = strcspn(path, "/");
		if (is_hash(path, size))
			return true;
	}
	return false;
}

static void look_at_process(struct search *s, const char *pid)
{
	char program[PATH_MAX], ours[PATH_MAX], its[PATH_MAX];

	if (!read_proc("/proc/%s/exe", pid, program) || !names_a_version(program))
		return;
	if (strstr(program, s->hash)) {
		found(s, "a process still runs from it: %s", pid);
		return;
	}
	if (!read_proc("/proc/%s/ns/mnt", "self", ours) || !read_proc("/proc/%s/ns/mnt", pid, its) || strcmp(ours, its))
		read_state(s, "/proc/%s/root/run/" STATE, pid);
}

/* Its command line, which everybody may read, names containerd's socket. */
static void look_for_shim(struct search *s, const char *pid)
{
	char path[PATH_MAX], text[1024];
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, text, sizeof text);
		close(fd);
	}
	if (got > 0 && memmem(text, (size_t)got, "/" STATE "/", sizeof "/" STATE "/" - 1))
		found(s, "containers run whose records cannot be seen from here (process %s)", pid);
}

static void each_process(struct search *s, void (*look)(struct search *, const char *))
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc) {
		found(s, "%s cannot be read", "/proc");
		return;
	}
	while (!s->found && (entry = readdir(proc)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			look(s, entry->d_name);
	closedir(proc);
}

/* In a mount namespace of our own, /run may not be the one that containerd has. */
static void look_at_first_process(struct search *s)
{
	char ours[PATH_MAX], its[PATH_MAX];

	if (geteuid())
		return;		/* a user's containers are in his own folder */
	if (!read_proc("/proc/%s/ns/mnt", "self", ours) || !read_proc("/proc/%s/ns/mnt", "1", its))
		each_process(s, look_for_shim);
	else if (strcmp(ours, its))
		read_state(s, "/proc/%s/root/run/" STATE, "1");
}

/* As k3s --rootless chooses it. */
static void look_at_users_state(struct search *s)
{
	const char *run = from_environment("XDG_RUNTIME_DIR");
	char uid[32];

	if (!geteuid())
		return;
	snprintf(uid, sizeof uid, "%u", (unsigned int)geteuid());
	read_state(s, "/run/user/%s/" STATE, uid);
	if (run)
		read_state(s, "%s/" STATE, run);
}

bool is_in_use(const char *hash, char why[PATH_MAX])
{
	struct search s = { .hash = hash };

	each_process(&s, look_at_process);
	read_state(&s, "%s/" STATE, "/run");
	look_at_users_state(&s);
	look_at_first_process(&s);
	memcpy(why, s.why, sizeof s.why);
	return s.found;
}
