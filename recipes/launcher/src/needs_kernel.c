/* Devices, sysctls and watches that kubelet ends without. */
#include "needs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* In a user namespace kubelet can be told to overlook what it may not do there. */
static enum need_state unless_told(const struct node *n)
{
	return in_user_namespace() && node_given(n, "kubelet-arg") ? NEED_UNSURE : NEED_MISSING;
}

enum need_state need_kmsg(const struct node *n, char what[WHAT_SIZE])
{
	int fd;

	if (!n->is_root)
		return NEED_UNASKED;
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return NEED_THERE;
	}
	snprintf(what, WHAT_SIZE, "/dev/kmsg cannot be opened: %s", strerror(errno));
	return unless_told(n);
}

struct tunable {
	const char *name;	/* as sysctl writes it */
	const char *path;
	long value;
	bool of_proxy;		/* kube-proxy's, not kubelet's */
};

static const struct tunable tunables[] = {
	{ "vm.overcommit_memory", "/proc/sys/vm/overcommit_memory", 1, false },
	{ "vm.panic_on_oom", "/proc/sys/vm/panic_on_oom", 0, false },
	{ "kernel.panic", "/proc/sys/kernel/panic", 10, false },
	{ "kernel.panic_on_oops", "/proc/sys/kernel/panic_on_oops", 1, false },
	{ "kernel.keys.root_maxkeys", "/proc/sys/kernel/keys/root_maxkeys", 1000000, false },
	{ "kernel.keys.root_maxbytes", "/proc/sys/kernel/keys/root_maxbytes", 25000000, false },
	{ "net.ipv4.conf.all.route_localnet", "/proc/sys/net/ipv4/conf/all/route_localnet", 1, true },
};

/* "" if kubelet is content with it, or can set it. */
static const char *trouble(const struct tunable *t, bool protect)
{
	char text[64];

	if (!read_text(t->path, text, sizeof text))
		return "is not there";
	if (strtol(text, NULL, 10) == t->value)
		return "";
	if (protect)
		return "is another, and --protect-kernel-defaults forbids to set it";
	return access(t->path, W_OK) ? "cannot be set: it is read-only" : "";
}

enum need_state need_sysctls(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const proxy[] = { "disable-kube-proxy", "kube-proxy-arg", NULL };
	bool protect = node_on(n, "protect-kernel-defaults"), proxied = !n->is_agent && !node_given_any(n, proxy);
	const char *bad;
	size_t i, used;

	if (!n->is_root)
		return NEED_UNASKED;
	what[0] = 0;
	for (i = 0; i < sizeof tunables / sizeof tunables[0]; i++) {
		if (tunables[i].of_proxy && !proxied)
			continue;
		bad = trouble(&tunables[i], protect && !tunables[i].of_proxy);
		used = strlen(what);
		if (*bad)
			snprintf(what + used, WHAT_SIZE - used, "%s%s=%ld %s", used ? ", " : "", tunables[i].name, tunables[i].value, bad);
	}
	return *what ? unless_told(n) : NEED_THERE;
}

enum need_state need_inotify(const struct node *n, char what[WHAT_SIZE])
{
	int fd = inotify_init1(IN_CLOEXEC);

	(void)n;
	if (fd >= 0) {
		close(fd);
		return NEED_THERE;
	}
	if (errno != EMFILE)
		return NEED_UNASKED;
	snprintf(what, WHAT_SIZE, "all inotify instances of this user are taken");
	return NEED_MISSING;
}
