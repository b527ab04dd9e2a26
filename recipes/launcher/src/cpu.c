/*
 * Is this CPU new enough for the payload? A payload for a newer one would die
 * of an illegal instruction, without a word. The launcher itself is compiled
 * for the family's oldest member, so that it lives to say so.
 */
#include "launcher.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

struct cpu {
	const char *name, *family;
	int level;		/* within the family; 0: nothing to compare */
	const char *title;
};

static const struct cpu cpus[] = {
	{ "armv6", "arm", 6, "ARMv6" }, { "armv7", "arm", 7, "ARMv7" },
	{ "arm64", "arm64", 0, "64-bit ARM" }, { "amd64", "amd64", 0, "x86-64" },
	{ "386", "386", 0, "32-bit x86" }, { "riscv64", "riscv64", 0, "RISC-V 64" },
	{ "s390x", "s390x", 0, "s390x" }, { "ppc64le", "ppc64le", 0, "ppc64le" },
};

#if defined(__arm__)
#define FAMILY "arm"
#elif defined(__aarch64__)
#define FAMILY "arm64"
#elif defined(__x86_64__)
#define FAMILY "amd64"
#elif defined(__i386__)
#define FAMILY "386"
#elif defined(__riscv)
#define FAMILY "riscv64"
#elif defined(__s390x__)
#define FAMILY "s390x"
#else
#define FAMILY "ppc64le"
#endif

/* 6 for "v6l", "armv6l"; 8 for "v8l", "armv8l", "aarch64". */
static int arm_level(const char *platform)
{
	if (!strncmp(platform, "aarch64", 7))
		return 8;
	if (!strncmp(platform, "arm", 3))
		platform += 3;
	return platform[0] == 'v' && platform[1] >= '4' && platform[1] <= '9' ? platform[1] - '0' : 0;
}

/* The kernel hands the CPU's name to every program; uname is the second witness. */
static int own_level(void)
{
	const char *platform = (const char *)getauxval(AT_PLATFORM);
	int level = platform ? arm_level(platform) : 0;
	struct utsname name;

	if (!level && !uname(&name))
		level = arm_level(name.machine);
	return level;
}

void cpu_check(const struct bundle *b)
{
	const struct cpu *need = cpus;
	size_t left = sizeof cpus / sizeof cpus[0];
	int level;

	for (; left && strcmp(need->name, b->cpu); left--)
		need++;
	if (!left)
		bundle_corrupt(b, "its manifest asks for the unknown CPU '%s'", b->cpu);
	if (strcmp(need->family, FAMILY))
		bundle_corrupt(b, "its payload is for %s, its launcher for " FAMILY, need->title);
	if (!need->level)
		return;
	level = own_level();
	if (level && level < need->level)
		fail(EXIT_CPU, "this k3s is for %s, this CPU is ARMv%d: take k3s-armv%d",
		     need->title, level, level);
}
