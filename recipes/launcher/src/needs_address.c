/* The node's address, as k3s finds it: by default routes, in the kernel's own words. */
#include "needs.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* As Go's IP.IsGlobalUnicast: private ones count. */
static bool is_global(const struct sockaddr *address)
{
	struct in6_addr six;
	uint32_t four;

	if (address->sa_family == AF_INET) {
		memcpy(&four, &((const struct sockaddr_in *)(const void *)address)->sin_addr, sizeof four);
		four = ntohl(four);
		return four && four >> 24 != 127 && four >> 28 != 14 && four >> 16 != 0xa9fe && four != UINT32_MAX;
	}
	memcpy(&six, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof six);
	return !IN6_IS_ADDR_UNSPECIFIED(&six) && !IN6_IS_ADDR_LOOPBACK(&six) && !IN6_IS_ADDR_MULTICAST(&six) &&
	       !IN6_IS_ADDR_LINKLOCAL(&six);
}

/* An address may have a label, "eth0:1". */
static bool is_named(const struct ifaddrs *i, const char *interface)
{
	size_t size;

	if (!interface)
		return i->ifa_flags & IFF_LOOPBACK;
	size = strlen(interface);
	return !strncmp(i->ifa_name, interface, size) && (!i->ifa_name[size] || i->ifa_name[size] == ':');
}

static bool is_of(const struct ifaddrs *i, int family)
{
	int has = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;

	return (has == AF_INET || has == AF_INET6) && (!family || has == family) && is_global(i->ifa_addr);
}

enum address_state address_of(const char *interface, int family)
{
	enum address_state state = NO_INTERFACE;
	struct ifaddrs *all, *i;

	if (getifaddrs(&all))
		return ADDRESS_FOUND;	/* nothing is known */
	for (i = all; i && state != ADDRESS_FOUND; i = i->ifa_next) {
		if (!is_named(i, interface))
			continue;
		if (!(i->ifa_flags & IFF_UP))
			state = state == NO_INTERFACE ? INTERFACE_DOWN : state;
		else
			state = is_of(i, family) ? ADDRESS_FOUND : NO_ADDRESS;
	}
	freeifaddrs(all);
	return state;
}

enum { FIELDS = 10 };

static const char zero[] = "00000000000000000000000000000000";

/*
 * "eth0 00000000 0102A8C0 ...": k3s does not look at the netmask either.
 * "<destination> 00 <source> 00 <next hop> metric ... eth0": without a next hop it is none.
 */
static const char *default_interface(char *line, int family)
{
	char *field[FIELDS] = { NULL }, *save = NULL;
	int i;

	for (i = 0; i < FIELDS; i++) {
		field[i] = strtok_r(i ? NULL : line, " \t\n", &save);
		if (!field[i])
			break;
	}
	if (family == AF_INET)
		return i > 2 && !strcmp(field[1], zero + 24) ? field[0] : NULL;
	return i == FIELDS && !strcmp(field[0], zero) && strcmp(field[4], zero) ? field[9] : NULL;
}

bool next_default_route(int family, int *at, char interface[64])
{
	FILE *file = fopen(family == AF_INET ? "/proc/net/route" : "/proc/net/ipv6_route", "re");
	const char *name;
	char line[512];
	bool found = false;
	int seen = 0;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof line, file)) {
		name = default_interface(line, family);
		if (name && seen++ == *at) {
			snprintf(interface, 64, "%s", name);
			found = true;
		}
	}
	fclose(file);
	*at += found;
	return found;
}

/* The first that k3s's search comes to, by its rules. */
static enum address_state search(int family, bool *any_route)
{
	char interface[64];
	enum address_state state;
	int at = 0;

	while (next_default_route(family, &at, interface)) {
		*any_route = true;
		state = address_of(interface, family);
		if (state == ADDRESS_FOUND || address_of(NULL, family) == ADDRESS_FOUND)
			return ADDRESS_FOUND;
	}
	return NO_ADDRESS;
}

enum need_state need_address(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "node-ip", "flannel-iface", "vpn-auth", "vpn-auth-file", NULL };
	bool any_route = false;

	if (node_given_any(n, others) || access("/proc/net/route", R_OK))
		return NEED_UNASKED;
	if (search(AF_INET, &any_route) == ADDRESS_FOUND || search(AF_INET6, &any_route) == ADDRESS_FOUND)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, any_route ? "the interface of the default route is down, or without an address" :
		 "there is no default route");
	return NEED_MISSING;
}

/* What flannel asks for itself, where --node-ip spared k3s the search. */
enum need_state need_flannel_route(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const others[] = { "flannel-iface", "flannel-backend", "vpn-auth", "vpn-auth-file", NULL };
	char interface[64];
	int at4 = 0, at6 = 0;

	if (!node_given(n, "node-ip") || node_given_any(n, others) || access("/proc/net/route", R_OK))
		return NEED_UNASKED;
	if (next_default_route(AF_INET, &at4, interface) || next_default_route(AF_INET6, &at6, interface))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "there is no default route, and --node-ip alone does not tell flannel its interface");
	return n->is_agent ? NEED_UNSURE : NEED_MISSING;
}

enum need_state need_flannel_iface(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const states[] = { "", "does not exist", "is down", "has no address" };
	const char *interface = node_value(n, "flannel-iface", NULL, NULL);
	enum address_state state;

	if (!interface || !*interface || node_given(n, "node-ip"))
		return NEED_UNASKED;
	state = address_of(interface, 0);
	if (state == ADDRESS_FOUND)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "the interface %.64s of --flannel-iface %s", interface, states[state]);
	return NEED_MISSING;
}

enum need_state need_loopback(const struct node *n, char what[WHAT_SIZE])
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), failed;

	(void)n;
	if (fd < 0)
		return NEED_UNASKED;
	failed = ioctl(fd, SIOCGIFFLAGS, &request);
	close(fd);
	if (!failed && request.ifr_flags & IFF_UP)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, failed ? "there is no loopback interface lo" : "the loopback interface lo is down");
	return NEED_MISSING;
}
