/*
 * Our own executable as a bundle: launcher ELF | frames | manifest | footer.
 * A steady start reads 64 + at most HEAD bytes of it and trusts them as hints
 * (a wrong hash only means that nothing is found); whoever extracts calls
 * bundle_verify() first.
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

static void load_manifest(struct bundle *b)
{
	uint8_t digest[32];

	b->manifest = calloc((size_t)b->manifest_size + 1, 1);
	if (!b->manifest)
		fail(EXIT_SYSTEM, "no memory for a manifest of %llu bytes\n"
		     "  do: stop other programs, or add swap", (unsigned long long)b->manifest_size);
	read_at(b, b->manifest, (size_t)b->manifest_size, b->manifest_at);
	sha256((const uint8_t *)b->manifest, (size_t)b->manifest_size, digest);
	if (memcmp(digest, b->manifest_sha, sizeof digest))
		bundle_corrupt(b, "its manifest does not match its sha256");
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
}

void bundle_open(struct bundle *b)
{
	open_self(b);
	read_footer(b);
	read_head(b);
}

static uint64_t number(const struct bundle *b, const char *text, int base)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, base);
	if (errno || *end || text[0] < '0' || text[0] > '9')
		bundle_corrupt(b, "its manifest holds '%s' where a number belongs", text);
	return value;
}

/* Splits a line at single spaces, in place. */
static int split(char *line, char **field, int max)
{
	int count = 0;

	while (line && count < max) {
		field[count++] = line;
		line = strchr(line, ' ');
		if (line)
			*line++ = 0;
	}
	return line ? -1 : count;
}

static bool component_safe(const char *at, size_t size)
{
	return size && size <= NAME_MAX && !(size == 1 && at[0] == '.') &&
	       !(size == 2 && at[0] == '.' && at[1] == '.');
}

/* Relative, below bin/ or etc/, no "." and "..", nothing unprintable. */
static bool path_safe(const char *path)
{
	const char *at = path;
	size_t size;

	if ((strncmp(path, "bin/", 4) && strncmp(path, "etc/", 4)) || strlen(path) > 1024)
		return false;
	for (; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127 || *at == '\\')
			return false;
	for (at = path;; at += size + 1) {
		size = strcspn(at, "/");
		if (!component_safe(at, size))
			return false;
		if (!at[size])
			return true;
	}
}

/* A link may climb, but never out of the directory that the payload owns. */
static bool target_safe(const char *path, const char *target)
{
	int depth = -1;
	size_t size;

	for (; *path; path++)
		depth += *path == '/';
	if (!*target || *target == '/' || strlen(target) > 1024)
		return false;
	for (;; target += size + 1) {
		size = strcspn(target, "/");
		if (size == 2 && target[0] == '.' && target[1] == '.')
			depth--;
		else if (component_safe(target, size))
			depth++;
		else
			return false;
		if (depth < -1)
			return false;
		if (!target[size])
			return true;
	}
}

static void parse_file(const struct bundle *b, char **field, int count, struct entry *e)
{
	if (count != 7 || strlen(field[1]) != 4 || !is_hash(field[3], strlen(field[3])))
		bundle_corrupt(b, "its manifest has a malformed file line");
	e->link = NULL;
	e->mode = (unsigned int)number(b, field[1], 8);
	e->size = number(b, field[2], 10);
	e->frame_at = number(b, field[4], 10);
	e->frame_size = number(b, field[5], 10);
	e->path = field[6];
	if (e->mode > 0777)
		bundle_corrupt(b, "its manifest gives %s the mode %s", e->path, field[1]);
	if (e->size > INT64_MAX / 4 || e->frame_at > b->manifest_at || e->frame_size > b->manifest_at - e->frame_at)
		bundle_corrupt(b, "its manifest places %s outside the file", e->path);
}

bool bundle_next(const struct bundle *b, const char **cursor, struct entry *e)
{
	const char *at = *cursor ? *cursor : b->manifest;
	static char line[4096];
	char *field[8];
	size_t size;
	int count;

	for (; strncmp(at, "end\n", 4); at += size + 1) {
		size = strcspn(at, "\n");
		if (!at[size] || size >= sizeof line)
			bundle_corrupt(b, "its manifest has no end");
		if (strncmp(at, "file ", 5) && strncmp(at, "link ", 5))
			continue;
		memcpy(line, at, size);
		line[size] = 0;
		count = split(line, field, 8);
		*e = (struct entry){ 0 };
		if (line[0] == 'f') {
			parse_file(b, field, count, e);
		} else {
			if (count != 3)
				bundle_corrupt(b, "its manifest has a malformed link line");
			e->path = field[1];
			e->link = field[2];
		}
		*cursor = at + size + 1;
		return true;
	}
	if (at[4])
		bundle_corrupt(b, "its manifest goes on after its end");
	return false;
}

static void check_entries(const struct bundle *b)
{
	const char *cursor = NULL;
	struct entry e;

	while (bundle_next(b, &cursor, &e)) {
		if (!path_safe(e.path))
			bundle_corrupt(b, "its manifest names the path %s, which is not below bin/ or etc/", e.path);
		if (e.link && !target_safe(e.path, e.link))
			bundle_corrupt(b, "its link %s points to %s, outside the payload", e.path, e.link);
	}
}

void bundle_verify(struct bundle *b)
{
	load_manifest(b);
	check_entries(b);
}
