/*
 * What is in the legacy tables. They are asked by socket options, as iptables does; only tables
 * that are in use, because asking for another one would make it.
 */
#include <errno.h>
#include <linux/in.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "detect.h"

const struct family families[FAMILIES] = {
	{ "iptables", AF_INET, IPPROTO_IP, NFPROTO_IPV4, "/proc/net/ip_tables_names", "ip_tables",
	  "IP_NF_IPTABLES", sizeof(struct ipt_entry), offsetof(struct ipt_entry, target_offset),
	  offsetof(struct ipt_entry, next_offset) },
	{ "ip6tables", AF_INET6, IPPROTO_IPV6, NFPROTO_IPV6, "/proc/net/ip6_tables_names", "ip6_tables",
	  "IP6_NF_IPTABLES", sizeof(struct ip6t_entry), offsetof(struct ip6t_entry, target_offset),
	  offsetof(struct ip6t_entry, next_offset) },
};

const char *const hints[HINTS] = { "KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY" };

/* Both families have the same options with the same structures around their entries. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "getinfo");
_Static_assert(offsetof(struct ipt_get_entries, entrytable) == offsetof(struct ip6t_get_entries, entrytable), "entries");

static uint16_t number_at(const char *entry, size_t at)
{
	uint16_t number;

	memcpy(&number, entry + at, sizeof number);
	return number;
}

static bool is_hint(const char *chain)
{
	for (size_t i = 0; i < HINTS; i++)
		if (!strcmp(chain, hints[i]))
			return true;
	return false;
}

/* The chain that begins at this entry, or NULL: chains begin with a target called ERROR. */
static const char *chain_at(const char *entry, size_t target, size_t next)
{
	const struct xt_error_target *error = (const struct xt_error_target *)(entry + target);
	bool fits = target + sizeof *error <= next;

	return fits && !strcmp(error->target.u.user.name, XT_ERROR_TARGET) ? error->errorname : NULL;
}

/*
 * Chains and their hints. What is no rule: each chain's beginning and end, each built-in chain's
 * policy, and the table's end, which looks like the beginning of one more chain.
 */
static void look_through(const struct family *f, const struct ipt_getinfo *info, const char *entries,
			 struct holding *holding)
{
	size_t others = (size_t)__builtin_popcount(info->valid_hooks) + 1, chains = 0;

	for (size_t at = 0, next; at + f->entry_size <= info->size; at += next) {
		const char *entry = entries + at, *chain;

		next = number_at(entry, f->next_at);
		if (next < f->entry_size || next > info->size - at)
			return;
		chain = chain_at(entry, number_at(entry, f->target_at), next);
		chains += chain != NULL;
		holding->hinted |= chain && is_hint(chain);
	}
	others += chains ? 2 * (chains - 1) : 0;
	holding->rules += info->num_entries > others ? info->num_entries - others : 0;
}

/* Adds what a table holds. A table that changes between the two questions gives nothing. */
static void add_table(const struct family *f, int fd, const char *table, struct holding *holding)
{
	struct ipt_getinfo info = { 0 };
	socklen_t size = sizeof info;
	struct ipt_get_entries *entries;

	snprintf(info.name, sizeof info.name, "%s", table);
	if (getsockopt(fd, f->level, IPT_SO_GET_INFO, &info, &size))
		return;
	size = (socklen_t)(offsetof(struct ipt_get_entries, entrytable) + info.size);
	entries = calloc(1, size);
	if (!entries)
		return;
	snprintf(entries->name, sizeof entries->name, "%s", table);
	entries->size = info.size;
	if (!getsockopt(fd, f->level, IPT_SO_GET_ENTRIES, entries, &size))
		look_through(f, &info, (const char *)entries->entrytable, holding);
	free(entries);
}

/* Adds all tables of a family, or the one that is named. */
static void add_family(const struct family *f, const char *only, struct holding *holding)
{
	FILE *file = fopen(f->tables, "re");
	char table[XT_TABLE_MAXNAMELEN + 1];
	int fd;

	if (!file)
		return;
	fd = socket(f->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	while (fd >= 0 && fgets(table, sizeof table, file)) {
		table[strcspn(table, "\n")] = 0;
		if (!only || !strcmp(table, only))
			add_table(f, fd, table, holding);
	}
	if (fd >= 0)
		close(fd);
	fclose(file);
}

static struct holding hold(const char *only)
{
	struct holding holding = { false, 0 };

	for (size_t f = 0; f < FAMILIES; f++)
		add_family(&families[f], only, &holding);
	return holding;
}

bool legacy_hinted(void)
{
	return hold(HINT_TABLE).hinted;
}

size_t legacy_rules(void)
{
	return hold(NULL).rules;
}

/* An answer too short for any question: refused by the tables where there are some, so nothing is made. */
static bool nobody_answers(const struct family *f)
{
	int fd = socket(f->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), error = 0;
	char nothing = 0;
	socklen_t size = sizeof nothing;

	if (fd < 0)
		return false;
	if (getsockopt(fd, f->level, IPT_SO_GET_INFO, &nothing, &size))
		error = errno;
	close(fd);
	return error == ENOPROTOOPT;
}

bool legacy_missing(const struct family *family)
{
	if (!nobody_answers(family))
		return false;
	load_module(family->module);
	return nobody_answers(family);
}
