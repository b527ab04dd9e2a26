/* From the data directory to the program inside: environment, then exec. */
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

void set_environment(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		fail(EXIT_SYSTEM, "no memory for the environment\n  do: stop other programs, or add swap");
}

/* data/cni and bin before the host's PATH; bin/aux after it, or before. */
static void set_path(const char *dir, bool prefer_bundled)
{
	const char *host = from_environment("PATH");
	size_t size = 3 * (size_t)PATH_MAX + (host ? strlen(host) : 0) + 32;
	int data_size = (int)(strlen(dir) - HASH_HEX - 1);
	char *path = malloc(size);

	if (!path)
		fail(EXIT_SYSTEM, "no memory for PATH\n  do: stop other programs, or add swap");
	/* an empty PATH would add the working directory, which nobody asked for */
	if (!host)
		snprintf(path, size, "%.*s/cni:%s/bin:%s/bin/aux", data_size, dir, dir, dir);
	else if (prefer_bundled)
		snprintf(path, size, "%.*s/cni:%s/bin:%s/bin/aux:%s", data_size, dir, dir, dir, host);
	else
		snprintf(path, size, "%.*s/cni:%s/bin:%s:%s/bin/aux", data_size, dir, dir, host, dir);
	set_environment("PATH", path);
	free(path);
}

static bool use_cri_config(const char *path)
{
	struct stat st;

	if (!stat(path, &st)) {
		set_environment("CRI_CONFIG_FILE", path);
		return true;
	}
	if (errno != ENOENT)
		log_line(LOG_WARNING, "cannot look at %s: %s", path, strerror(errno));
	return false;
}

/* crictl looks for its configuration in one place only, so it is told where. */
static void set_cri_config(const char *data_dir)
{
	char path[PATH_MAX], home[PATH_MAX];

	if (from_environment("CRI_CONFIG_FILE"))
		return;
	join(path, "%s/agent/etc/crictl.yaml", data_dir);
	if (use_cri_config(path))
		return;
	if (expand_home(home, HOME_DATA_DIR)) {
		join(path, "%s/agent/etc/crictl.yaml", home);
		if (use_cri_config(path))
			return;
	}
	if (!use_cri_config(DEFAULT_DATA_DIR "/agent/etc/crictl.yaml") && !use_cri_config("/etc/crictl.yaml"))
		set_environment("CRI_CONFIG_FILE", "");
}

static bool is_noexec(const char *program)
{
	struct statvfs fs;

	return !statvfs(program, &fs) && fs.f_flag & ST_NOEXEC;
}

/* What is damaged was repaired before: here every file is as it was packed. */
static struct trouble why_not_run(int error, const struct bundle *b, const char *program)
{
	static char cause[256];
	struct utsname machine;
	struct trouble t = trouble_of(error);

	if (error == ENOENT && access(program, F_OK))
		return (struct trouble){ EXIT_MISSING, "this k3s was packed without that program", "download the k3s that has it" };
	if (error == ENOENT)
		return (struct trouble){ EXIT_MISSING, "its interpreter is not on this machine", "install what its first line names" };
	if (error == ENOEXEC) {
		snprintf(cause, sizeof cause, "the kernel does not know this kind of program: this k3s is for %s, the machine is %s",
			 b->target, uname(&machine) ? "unknown" : machine.machine);
		return (struct trouble){ EXIT_NOEXEC, cause, "download the k3s that is for this machine" };
	}
	t.code = EXIT_NOEXEC;
	if (error == EACCES && is_noexec(program))
		t.cause = "the data directory is on a file system mounted noexec", t.cure = "remount it with exec, or give another --data-dir";
	else if (error == EACCES)
		t.cause = "this user may not execute it, or not enter a folder on the way", t.cure = "correct its permissions: chmod 755";
	else if (error == E2BIG)
		t.cause = "arguments and environment are too long", t.cure = "shorten them, or look at ulimit -s";
	else if (error == EPERM)
		t.cause = "a rule of the system forbids it", t.cure = "look for AppArmor, SELinux, fapolicyd, or a nosuid mount";
	else if (error == EINVAL)
		t.cause = "it is not in a form that this kernel takes", t.cure = "download the k3s that is for this machine";
	else if (error == ELIBBAD)
		t.cause = "its interpreter is damaged, or for another machine", t.cure = "install it again";
	else if (error == EAGAIN)
		t.cause = "this user may have no more processes", t.cure = "look at ulimit -u and systemd's TasksMax";
	return t;
}

static _Noreturn void not_run(int error, const struct bundle *b, const char *program)
{
	struct trouble t = why_not_run(error, b, program);

	if (t.code == EXIT_MISSING)
		fail(t.code, "%s cannot be run: %s\n  cause: %s\n  do: %s", program, strerror(error), t.cause, t.cure);
	fail(t.code, "cannot run %s: %s\n  cause: %s\n  do: %s", program, strerror(error), t.cause, t.cure);
}

/* What the kernel answers for a program, or for a link to it, that is not what was unpacked. */
static bool may_be_damaged(int error, const char *program)
{
	switch (error) {
	case ENOENT:
	case ENOEXEC:
	case EIO:
	case ELIBBAD:
	case ELOOP:
	case ENOTDIR:
	case EISDIR:
	case EINVAL:
	case EUCLEAN:
	case EBADMSG:
	case ENODATA:
		return true;
	case EACCES:
		return !is_noexec(program);
	default:
		return false;
	}
}

void run(struct bundle *b, const char *dir, const char *data_dir, const struct request *r, bool prefer_bundled)
{
	char program[PATH_MAX];
	int error;

	if (!strcmp(r->command->name, "crictl"))
		set_cri_config(data_dir);
	set_path(dir, prefer_bundled);
	/* as upstream: makes Go's resolver read /etc/hosts before it asks DNS */
	if (!from_environment("RES_OPTIONS"))
		set_environment("RES_OPTIONS", " ");
	join(program, "%s/bin/%s", dir, r->command->program);
	log_line(LOG_DEBUG, "Running %s", program);
	execv(program, r->argv);
	error = errno;
	if (may_be_damaged(error, program) && repair_content(b, dir)) {
		execv(program, r->argv);
		error = errno;
	}
	not_run(error, b, program);
}
