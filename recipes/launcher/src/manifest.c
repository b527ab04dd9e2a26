/*
 * The manifest's lines: what is in the bundle. They are read one at a time;
 * manifest_check_* judge them before any is obeyed.
 */
#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 4096, FIELDS = 8, COMPONENT_MAX = 64, DEFAULT_FIELDS = 6 };

static const char image_suffix[] = ".tar.zst";

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

int split_words(char *line, char **field, int max)
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
	e->sha256 = field[3];
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

bool is_image_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+._-";
	size_t size = strlen(name), tail = sizeof image_suffix - 1;

	return size > tail && size <= IMAGE_NAME_MAX && !strcmp(name + size - tail, image_suffix) &&
	       strspn(name, allowed) == size && !strchr("+._-", name[0]);
}

static bool is_component(const char *name)
{
	size_t size = strlen(name);

	return size && size <= COMPONENT_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

static bool begins(const char *line, const char *word)
{
	size_t size = strlen(word);

	return !strncmp(line, word, size) && (line[size] == ' ' || line[size] == '\n');
}

/* The next line that begins with one of two words. */
static bool find_line(const struct bundle *b, const char **cursor, const char *const words[2], char line[LINE_SIZE])
{
	const char *at = *cursor ? *cursor : b->manifest, *last = b->manifest + b->manifest_size, *end;

	for (; strncmp(at, "end\n", 4); at = end + 1) {
		/* not strchr: zig's reads to the end of the text each time, which is all of the manifest */
		end = memchr(at, '\n', (size_t)(last - at));
		if (!end || end - at >= LINE_SIZE)
			bundle_corrupt(b, "its manifest has no end");
		if (!begins(at, words[0]) && !begins(at, words[1]))
			continue;
		memcpy(line, at, (size_t)(end - at));
		line[end - at] = 0;
		*cursor = end + 1;
		return true;
	}
	if (at + 4 != last)
		bundle_corrupt(b, "its manifest goes on after its end");
	return false;
}

/*
 * The same, split at its spaces; the fields point into `line`. How many
 * fields, -1 for too many, 0 for no line.
 */
static int next_line(const struct bundle *b, const char **cursor, const char *const words[2],
		     char line[LINE_SIZE], char *field[FIELDS])
{
	return find_line(b, cursor, words, line) ? split_words(line, field, FIELDS) : 0;
}

bool bundle_next(const struct bundle *b, const char **cursor, struct entry *e)
{
	static const char *const words[2] = { "file", "link" };
	static char line[LINE_SIZE];
	char *field[FIELDS];
	int count = next_line(b, cursor, words, line, field);

	*e = (struct entry){ 0 };
	if (!count)
		return false;
	if (line[0] == 'f') {
		parse_file(b, field, count, e);
		return true;
	}
	if (count != 3)
		bundle_corrupt(b, "its manifest has a malformed link line");
	e->path = field[1];
	e->link = field[2];
	return true;
}

bool bundle_next_image(const struct bundle *b, const char **cursor, struct image *i)
{
	static const char *const words[2] = { "image", "image" };
	static char line[LINE_SIZE];
	char *field[FIELDS];
	int count = next_line(b, cursor, words, line, field);

	if (!count)
		return false;
	if (count != 5 || !is_hash(field[2], strlen(field[2])))
		bundle_corrupt(b, "its manifest has a malformed image line");
	*i = (struct image){ field[4], field[2], number(b, field[1], 10), number(b, field[3], 10) };
	return true;
}

bool bundle_next_without(const struct bundle *b, const char **cursor, const char **component)
{
	static const char *const words[2] = { "without", "without" };
	static char line[LINE_SIZE];
	char *field[FIELDS];
	int count = next_line(b, cursor, words, line, field);

	if (!count)
		return false;
	if (count != 2 || !is_component(field[1]))
		bundle_corrupt(b, "its manifest has a malformed without line");
	*component = field[1];
	return true;
}

static void parse_commands(const struct bundle *b, const char *text, struct board_default *d)
{
	d->server = !strcmp(text, "server") || !strcmp(text, "server,agent");
	d->agent = !strcmp(text, "agent") || !strcmp(text, "server,agent");
	if (!d->server && !d->agent)
		bundle_corrupt(b, "its manifest has a default for '%s', not for server or agent", text);
}

static void parse_kind(const struct bundle *b, const char *text, struct board_default *d)
{
	d->is_flag = !strcmp(text, "flag");
	if (!d->is_flag && strcmp(text, "env"))
		bundle_corrupt(b, "its manifest has a default of the unknown kind '%s'", text);
}

/* What a terminal shows as it is, and JSON holds without an escape. */
static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static bool is_default_name(const struct board_default *d)
{
	static const char variable[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	static const char flag[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t size = strlen(d->name);

	return size && size <= COMPONENT_MAX && strspn(d->name, d->is_flag ? flag : variable) == size;
}

/* "default <commands> <below-mib> <kind> <name>=<value> <why it is there>" */
bool bundle_next_default(const struct bundle *b, const char **cursor, struct board_default *d)
{
	static const char *const words[2] = { "default", "default" };
	static char line[LINE_SIZE];
	char *field[DEFAULT_FIELDS] = { line }, *value;
	int i;

	if (!find_line(b, cursor, words, line))
		return false;
	for (i = 1; i < DEFAULT_FIELDS; i++) {
		field[i] = strchr(field[i - 1], ' ');
		if (!field[i])
			bundle_corrupt(b, "its manifest has a malformed default line");
		*field[i]++ = 0;
	}
	value = strchr(field[4], '=');
	if (!value || strlen(value + 1) >= DEFAULT_VALUE_MAX || !is_printable(value) || !is_printable(field[5]))
		bundle_corrupt(b, "its manifest has a malformed default line");
	*value++ = 0;
	*d = (struct board_default){ .name = field[4], .value = value, .why = field[5] };
	d->below_mib = number(b, field[2], 10);
	parse_commands(b, field[1], d);
	parse_kind(b, field[3], d);
	if (!is_default_name(d))
		bundle_corrupt(b, "its manifest has a malformed default for '%s'", d->name);
	return true;
}

void manifest_check_entries(const struct bundle *b)
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

static void check_image(const struct bundle *b, const struct image *i)
{
	if (!is_image_name(i->name))
		bundle_corrupt(b, "its manifest names the image %s, which is no plain name of a .tar.zst", i->name);
	if (i->at > b->manifest_at || i->size > b->manifest_at - i->at)
		bundle_corrupt(b, "its manifest places %s outside the file", i->name);
}

void manifest_check_extras(const struct bundle *b)
{
	const char *cursor = NULL, *component;
	unsigned int images = 0, components = 0, defaults = 0;
	struct board_default d;
	struct image i;

	if (memchr(b->manifest, 0, (size_t)b->manifest_size))
		bundle_corrupt(b, "its manifest is no text");
	for (; bundle_next_image(b, &cursor, &i); images++)
		check_image(b, &i);
	for (cursor = NULL; bundle_next_without(b, &cursor, &component); components++)
		;
	for (cursor = NULL; bundle_next_default(b, &cursor, &d); defaults++)
		;
	if (images > IMAGES_MAX)
		bundle_corrupt(b, "its manifest has %u images, more than %d", images, IMAGES_MAX);
	if (defaults > DEFAULTS_MAX)
		bundle_corrupt(b, "its manifest has %u defaults, more than %d", defaults, DEFAULTS_MAX);
	/* a steady start would not see them there */
	if (images + components + defaults && !b->has_extras)
		bundle_corrupt(b, "its manifest has images, components or defaults in the wrong place");
}
