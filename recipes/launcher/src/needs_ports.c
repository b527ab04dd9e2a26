/* Ports that k3s listens on, tried with the socket options that it uses. */
#include "needs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OF_SERVER = 1, OF_AGENT = 2, OF_PODS = 4, ON_LOOPBACK = 8, SHARED = 16, UNSURE = 32 };

struct port {
	uint16_t number;
	unsigned int how;
	const char *owner;
	const char *moved_by[6];	/* flags with which it may be another, or none */
};

static const struct port ports[] = {
	{ 6443, OF_SERVER | SHARED, "k3s", { "https-listen-port", "supervisor-port", "bind-address" } },
	{ 6444, OF_SERVER | ON_LOOPBACK, "kube-apiserver",
	  { "https-listen-port", "apiserver-port", "apiserver-bind-address", "kube-apiserver-arg", "disable-apiserver" } },
	{ 6444, OF_AGENT | ON_LOOPBACK | SHARED, "the agent's load balancer", { "lb-server-port", "disable-apiserver-lb" } },
	{ 10250, OF_SERVER | OF_AGENT | OF_PODS, "kubelet", { "kubelet-arg", "bind-address" } },
	{ 10257, OF_SERVER | ON_LOOPBACK, "kube-controller-manager",
	  { "kube-controller-manager-arg", "kube-controller-arg", "disable-controller-manager" } },
	{ 10258, OF_SERVER | ON_LOOPBACK, "cloud-controller-manager",
	  { "kube-cloud-controller-manager-arg", "kube-cloud-controller-arg", "disable-cloud-controller" } },
	{ 10259, OF_SERVER | ON_LOOPBACK, "kube-scheduler", { "kube-scheduler-arg", "disable-scheduler" } },
	/* a containerd of before may be just about to end */
	{ 10010, OF_SERVER | OF_AGENT | OF_PODS | ON_LOOPBACK | UNSURE, "containerd", { "docker", "container-runtime-endpoint" } },
};

/* Everywhere means both families, as Go listens. */
static int bind_any(int fd, bool six, const struct port *p)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(p->number) };
	struct sockaddr_in6 all = { .sin6_family = AF_INET6, .sin6_port = htons(p->number) };
	int off = 0;

	if (six) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		return bind(fd, (const struct sockaddr *)&all, sizeof all);
	}
	four.sin_addr.s_addr = htonl(p->how & ON_LOOPBACK ? INADDR_LOOPBACK : INADDR_ANY);
	return bind(fd, (const struct sockaddr *)&four, sizeof four);
}

static bool is_taken(const struct port *p)
{
	bool six = p->number == 6443, taken;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 && six) {
		six = false;
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (p->how & SHARED)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	taken = bind_any(fd, six, p) && errno == EADDRINUSE;
	close(fd);
	return taken;
}

/* A cluster of IPv6 alone listens on ::1. */
static bool may_be_six(const struct node *n)
{
	static const char *const flags[] = { "cluster-cidr", "service-cidr", "node-ip", "flannel-iface", NULL };
	char interface[64];
	int at = 0;

	return node_given_any(n, flags) || !next_default_route(AF_INET, &at, interface);
}

static bool is_used(const struct node *n, const struct port *p, bool six)
{
	size_t i;

	if (!(p->how & (n->is_agent ? OF_AGENT : OF_SERVER)) || (p->how & OF_PODS && !n->runs_pods))
		return false;
	if (p->how & ON_LOOPBACK && six)
		return false;
	for (i = 0; i < sizeof p->moved_by / sizeof p->moved_by[0] && p->moved_by[i]; i++)
		if (node_given(n, p->moved_by[i]))
			return false;
	return true;
}

enum need_state need_ports(const struct node *n, char what[WHAT_SIZE])
{
	enum need_state state = NEED_THERE;
	bool six = may_be_six(n);
	size_t i, used;

	if (node_given(n, "cluster-reset"))
		return NEED_UNASKED;
	what[0] = 0;
	for (i = 0; i < sizeof ports / sizeof ports[0]; i++) {
		/* the cheaper question first */
		if (!is_taken(&ports[i]) || !is_used(n, &ports[i], six))
			continue;
		used = strlen(what);
		snprintf(what + used, WHAT_SIZE - used, "%s%u (%s)", used ? ", " : "another program has the port ", ports[i].number,
			 ports[i].owner);
		if (!(ports[i].how & UNSURE))
			state = NEED_MISSING;
		else if (state == NEED_THERE)
			state = NEED_UNSURE;
	}
	return state;
}
