/*
 * Four keys out of k3s's configuration: the main file first, then the files
 * of <main>.d in order of their names; the last value wins.
 *
 * This reads the YAML that people write for these keys: top-level keys, plain
 * and quoted scalars, block scalars, a value on the next line, the first
 * element of a list, JSON. It does not judge the rest of the file: the inner
 * program parses it whole and reports what is wrong with it.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_MAX = 4 << 20 };

struct text {
	const char *at, *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct text *t)
{
	while (t->at < t->end && is_blank(*t->at))
		t->at++;
}

/* Takes the next line off t, without its end. */
static struct text next_line(struct text *t)
{
	struct text line = *t;

	while (t->at < t->end && *t->at != '\n')
		t->at++;
	line.end = t->at;
	if (t->at < t->end)
		t->at++;
	while (line.end > line.at && line.end[-1] == '\r')
		line.end--;
	return line;
}

static size_t indent_of(struct text line)
{
	size_t size = 0;

	while (line.at + size < line.end && line.at[size] == ' ')
		size++;
	return size;
}

/* Nothing on the line but blanks and a comment. */
static bool is_empty(struct text line)
{
	skip_blanks(&line);
	return line.at == line.end || *line.at == '#';
}

struct buffer {
	char *at;
	size_t size, used;
};

static void put(struct buffer *b, char c)
{
	if (b->used + 1 < b->size)
		b->at[b->used++] = c;
	b->at[b->used] = 0;
}

static void put_code_point(struct buffer *b, unsigned long code)
{
	if (code < 0x80) {
		put(b, (char)code);
	} else if (code < 0x800) {
		put(b, (char)(0xc0 | code >> 6));
		put(b, (char)(0x80 | (code & 63)));
	} else {
		put(b, (char)(0xe0 | (code >> 12 & 15)));
		put(b, (char)(0x80 | (code >> 6 & 63)));
		put(b, (char)(0x80 | (code & 63)));
	}
}

/* After a backslash in double quotes. */
static void escape(struct text *t, struct buffer *out)
{
	static const char names[] = "nt0r", values[] = "\n\t\0\r";
	char c = *t->at++, digits[5] = "";
	size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 0;
	const char *name = strchr(names, c);

	if (size && (size_t)(t->end - t->at) >= size) {
		memcpy(digits, t->at, size);
		t->at += size;
		put_code_point(out, strtoul(digits, NULL, 16));
	} else if (name) {
		put(out, values[name - names]);
	} else {
		put(out, c);
	}
}

static void quoted(struct text *t, struct buffer *out)
{
	char quote = *t->at++;

	while (t->at < t->end) {
		char c = *t->at++;

		if (c == quote) {
			if (quote == '"' || t->at == t->end || *t->at != quote)
				return;
			t->at++;	/* '' inside single quotes */
		} else if (c == '\\' && quote == '"' && t->at < t->end) {
			escape(t, out);
			continue;
		}
		put(out, c);
	}
}

/* Up to a comment or the end of the line; in a flow also up to , ] }. */
static void plain(struct text *t, struct buffer *out, bool in_flow)
{
	const char *start = t->at, *stop;

	for (; t->at < t->end && *t->at != '\n'; t->at++) {
		if (*t->at == '#' && t->at > start && is_blank(t->at[-1]))
			break;
		if (in_flow && (strchr(",]}", *t->at) || (*t->at == ':' && t->at + 1 < t->end && is_blank(t->at[1]))))
			break;
	}
	for (stop = t->at; stop > start && is_blank(stop[-1]); stop--)
		;
	while (start < stop)
		put(out, *start++);
}

/* A plain scalar that YAML reads as null or as a boolean. */
static void resolve(struct buffer *out)
{
	static const char *const nulls[] = { "~", "null", "Null", "NULL" };
	static const char *const trues[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON" };
	size_t i;

	for (i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
		if (!strcmp(out->at, nulls[i]))
			out->at[out->used = 0] = 0;
	for (i = 0; i < sizeof trues / sizeof trues[0]; i++)
		if (!strcmp(out->at, trues[i]))
			snprintf(out->at, out->size, "true");
}

static void skip_properties(struct text *t)
{
	skip_blanks(t);
	while (t->at < t->end && (*t->at == '!' || *t->at == '&')) {
		while (t->at < t->end && !is_blank(*t->at) && *t->at != '\n')
			t->at++;
		skip_blanks(t);
	}
}

static void scalar(struct text *t, struct buffer *out, bool in_flow)
{
	out->used = 0;
	out->at[0] = 0;
	skip_properties(t);
	if (t->at < t->end && *t->at == '[') {
		t->at++;
		in_flow = true;
		skip_properties(t);
	}
	if (t->at < t->end && (*t->at == '"' || *t->at == '\'')) {
		quoted(t, out);
	} else {
		plain(t, out, in_flow);
		resolve(out);
	}
}

/* The lines below "key: |", or "key:" alone: joined by spaces. */
static void value_below(struct text rest, size_t top, bool block, struct buffer *out)
{
	struct text line;
	size_t indent;

	out->used = 0;
	out->at[0] = 0;
	while (rest.at < rest.end) {
		line = next_line(&rest);
		if (block ? line.at == line.end : is_empty(line))
			continue;
		indent = indent_of(line);
		line.at += indent;
		if (!block && indent >= top && line.end - line.at > 1 && line.at[0] == '-' && is_blank(line.at[1])) {
			line.at += 2;
			scalar(&line, out, false);
			return;
		}
		if (indent <= top)
			return;
		if (!block) {
			scalar(&line, out, false);
			return;
		}
		if (out->used)
			put(out, ' ');
		while (line.at < line.end)
			put(out, *line.at++);
	}
}

/* What a value looks like that does not stand behind its key. */
static bool is_below(struct text line, bool *block)
{
	skip_properties(&line);
	*block = line.at < line.end && (*line.at == '|' || *line.at == '>');
	return *block || is_empty(line);
}

static void trim(char *text)
{
	size_t size = strlen(text), skip = strspn(text, " \t\r\n");

	while (size > skip && strchr(" \t\r\n", text[size - 1]))
		size--;
	memmove(text, text + skip, size - skip);
	text[size - skip] = 0;
}

static void store(struct settings *s, char *key, const char *value)
{
	size_t size = strlen(key);

	/* "data-dir+: x" appends to a list; the inner program then takes the last one */
	if (size && key[size - 1] == '+')
		key[size - 1] = 0;
	if (!strcmp(key, "data-dir"))
		snprintf(s->data_dir, sizeof s->data_dir, "%s", value);
	else if (!strcmp(key, "prefer-bundled-bin"))
		snprintf(s->prefer_bundled_bin, sizeof s->prefer_bundled_bin, "%s", value);
	else if (!strcmp(key, "debug"))
		snprintf(s->debug, sizeof s->debug, "%s", value);
	else if (!strcmp(key, "rootless"))
		snprintf(s->rootless, sizeof s->rootless, "%s", value);
}

/* "key" up to its colon; false: the line is no "key: value". */
static bool read_key(struct text *line, struct buffer *key, bool json)
{
	const char *start = line->at;

	key->used = 0;
	key->at[0] = 0;
	if (*line->at == '"' || *line->at == '\'') {
		quoted(line, key);
		skip_blanks(line);
	} else {
		while (line->at < line->end && !(*line->at == ':' && (line->at + 1 == line->end || is_blank(line->at[1]))))
			line->at++;
		while (start < line->at)
			put(key, *start++);
		trim(key->at);
	}
	if (line->at >= line->end || *line->at != ':')
		return false;
	line->at++;
	return json || line->at == line->end || is_blank(*line->at);
}

static void skip_space(struct text *t)
{
	while (t->at < t->end && (is_blank(*t->at) || *t->at == '\n'))
		t->at++;
}

/* Past a nested { } or [ ]. */
static void skip_nested(struct text *t, struct buffer *scratch)
{
	int depth = 0;

	while (t->at < t->end) {
		if (*t->at == '"' || *t->at == '\'') {
			scratch->used = 0;
			quoted(t, scratch);
			continue;
		}
		depth += strchr("{[", *t->at) != NULL;
		depth -= strchr("}]", *t->at) != NULL;
		t->at++;
		if (depth <= 0)
			return;
	}
}

/* A whole configuration as one { "key": value, ... }. */
static void read_flow(struct text t, struct settings *s, struct buffer *key, struct buffer *value)
{
	struct text nested;

	for (t.at++; t.at < t.end; t.at++) {
		skip_space(&t);
		if (t.at >= t.end || *t.at == '}')
			return;
		if (*t.at == ',')
			continue;
		if (!read_key(&t, key, true))
			return;
		skip_space(&t);
		nested = t;
		if (t.at < t.end && strchr("{[", *t.at)) {
			skip_nested(&nested, value);
			if (*t.at == '{')
				value->at[0] = 0;
			else
				scalar(&t, value, true);
			t = nested;
		} else {
			scalar(&t, value, true);
		}
		trim(value->at);
		store(s, key->at, value->at);
		skip_space(&t);
		if (t.at >= t.end || *t.at != ',')
			return;
	}
}

/* "---" or "..." */
static bool is_marker(struct text line, char c)
{
	return line.end - line.at >= 3 && line.at[0] == c && line.at[1] == c && line.at[2] == c &&
	       (line.end - line.at == 3 || is_blank(line.at[3]));
}

void yaml_read(const char *text, size_t size, struct settings *s)
{
	char key_text[128], value_text[PATH_MAX];
	struct buffer key = { key_text, sizeof key_text, 0 }, value = { value_text, sizeof value_text, 0 };
	struct text t = { text, text + size }, line, from;
	bool started = false, block;
	size_t top = 0, indent;

	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		t.at += 3;
	while (t.at < t.end) {
		from = t;
		line = next_line(&t);
		if (is_empty(line) || *line.at == '%')
			continue;
		if (is_marker(line, '.') || (is_marker(line, '-') && started))
			return;	/* only the first document counts */
		if (is_marker(line, '-'))
			continue;
		indent = indent_of(line);
		line.at += indent;
		if (!started && *line.at == '{') {
			from.at += indent;
			read_flow(from, s, &key, &value);
			return;
		}
		if (!started)
			top = indent;
		started = true;
		if (indent != top || !read_key(&line, &key, false))
			continue;
		if (is_below(line, &block))
			value_below(t, top, block, &value);
		else
			scalar(&line, &value, false);
		trim(value.at);
		store(s, key.at, value.at);
	}
}

static void unreadable(const char *file, bool strict)
{
	int error = errno;

	if (strict)
		fail(EXIT_CONFIG, "cannot read the configuration %s: %s\n"
		     "  do: correct its permissions, or name another file in K3S_CONFIG_FILE", file, strerror(error));
	log_line(LOG_WARNING, "cannot read the configuration %s: %s", file, strerror(error));
}

static void read_file(const char *file, bool strict, struct settings *s)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got = -1;
	char *text;

	/* what cannot even be seen is no configuration (an http URL, a closed folder) */
	if (fd < 0 && stat(file, &st))
		return;
	if (fd < 0) {
		unreadable(file, strict);
		return;
	}
	text = malloc(CONFIG_MAX);
	if (text)
		got = read(fd, text, CONFIG_MAX);
	if (got < 0)
		unreadable(file, strict);
	else
		yaml_read(text, (size_t)got, s);
	free(text);
	close(fd);
}

static int is_dropin(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_type != DT_DIR && dot && (!strcasecmp(dot, ".yaml") || !strcasecmp(dot, ".yml"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void config_read(const char *file, bool strict, struct settings *s)
{
	char folder[PATH_MAX], path[PATH_MAX];
	struct dirent **names;
	int count, i;

	read_file(file, strict, s);
	join(folder, "%s.d", file);
	count = scandir(folder, &names, is_dropin, by_bytes);
	if (count < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			unreadable(folder, strict);
		return;
	}
	for (i = 0; i < count; i++) {
		join(path, "%s/%s", folder, names[i]->d_name);
		read_file(path, strict, s);
		free(names[i]);
	}
	free(names);
}
