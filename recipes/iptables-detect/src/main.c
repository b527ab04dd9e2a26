/*
 * iptables, iptables-save, iptables-restore and the same for IPv6, by name: becomes the program
 * that sees the rules of this machine.
 *
 * Rules of iptables lie in one of two places of the kernel that do not know each other: the
 * legacy tables, or nf_tables. The bundled iptables knows the legacy ones only. Asked in this
 * order, the first "yes" decides:
 *
 *   1  was it started by a program that this one has started?           bundled (or it would not end)
 *   2  has the host no iptables for nf_tables?                          bundled
 *   3  is there no nf_tables in the kernel, or may this user not ask?   bundled
 *   4  are kubelet's hint chains in nf_tables?                          host's
 *   5  are they in the legacy tables?                                   bundled
 *   6  are more rules in nf_tables than in the legacy tables?           host's
 *   7  has the kernel no legacy tables?                                 host's
 *   8  otherwise                                                        bundled
 *
 * 4 and 5 keep a node at what it began with: kubelet makes these chains at its start, with the
 * iptables that it finds. Both IP versions are asked together, so that they cannot differ.
 *
 * When it is reached at all: the launcher puts bin/aux behind the host's PATH, so an `iptables`
 * of the host's is found first, and this one where there is none: then 2 decides, by looking at
 * some files. With --prefer-bundled-bin bin/aux comes first, and all of the table matters.
 *
 * Where the bundled one is chosen and the kernel has no legacy tables, nothing can work: that is
 * said here, because what the legacy program says of it ("do you need to insmod?") leads nowhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect.h"

#define SELF  "iptables-detect"
#define GUARD "K3S_IPTABLES_DETECT"

/* As iptables: a kernel that lacks something, wrong arguments, anything else. */
enum { EXIT_KERNEL = 3, EXIT_USAGE = 2, EXIT_OTHER = 1 };

/* What to run. path: the host's program, or "" for the bundled one. */
struct choice {
	char path[PATH_MAX];
	const char *why;
};

static bool known(const char *name)
{
	static const char *const names[] = {
		"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static const struct family *family_of(const char *name)
{
	return &families[strncmp(name, families[1].prefix, strlen(families[1].prefix)) == 0];
}

/* Rows 3 to 8 of the table. */
static bool host_is_meant(const struct family *family, const char **why)
{
	bool hinted = false;

	if (!nft_hinted(&hinted)) {
		*why = "the kernel has no nf_tables, or may not be asked by this user";
		return false;
	}
	if (hinted) {
		*why = "kubelet's chains are in nf_tables";
		return true;
	}
	if (legacy_hinted()) {
		*why = "kubelet's chains are in the legacy tables";
		return false;
	}
	if (nft_rules() > legacy_rules()) {
		*why = "nf_tables holds more rules than the legacy tables";
		return true;
	}
	*why = "the kernel has no legacy tables";
	if (legacy_missing(family))
		return true;
	*why = "nf_tables holds no more rules than the legacy tables";
	return false;
}

static void choose(struct choice *choice, const char *name)
{
	const struct family *family = family_of(name);
	bool host = false;

	if (getenv(GUARD))
		choice->why = "called by the host's iptables";
	else if (!find_host(choice->path, name, family))
		choice->why = "the host has no iptables for nf_tables";
	else
		host = host_is_meant(family, &choice->why);
	if (!host)
		choice->path[0] = 0;
}

static _Noreturn void run(const char *path, char *argv[])
{
	execv(path, argv);
	fprintf(stderr, "%s: cannot run %s: %s\n", argv[0], path, strerror(errno));
	exit(EXIT_OTHER);
}

/* Questions that need no kernel: kube-proxy and others ask for the version before anything else. */
static bool asks_kernel(char *argv[])
{
	static const char *const harmless[] = { "-V", "--version", "-h", "--help" };

	for (size_t i = 0; argv[1] && i < sizeof harmless / sizeof harmless[0]; i++)
		if (!strcmp(argv[1], harmless[i]))
			return false;
	return true;
}

static void demand_kernel(const char *name)
{
	const struct family *family = family_of(name);

	if (!legacy_missing(family))
		return;
	fprintf(stderr, "%s: this kernel has no legacy tables (%s), and the host has no %s for nf_tables\n"
		"  cause: the kernel was built without CONFIG_%s_LEGACY (before Linux 6.17: CONFIG_%s),\n"
		"    or its module %s is not installed\n"
		"  do: install the distribution's package iptables, or boot a kernel with that option\n",
		name, family->module, family->prefix, family->option, family->option, family->module);
	exit(EXIT_KERNEL);
}

static _Noreturn void run_bundled(const char *name, char *argv[])
{
	char folder[PATH_MAX], path[PATH_MAX + 32], applet[32];

	if (asks_kernel(argv))
		demand_kernel(name);
	if (!own_folder(folder)) {
		fprintf(stderr, "%s: cannot tell where this program is: /proc is not mounted\n", name);
		exit(EXIT_OTHER);
	}
	snprintf(path, sizeof path, "%s/xtables-legacy-multi", folder);
	/* the name tells the program what it is */
	snprintf(applet, sizeof applet, "%s", name);
	argv[0] = applet;
	run(path, argv);
}

static int explain(const struct choice *choice)
{
	printf("%s: %s\n", choice->path[0] ? "host" : "bundled", choice->why);
	return fflush(stdout) ? EXIT_OTHER : 0;
}

int main(int argc, char *argv[])
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc ? argv[0] : "";
	struct choice choice = { "", "" };
	bool self = !strcmp(name, SELF);

	if (!self && !known(name)) {
		fprintf(stderr, "%s: not a name of iptables\n  do: call it by a link named iptables, ip6tables, "
			"or one of them with -save or -restore\n", name);
		return EXIT_USAGE;
	}
	choose(&choice, self ? families[0].prefix : name);
	if (self)
		return explain(&choice);
	if (!choice.path[0])
		run_bundled(name, argv);
	setenv(GUARD, "1", 1);
	argv[0] = choice.path;
	run(choice.path, argv);
}
