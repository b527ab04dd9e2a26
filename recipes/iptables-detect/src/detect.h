/* Which iptables is meant by "iptables" on this machine: the parts that find it out. */
#ifndef DETECT_H
#define DETECT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* One IP version's tables: how its legacy ones are asked, and what it is called elsewhere. */
struct family {
	const char *prefix;	/* of program names */
	int domain;		/* of sockets */
	int level;		/* of their options */
	unsigned char nf;	/* number of the family in nf_tables */
	const char *tables;	/* file that lists the legacy tables in use */
	const char *module;	/* kernel module of the legacy tables */
	const char *option;	/* kernel option for it, without CONFIG_ and _LEGACY */
	size_t entry_size;	/* of a legacy rule without its matches, in bytes */
	size_t target_at;	/* where a legacy rule says how far its target is */
	size_t next_at;		/* and how far the next rule */
};

enum { FAMILIES = 2 };
extern const struct family families[FAMILIES];

/* Chains that kubelet makes with the iptables that it finds, in the table mangle. */
enum { HINTS = 2 };
extern const char *const hints[HINTS];
#define HINT_TABLE "mangle"

/* What the tables of a flavour hold, of both families. */
struct holding {
	bool hinted;	/* one of the hint chains */
	size_t rules;	/* in tables that iptables uses */
};

/* ---- nft.c ---- */

/* false: the kernel has no nf_tables, or the caller may not ask. */
bool nft_hinted(bool *hinted);
size_t nft_rules(void);

/* ---- legacy.c ---- */

bool legacy_hinted(void);
size_t legacy_rules(void);

/* Whether the kernel has no legacy tables of the family; where that is not known, it has. */
bool legacy_missing(const struct family *family);

/* ---- host.c ---- */

/* The host's program for nf_tables in place of `name` ("ip6tables-save"); false: there is none. */
bool find_host(char path[PATH_MAX], const char *name, const struct family *family);

/* The folder of this program. false: /proc is not there. */
bool own_folder(char folder[PATH_MAX]);

/* Loads a kernel module with the kernel's own modprobe; whether it worked shows elsewhere. */
void load_module(const char *module);

#endif
