/*
 * What k3s keeps with the absolute name of its data directory, and does not
 * write again at each start: the server's kubeconfigs, which it makes anew when
 * they are absent (patch 0002), and the links to its token. In a data directory
 * that was moved they lead to the old place: k3s ends there, or works with the
 * keys of the old one if that is still there.
 *
 * Everything else was looked for in k3s's source and is written at each start:
 * agent/ *.kubeconfig, agent/etc/containerd/config.toml with certs.d, crictl.yaml,
 * kubelet.conf.d/00-k3s-defaults.conf, server/etc/egress-selector-config.yaml,
 * server/db/etcd/config, server/manifests. k3s.yaml holds no path.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KUBECONFIG_MAX = 16384 };

/* Where a path in such a file points to, in any data directory. */
static const char inside[] = "/server/tls/";

/* The name of the data directory in a path of a kubeconfig; 0: it is no path of k3s's own. */
static size_t place_size(const char *path, size_t size)
{
	const char *found = NULL, *at;

	for (at = path; size >= sizeof inside - 1 && at <= path + size - (sizeof inside - 1); at++)
		if (!memcmp(at, inside, sizeof inside - 1))
			found = at;
	if (!found || *path != '/' || memchr(found + sizeof inside - 1, '/', (size_t)(path + size - found) - (sizeof inside - 1)))
		return 0;
	return (size_t)(found - path);
}

/* The path on this line, if it has one. */
static const char *path_on(const char *line, size_t *size)
{
	static const char *const names[] = { "certificate-authority: ", "client-certificate: ", "client-key: " };
	size_t i;

	line += strspn(line, " ");
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strncmp(line, names[i], strlen(names[i])))
			continue;
		line += strlen(names[i]);
		*size = strcspn(line, "\n");
		return line;
	}
	return NULL;
}

/* Each path in it is one of k3s's own, and some of another data directory. */
static bool is_of_another(const char *text, const char *data_dir)
{
	size_t size, place, own = strlen(data_dir);
	const char *path;
	bool other = false;

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		path = path_on(text, &size);
		if (!path)
			continue;
		place = place_size(path, size);
		if (!place && strncmp(path, inside, sizeof inside - 1))
			return false;	/* somebody else's */
		other = other || place != own || memcmp(path, data_dir, own) != 0;
	}
	return other;
}

static void remove_one(int dir_fd, const char *path, const char *name)
{
	if (unlinkat(dir_fd, name, 0))
		log_line(LOG_WARNING, "%s/%s names another data directory, and cannot be removed: %s", path, name, strerror(errno));
	else
		log_line(LOG_INFO, "Removed %s/%s, which names another data directory: k3s makes it anew", path, name);
}

static void check_kubeconfig(int dir_fd, const char *path, const char *name, const char *data_dir)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[KUBECONFIG_MAX];
	struct stat st;
	ssize_t got = -1;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size < KUBECONFIG_MAX)
		got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got < 0 ? 0 : got] = 0;
	if (is_of_another(text, data_dir))
		remove_one(dir_fd, path, name);
}

/* A link that k3s made to its token, whose place is named in it. */
static void check_token_link(int dir_fd, const char *path, const char *name)
{
	static const char tail[] = "/server/token";
	char target[PATH_MAX];
	size_t size, own = strlen(path);

	if (!read_link(dir_fd, name, target))
		return;
	size = strlen(target);
	if (*target != '/' || size < sizeof tail - 1 || strcmp(target + size - (sizeof tail - 1), tail))
		return;
	if (size - strlen("/token") != own || memcmp(target, path, own) != 0)
		remove_one(dir_fd, path, name);
}

void remove_moved(const char *data_dir)
{
	static const char *const kubeconfigs[] = { "admin.kubeconfig",	   "supervisor.kubeconfig", "controller.kubeconfig",
						   "scheduler.kubeconfig", "api-server.kubeconfig",
						   "cloud-controller.kubeconfig" };
	char path[PATH_MAX];
	size_t i;
	int fd;

	if (!data_dir[1])
		data_dir = "";	/* the root */
	join(path, "%s/server/cred", data_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < sizeof kubeconfigs / sizeof kubeconfigs[0]; i++)
		check_kubeconfig(fd, path, kubeconfigs[i], data_dir);
	if (fd >= 0)
		close(fd);
	join(path, "%s/server", data_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	check_token_link(fd, path, "node-token");
	check_token_link(fd, path, "agent-token");
	close(fd);
}
