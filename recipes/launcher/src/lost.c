/*
 * The worst that a power loss makes of a first start: the datastore is on the
 * disk, because SQLite waits for it, and with it the certificates, encrypted
 * with the server's token. The token, in both places that have it, and the keys
 * are not. Nothing can open that datastore any more, no certificate of that
 * cluster is left, and k3s refuses to start beside it for ever.
 *
 * Only if all of this is so, and nobody gives a token, the datastore is moved
 * aside: k3s begins anew, and nothing is deleted.
 */
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ASIDE "db-lost"

/* -1: there is no such file. */
static off_t size_of(const char *data_dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	join(path, "%s/server/%s", data_dir, name);
	return lstat(path, &st) || !S_ISREG(st.st_mode) ? -1 : st.st_size;
}

static bool is_folder(const char *data_dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	join(path, "%s/server/%s", data_dir, name);
	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

static bool is_lost(const char *data_dir)
{
	static const char *const secrets[] = { "token", "tls/server-ca.key", "tls/client-ca.key", "tls/service.key" };
	size_t i;

	/* written, and lost; if it was never written, no datastore depends on it */
	if (size_of(data_dir, "cred/passwd"))
		return false;
	for (i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
		if (size_of(data_dir, secrets[i]) > 0)
			return false;
	return size_of(data_dir, "db/state.db") > 0 && !is_folder(data_dir, "db/etcd/member");
}

/* A token, or another place for the data: then k3s has what it needs, or knows better what is wrong. */
static bool is_given(char **flags, const char *config)
{
	static const char *const names[] = { "token", "t", "token-file", "server", "s", "datastore-endpoint" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (flag_given(names[i], "", flags, config))
			return true;
	return getenv("K3S_URL") || (config && is_url(config));
}

void set_lost_cluster_aside(const char *data_dir, char **flags, const char *config)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (!is_lost(data_dir) || is_given(flags, config))
		return;
	join(from, "%s/server/db", data_dir);
	join(to, "%s/server/" ASIDE, data_dir);
	if (rename(from, to))
		log_line(LOG_WARNING, "%s is of a first start that a power loss cut, and its token is lost; it cannot be "
			 "moved to %s: %s", from, to, strerror(errno));
	else
		log_line(LOG_WARNING, "Moved %s to %s: it is of a first start that a power loss cut, its token and keys are "
			 "lost, and nothing can open it; k3s begins anew", from, to);
}
