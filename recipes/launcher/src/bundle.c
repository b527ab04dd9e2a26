/*
 * Our own executable as a bundle:
 * launcher ELF | frames | images | manifest | footer.
 * A steady start reads 64 + at most HEAD bytes of it and trusts them as hints
 * (a wrong hash only means that nothing is found); whoever places images or
 * leaves components out calls bundle_load() first, whoever extracts
 * bundle_verify().
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum {
	FOOTER = 64,
	FORMAT_VERSION = 1,
	KIND_FRAMES = 1,
	HEAD = 1024,		/* the manifest's named lines fit in this */
	MANIFEST_MAX = 1 << 20
};

void bundle_corrupt(const struct bundle *b, const char *format, ...)
{
	char what[512], *at;
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	/* it may quote what is damaged: nothing of that may steer a terminal */
	for (at = what; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	fail(EXIT_CORRUPT, "the executable %s is damaged: %s\n"
	     "  cause: an interrupted download, or a bad disk or SD card\n"
	     "  do: download it again and compare its sha256 with the release's", b->path, what);
}

static uint64_t little_endian(const uint8_t *at, unsigned int size)
{
	uint64_t value = 0;

	while (size)
		value = value << 8 | at[--size];
	return value;
}

static void read_at(const struct bundle *b, void *to, size_t size, uint64_t at)
{
	size_t done = 0;
	ssize_t got;

	while (done < size) {
		got = pread(b->fd, (char *)to + done, size - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail(EXIT_SELF, "cannot read the executable %s: %s\n"
			     "  do: copy or download it again, to another disk if this repeats",
			     b->path, strerror(errno));
		if (!got)
			bundle_corrupt(b, "it ends while it is read");
		done += (size_t)got;
	}
}

/* Without /proc the kernel still tells by which path we were executed. */
static void open_self(struct bundle *b)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	off_t size;

	b->path = name ? name : "k3s";
	b->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		b->fd = open(b->path, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		fail(EXIT_SELF, "cannot open the executable %s itself: %s\n"
		     "  cause: no read permission, or it was moved and /proc is not mounted\n"
		     "  do: chmod 755 it, mount /proc, or call it by its full path", b->path, strerror(errno));
	size = lseek(b->fd, 0, SEEK_END);
	if (size < 0)
		fail(EXIT_SELF, "cannot find the size of the executable %s: %s\n"
		     "  do: call it from an ordinary file system", b->path, strerror(errno));
	b->size = (uint64_t)size;
}

static void read_footer(struct bundle *b)
{
	uint8_t raw[FOOTER];
	uint64_t version, kind, end;

	if (b->size < FOOTER)
		bundle_corrupt(b, "it has only %llu bytes", (unsigned long long)b->size);
	end = b->size - FOOTER;
	read_at(b, raw, sizeof raw, end);
	if (memcmp(raw, "K3SBNDL", 8))
		bundle_corrupt(b, "no footer at its end, so it is truncated or something was appended");
	version = little_endian(raw + 8, 4);
	kind = little_endian(raw + 12, 4);
	if (version != FORMAT_VERSION)
		fail(EXIT_FORMAT, "the executable %s has bundle format %llu, this launcher knows %d\n"
		     "  cause: launcher and payload are from different releases, or the footer is damaged\n"
		     "  do: download the executable again", b->path, (unsigned long long)version, FORMAT_VERSION);
	if (kind != KIND_FRAMES)
		fail(EXIT_FORMAT, "the executable %s has payload kind %llu, this launcher knows %d (zstd frames)\n"
		     "  cause: launcher and payload are from different releases, or the footer is damaged\n"
		     "  do: download the executable again", b->path, (unsigned long long)kind, KIND_FRAMES);
	b->manifest_at = little_endian(raw + 16, 8);
	b->manifest_size = little_endian(raw + 24, 8);
	memcpy(b->manifest_sha, raw + 32, sizeof b->manifest_sha);
	if (b->manifest_size > MANIFEST_MAX || b->manifest_size > end || b->manifest_at != end - b->manifest_size)
		bundle_corrupt(b, "its footer points outside the file");
}

/* "name value" out of the manifest's first lines. */
static void head_field(const struct bundle *b, const char *head, const char *name, char *out, size_t size)
{
	size_t name_size = strlen(name), value_size;
	const char *line = head;

	while (strncmp(line, name, name_size) || line[name_size] != ' ') {
		line = strchr(line, '\n');
		if (!line)
			bundle_corrupt(b, "its manifest names no %s", name);
		line++;
	}
	line += name_size + 1;
	value_size = strcspn(line, "\n");
	if (line[value_size] != '\n' || !value_size || value_size >= size)
		bundle_corrupt(b, "its manifest's %s is unusable", name);
	memcpy(out, line, value_size);
	out[value_size] = 0;
}

void bundle_peek(struct bundle *b)
{
	if (b->manifest)
		return;
	b->manifest = calloc((size_t)b->manifest_size + 1, 1);
	if (!b->manifest)
		fail(EXIT_SYSTEM, "no memory for a manifest of %llu bytes\n"
		     "  do: stop other programs, or add swap", (unsigned long long)b->manifest_size);
	read_at(b, b->manifest, (size_t)b->manifest_size, b->manifest_at);
}

static void load_manifest(struct bundle *b)
{
	uint8_t digest[32];

	bundle_peek(b);
	sha256((const uint8_t *)b->manifest, (size_t)b->manifest_size, digest);
	if (memcmp(digest, b->manifest_sha, sizeof digest))
		bundle_corrupt(b, "its manifest does not match its sha256");
	b->verified = true;
}

/* What is there besides the payload stands right behind the data name. */
static bool names_extras(const char *head)
{
	const char *line = strstr(head, "\ndata ");

	line = line ? strchr(line + 1, '\n') : NULL;
	return line && (!strncmp(line, "\ndefault ", 9) || !strncmp(line, "\nwithout ", 9) ||
			!strncmp(line, "\nimage ", 7));
}

static void read_head(struct bundle *b)
{
	size_t size = b->manifest_size < HEAD ? (size_t)b->manifest_size : HEAD;
	char head[HEAD + 1], format[16];

	read_at(b, head, size, b->manifest_at);
	head[size] = 0;
	head_field(b, head, "k3s-bundle", format, sizeof format);
	if (strcmp(format, "1")) {
		load_manifest(b);	/* of the future, or only damaged? */
		fail(EXIT_FORMAT, "the executable %s has manifest format %s, this launcher knows 1\n"
		     "  do: download the executable again", b->path, format);
	}
	head_field(b, head, "target", b->target, sizeof b->target);
	head_field(b, head, "version", b->version, sizeof b->version);
	head_field(b, head, "commit", b->commit, sizeof b->commit);
	head_field(b, head, "go", b->go, sizeof b->go);
	head_field(b, head, "cpu", b->cpu, sizeof b->cpu);
	head_field(b, head, "data", b->hash, sizeof b->hash);
	if (!is_hash(b->hash, strlen(b->hash)))
		bundle_corrupt(b, "its manifest's data name is no sha256");
	b->draft = strstr(head, "\ndraft ") != NULL;
	b->has_extras = names_extras(head);
}

void bundle_open(struct bundle *b)
{
	open_self(b);
	read_footer(b);
	read_head(b);
}

void bundle_load(struct bundle *b)
{
	if (b->verified)
		return;
	load_manifest(b);
	manifest_check_extras(b);
}

void bundle_verify(struct bundle *b)
{
	bundle_load(b);
	manifest_check_entries(b);
}
