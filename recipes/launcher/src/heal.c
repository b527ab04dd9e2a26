/*
 * What a power loss leaves of a first start. k3s writes its keys and
 * certificates without waiting for the disk, and a file system that allocates
 * late (ext4, XFS, F2FS) then has the name and the size 0. k3s takes a file that
 * is there for a good one, and refuses to start for ever.
 *
 * An absent file is no trouble: k3s restores it from its datastore, or makes it
 * anew with all that depends on it. So empty files are removed, of an exact
 * list: each was read in k3s's source to be remade, and none of them is ever
 * empty by intent (as tls/dynamic-cert-regenerate is, which only has to be
 * there). What holds a single byte is not touched.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATTERNS = 6 };

struct place {
	const char *folder;	/* in the data directory; of the system, if it begins with a slash */
	bool of_server;
	const char *patterns[PATTERNS];
	const char *advice;	/* where making it anew may not be enough */
};

static const char token_advice[] =
	"; if k3s then finds bootstrap data encrypted with a different token, the token was lost with this file: "
	"give it with --token, or, if nobody has it, move the folder server/db away, which begins a new cluster";

static const char password_advice[] =
	"; if the server then rejects the node password, it still has the lost one: "
	"kubectl -n kube-system delete secret NODE.node-password.k3s, with the node's name";

static const struct place places[] = {
	{ "server/tls", true, { "*.crt", "*.key", "dynamic-cert.json" }, "" },
	{ "server/tls/etcd", true, { "*.crt", "*.key" }, "" },
	{ "server/tls/kube-controller-manager", true, { "*.crt", "*.key" }, "" },
	{ "server/tls/kube-scheduler", true, { "*.crt", "*.key" }, "" },
	{ "server/tls/temporary-certs", true, { "*.crt", "*.key" }, "" },
	{ "server/cred", true, { "*.kubeconfig", "ipsec.psk", "encryption-config.json", "encryption-state.json" }, "" },
	{ "server/cred", true, { "passwd" }, token_advice },
	{ "server", true, { "token", "agent-token" }, "" },
	{ "agent", false, { "*.crt", "*.key", "*.kubeconfig" }, "" },
	{ "agent/etc/rancher/node", false, { "password", "id" }, password_advice },
	{ "/etc/rancher/node", false, { "password", "id" }, password_advice },
	/* kubelet exits at one that is empty: "please drain this node and delete ..."; an empty one says nothing */
	{ "/var/lib/kubelet", false,
	  { "cpu_manager_state", "memory_manager_state", "allocated_pods_state", "actuated_pods_state", "dra_manager_state" }, "" },
};

/* A whole name, or "*.ending"; not fnmatch, which brings 19 KiB of Unicode. */
static bool matches(const char *pattern, const char *name)
{
	size_t size = strlen(name), tail = strlen(pattern) - 1;

	if (*pattern != '*')
		return !strcmp(pattern, name);
	return *name != '.' && size > tail && !strcmp(name + size - tail, pattern + 1);
}

static bool is_listed(const struct place *p, const char *name)
{
	size_t i;

	for (i = 0; i < PATTERNS && p->patterns[i]; i++)
		if (matches(p->patterns[i], name))
			return true;
	return false;
}

static bool is_empty_file(int dir_fd, const char *name)
{
	struct stat st;

	return !fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && !st.st_size;
}

static void heal_file(const struct place *p, const char *path, int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0))
		log_line(LOG_WARNING, "%s/%s is empty, as a power loss leaves it, and cannot be removed: %s", path, name,
			 strerror(errno));
	else
		log_line(LOG_WARNING, "Removed %s/%s, which was empty, as a power loss leaves it: k3s makes it anew%s", path, name,
			 p->advice);
}

static void heal_place(const struct place *p, const char *data_dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (p->folder[0] == '/')
		join(path, "%s", p->folder);
	else
		join(path, "%s/%s", data_dir, p->folder);
	dir = opendir(path);
	if (!dir)
		return;	/* a first start has none of them */
	while ((entry = readdir(dir)))
		if (is_listed(p, entry->d_name) && is_empty_file(dirfd(dir), entry->d_name))
			heal_file(p, path, dirfd(dir), entry->d_name);
	closedir(dir);
}

void heal(const char *data_dir, const struct request *r, const char *config)
{
	bool is_server = strcmp(r->command->name, "agent") != 0;
	size_t i;

	if (!data_dir[1])
		data_dir = "";	/* the root */
	if (is_server)
		set_lost_cluster_aside(data_dir, r->argv + r->command_at + 1, config);
	for (i = 0; i < sizeof places / sizeof places[0]; i++)
		if (is_server || !places[i].of_server)
			heal_place(&places[i], data_dir);
	heal_networks();
}
