/* From the data directory to the program inside: environment, then exec. */
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static _Noreturn void not_run(const char *program)
{
	if (errno == ENOENT)
		fail(EXIT_MISSING, "%s is not there\n"
		     "  cause: it was removed from the data directory, or its interpreter is missing\n"
		     "  do: remove the folder that it was in, the next start unpacks it again", program);
	fail(EXIT_NOEXEC, "cannot run %s: %s\n"
	     "  cause: %s\n"
	     "  do: %s", program, strerror(errno),
	     errno == EACCES ? "the data directory may be on a file system mounted noexec" :
	     errno == ENOEXEC ? "the kernel does not know this kind of program" : "see above",
	     errno == EACCES ? "remount it with exec, or give another --data-dir" :
	     "check that this k3s is for this machine, then download it again");
}

void run(const char *dir, const char *data_dir, const struct request *r, bool prefer_bundled)
{
	char program[PATH_MAX];

	if (!strcmp(r->command->name, "crictl"))
		set_cri_config(data_dir);
	set_path(dir, prefer_bundled);
	/* as upstream: makes Go's resolver read /etc/hosts before it asks DNS */
	if (!from_environment("RES_OPTIONS"))
		set_environment("RES_OPTIONS", " ");
	join(program, "%s/bin/%s", dir, r->command->program);
	log_line(LOG_DEBUG, "Running %s", program);
	execv(program, r->argv);
	not_run(program);
}
