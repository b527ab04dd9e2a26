/*
 * What a node must have before k3s begins: the table, which `k3s server`,
 * `k3s agent`, `k3s --check-node` and `k3s check-config` share.
 *
 * A row is about what k3s, kubelet, containerd or kube-proxy end without, or
 * wait for without end; `refused_by` says where (k3s v1.35.0+k3s1 and what it
 * pins). What only makes pods worse is none. Where it is not certain, because
 * only a server or a file of kubelet's knows, k3s starts after a warning.
 */
#include "needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SERVER = 1, AGENT = 2, NODE = SERVER | AGENT, WITHOUT_PODS = 4, ROOTLESS = 8 };

struct need {
	const char *name;
	unsigned int of;	/* WITHOUT_PODS: also with --disable-agent; ROOTLESS: also then */
	need_look *look;
	const char *why, *cure, *refused_by;
};

#define BOOT_LINE "/boot/firmware/cmdline.txt (/boot/cmdline.txt on older systems)"

static const struct need needs[] = {
	{ "root", NODE, need_root, "kubelet and containerd change the whole machine",
	  "sudo k3s ..., or --rootless", "k3s pkg/cli/server/server.go:96, pkg/cli/agent/agent.go:67: ends" },
	{ "node-name", NODE | ROOTLESS, need_host_name, "the server takes no node of that name, and k3s tries for ever",
	  "hostnamectl set-hostname NAME, or --node-name NAME",
	  "kubernetes pkg/apis/core/validation/validation.go:295, k3s pkg/agent/config/config.go:70: waits for ever" },
	{ "clock", NODE | WITHOUT_PODS | ROOTLESS, need_clock, "certificates are not valid yet, or are made for a wrong time",
	  "date -s '2026-01-31 12:00', or wait for NTP: systemctl enable --now systemd-time-wait-sync",
	  "k3s pkg/agent/run.go:343: waits for ever; a server ends" },
	{ "server", AGENT | ROOTLESS, need_server, "an agent joins a server", "--server https://SERVER:6443, or K3S_URL",
	  "k3s pkg/cli/agent/agent.go:89: ends" },
	{ "server-url", AGENT | ROOTLESS, need_https, "k3s takes nothing else, and tries for ever", "write it as https://SERVER:6443",
	  "k3s pkg/clientaccess/token.go:372, pkg/agent/run.go:343: waits for ever" },
	{ "token", AGENT | ROOTLESS, need_token, "a server lets no agent in without",
	  "--token, or K3S_TOKEN, with what /var/lib/rancher/k3s/server/node-token of the server says",
	  "k3s pkg/cli/agent/agent.go:85: ends" },
	{ "loopback", NODE | WITHOUT_PODS, need_loopback, "the parts of k3s talk to each other over 127.0.0.1",
	  "ip link set lo up", "k3s pkg/daemons/control/server.go:235, pkg/agent/loadbalancer/loadbalancer.go:48: ends" },
	{ "address", NODE | WITHOUT_PODS, need_address, "k3s takes the node's address from its interface",
	  "--flannel-iface INTERFACE (with one address), or a default route; without any network: "
	  "ip link add dummy0 type dummy && ip addr add 203.0.113.254/31 dev dummy0 && ip link set dummy0 up && "
	  "ip route add default via 203.0.113.255 dev dummy0 metric 1000",
	  "k3s pkg/util/net.go:142, apimachinery pkg/util/net/interface.go:420: ends" },
	{ "flannel-iface", NODE | WITHOUT_PODS, need_flannel_iface, "k3s takes the node's address from it",
	  "name one of `ip -brief addr`, or ip link set INTERFACE up and ip addr add ADDRESS/24 dev INTERFACE",
	  "k3s pkg/cli/server/server.go:274, pkg/cli/agent/agent.go:93: ends" },
	{ "flannel-route", NODE, need_flannel_route, "flannel takes its interface from the route",
	  "--flannel-iface INTERFACE beside --node-ip", "k3s pkg/agent/flannel/flannel.go:145: ends" },
	{ "ports", NODE | WITHOUT_PODS, need_ports, "k3s listens there, and ends if it cannot",
	  "stop that program (`ss -ltnp` names it; a k3s that runs already: systemctl stop k3s)",
	  "k3s pkg/cluster/https.go:44, kubernetes pkg/kubelet/server/server.go:202: ends" },
	{ "cgroup2", NODE | ROOTLESS, need_cgroup2, "kubelet of Kubernetes 1.35 takes no other",
	  "systemd: add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and restart; "
	  "OpenRC: rc_cgroup_mode=\"unified\" in /etc/rc.conf, rc-update add cgroups boot, restart; "
	  "by hand: mount -t cgroup2 none /sys/fs/cgroup",
	  "kubernetes pkg/kubelet/apis/config/validation/validation_linux.go:37, k3s pkg/cgroups/cgroups_linux.go:27: ends" },
	{ "cgroup-memory", NODE | ROOTLESS, need_cgroup_memory, "kubelet limits the memory of pods with it",
	  "Raspberry Pi: add cgroup_memory=1 cgroup_enable=memory to the one line of " BOOT_LINE " and restart",
	  "k3s pkg/cgroups/cgroups_linux.go:70: ends" },
	{ "cgroup-controllers", NODE | ROOTLESS, need_cgroup_controllers, "kubelet keeps pods apart with it",
	  "a kernel with CONFIG_CGROUP_SCHED, CONFIG_CGROUP_PIDS and CONFIG_CPUSETS, without cgroup_disable= on its command line",
	  "k3s pkg/cgroups/cgroups_linux.go:70, pkg/daemons/agent/agent_linux.go:131: ends" },
	{ "cgroup-writable", NODE, need_cgroup_writable, "kubelet makes groups there",
	  "mount -o remount,rw /sys/fs/cgroup; a container: docker run --privileged --cgroupns=private",
	  "kubernetes pkg/kubelet/cm/container_manager_linux.go:519, pkg/kubelet/kubelet.go:1746: ends" },
	{ "kmsg", NODE, need_kmsg, "kubelet reads there what the kernel kills",
	  "mknod -m 644 /dev/kmsg c 1 11; a container: docker run --device /dev/kmsg",
	  "kubernetes pkg/kubelet/kubelet.go:559: ends" },
	{ "sysctls", NODE, need_sysctls, "kubelet and kube-proxy set them",
	  "sysctl -w NAME=VALUE, or mount -o remount,rw /proc/sys; a container: docker run --privileged",
	  "kubernetes pkg/kubelet/cm/container_manager_linux.go:513, pkg/proxy/iptables/proxier.go:243: ends" },
	{ "inotify", NODE, need_inotify, "kubelet watches control groups and folders",
	  "sysctl -w fs.inotify.max_user_instances=1024", "kubernetes pkg/kubelet/kubelet.go:1729 (cAdvisor): ends" },
	{ "folders", NODE, need_folders, "k3s, kubelet and containerd write there",
	  "mount -o remount,rw / , or mount a tmpfs or disk there",
	  "k3s pkg/agent/config/config.go:488: waits for ever; kubernetes pkg/kubelet/kubelet.go:1583, "
	  "containerd cmd/containerd/server/server.go:90: end" },
	{ "overlay", NODE, need_overlay, "containerd stacks images with it, and k3s waits for ever",
	  "restart, if the kernel was updated; or install its modules; or --snapshotter native",
	  "k3s pkg/agent/config/config_linux.go:26, pkg/agent/config/config.go:70: waits for ever" },
	{ "overlay-disk", NODE, need_overlay_disk, "containerd stacks images there, and k3s waits for ever",
	  "--data-dir on ext4, or --snapshotter native; raspi-config's overlay: a disk of its own for /var/lib/rancher",
	  "k3s pkg/agent/config/config_linux.go:26, pkg/agent/config/config.go:70: waits for ever" },
	{ "vxlan", NODE, need_vxlan, "flannel joins the nodes with it",
	  "restart, if the kernel was updated; Ubuntu: apt-get install linux-modules-extra-raspi; or --flannel-backend host-gw",
	  "k3s pkg/agent/flannel/flannel.go:92: ends" },
	{ "iptables", NODE, need_iptables, "kube-proxy leads services with it",
	  "restart, if the kernel was updated; or apt-get install iptables (its own takes nftables)",
	  "kubernetes cmd/kube-proxy/app/server_linux.go:103: ends" },
};

enum { NEEDS = sizeof needs / sizeof needs[0] };

static bool is_asked(const struct need *need, const struct node *n)
{
	return need->of & (n->is_agent ? AGENT : SERVER) && (n->runs_pods || need->of & WITHOUT_PODS) &&
	       (!n->is_rootless || need->of & ROOTLESS);
}

static enum need_state judge(const struct need *need, const struct node *n, char what[WHAT_SIZE])
{
	enum need_state state;

	if (!is_asked(need, n))
		return NEED_UNASKED;
	state = need->look(n, what);
	return state == NEED_MISSING && !n->knows_config ? NEED_UNSURE : state;
}

static struct node node_of(const struct bundle *b, const char *data_dir, const char *config, const struct request *r)
{
	static char *none[] = { NULL };
	struct node n = { .bundle = b, .data_dir = data_dir, .knows_config = true };

	/* the words behind check-config are its script's */
	n.flags = r->command->external ? none : r->argv + r->command_at + 1;
	node_read_config(&n, config);
	n.is_agent = !strcmp(r->command->name, "agent");
	n.runs_pods = n.is_agent || !node_given(&n, "disable-agent");
	n.is_rootless = node_given(&n, "rootless");
	n.is_root = !getuid();
	return n;
}

static bool is_off(void)
{
	const char *given = from_environment(NEEDS_SWITCH);

	if (given && strcmp(given, "off"))
		log_line(LOG_WARNING, NEEDS_SWITCH " is '%s', but only 'off' means something", given);
	return given && !strcmp(given, "off");
}

void needs_check(const struct bundle *b, const char *data_dir, const char *config, const struct request *r)
{
	struct node n = node_of(b, data_dir, config, r);
	char what[WHAT_SIZE];
	int missing = 0;
	size_t i;

	if (is_off())
		return;
	for (i = 0; i < NEEDS; i++) {
		switch (judge(&needs[i], &n, what)) {
		case NEED_MISSING:
			dprintf(2, "k3s: error: %s: %s; do: %s\n", what, needs[i].why, needs[i].cure);
			missing++;
			break;
		case NEED_UNSURE:
			log_line(LOG_WARNING, "%s: %s; do: %s", what, needs[i].why, needs[i].cure);
			break;
		case NEED_THERE:
		case NEED_UNASKED:
			break;
		}
	}
	if (missing)
		fail(EXIT_NODE, "not started, for this node lacks what is named above (" NEEDS_SWITCH "=off starts all the same)");
}

/* ---- k3s --check-node, k3s check-config ---- */

static const char *const state_names[] = { "ok", "not asked", "unsure", "missing" };

static void print_json(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned int)*text);
		else
			printf(strchr("\"\\", *text) ? "\\%c" : "%c", *text);
	}
	putchar('"');
}

static void print_field(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	print_json(text);
}

static void print_need(const struct need *need, enum need_state state, const char *what, bool as_json)
{
	if (as_json) {
		printf("{\"name\": \"%s\", \"state\": \"%s\"", need->name, state_names[state]);
		print_field("what", what);
		print_field("why", need->why);
		print_field("cure", need->cure);
		print_field("refused_by", need->refused_by);
		putchar('}');
	} else if (state == NEED_MISSING || state == NEED_UNSURE) {
		printf("%-9s  %s: %s: %s; do: %s\n", state_names[state], need->name, what, need->why, need->cure);
	} else {
		printf("%-9s  %s\n", state_names[state], need->name);
	}
}

/* How many are missing. */
static int print_all(const struct node *n, bool as_json, bool with_root)
{
	char what[WHAT_SIZE];
	enum need_state state;
	int missing = 0;
	size_t i;

	for (i = 0; i < NEEDS; i++) {
		what[0] = 0;
		state = needs[i].look == need_root && !with_root ? NEED_UNASKED : judge(&needs[i], n, what);
		if (as_json)
			fputs(i ? ",\n " : "[", stdout);
		print_need(&needs[i], state, state < NEED_UNSURE ? "" : what, as_json);
		missing += state == NEED_MISSING;
	}
	if (as_json)
		printf("]\n");
	return missing;
}

void needs_show(const struct bundle *b, const char *data_dir, const char *config, const struct request *r)
{
	struct node n = node_of(b, data_dir, config, r);

	leave(print_all(&n, r->as_json, true) ? EXIT_NODE : 0);
}

/* The script of upstream follows; its code counts unless it is content. */
void needs_before_script(const struct bundle *b, const char *data_dir, const char *config, const struct request *r)
{
	struct node n = node_of(b, data_dir, config, r);
	int missing, status;
	pid_t child;

	if (is_off())
		return;
	printf("What a node must have, for `k3s server` here (docs/node.md; another start: k3s --check-node server|agent FLAGS):\n");
	missing = print_all(&n, false, false);
	printf("\n");
	flush_output();
	if (!missing)
		return;
	child = fork();
	if (child <= 0)
		return;		/* without a child this process becomes the script */
	while (waitpid(child, &status, 0) < 0)
		;
	_Exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_NODE);
}
