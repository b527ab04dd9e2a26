/*
 * k3s's configuration as its keys and values.
 *
 * This reads the YAML that people write there: top-level keys, plain and quoted
 * scalars, block scalars, a value on the next line, lists, JSON. A nested
 * mapping is passed over. It does not judge what it does not understand: the
 * inner program parses the file whole and reports what is wrong with it.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	if (t->at < t->end && (*t->at == '"' || *t->at == '\'')) {
		quoted(t, out);
	} else {
		plain(t, out, in_flow);
		resolve(out);
	}
}

static void trim(char *text)
{
	size_t size = strlen(text), skip = strspn(text, " \t\r\n");

	while (size > skip && strchr(" \t\r\n", text[size - 1]))
		size--;
	memmove(text, text + skip, size - skip);
	text[size - skip] = 0;
}

/* What is being read, and who is told. */
struct reader {
	yaml_visit *visit;
	void *to;
	struct buffer key, value;
	bool first;		/* of its key's values */
};

static void tell(struct reader *r)
{
	trim(r->value.at);
	r->visit(r->to, r->key.at, r->value.at, r->first);
	r->first = false;
}

static void tell_nothing(struct reader *r)
{
	r->value.at[r->value.used = 0] = 0;
	tell(r);
}

/* Line ends and comments, too. */
static void skip_space(struct text *t)
{
	while (t->at < t->end && (is_blank(*t->at) || strchr("\n#", *t->at))) {
		if (*t->at == '#')
			next_line(t);
		else
			t->at++;
	}
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

/* "[a, 'b']", perhaps over several lines; t ends up behind it. */
static void flow_list(struct text *t, struct reader *r)
{
	const char *before;

	for (t->at++; skip_space(t), t->at < t->end && *t->at != ']';) {
		before = t->at;
		if (strchr("{[", *t->at)) {
			skip_nested(t, &r->value);
		} else if (*t->at != ',') {
			scalar(t, &r->value, true);
			tell(r);
		}
		if (t->at == before)
			t->at++;
	}
	if (t->at < t->end)
		t->at++;
	if (r->first)
		tell_nothing(r);
}

/* One value at t, where nothing but properties may stand before it. */
static void value_at(struct text *t, struct reader *r)
{
	skip_properties(t);
	if (t->at < t->end && *t->at == '[') {
		flow_list(t, r);
		return;
	}
	scalar(t, &r->value, false);
	tell(r);
}

/* The lines below "key: |": joined by spaces. */
static void block_below(struct text rest, size_t top, struct reader *r)
{
	struct text line;
	size_t indent;

	r->value.at[r->value.used = 0] = 0;
	while (rest.at < rest.end) {
		line = next_line(&rest);
		if (line.at == line.end)
			continue;
		indent = indent_of(line);
		if (indent <= top)
			break;
		line.at += indent;
		if (r->value.used)
			put(&r->value, ' ');
		while (line.at < line.end)
			put(&r->value, *line.at++);
	}
	tell(r);
}

static bool is_element(struct text line)
{
	return line.end - line.at > 1 && line.at[0] == '-' && is_blank(line.at[1]);
}

/* The lines below "key:": a list, whose dashes may be as far left as the key, or one value. */
static void value_below(struct text rest, size_t top, struct reader *r)
{
	struct text line, from;
	size_t indent;

	while (rest.at < rest.end) {
		from = rest;
		line = next_line(&rest);
		if (is_empty(line))
			continue;
		indent = indent_of(line);
		line.at += indent;
		from.at += indent;
		if (indent >= top && is_element(line)) {
			line.at += 2;
			value_at(&line, r);
			continue;
		}
		if (indent > top && r->first)
			value_at(&from, r);
		break;
	}
	if (r->first)
		tell_nothing(r);
}

/* What a value looks like that does not stand behind its key. */
static bool is_below(struct text line, bool *block)
{
	skip_properties(&line);
	*block = line.at < line.end && (*line.at == '|' || *line.at == '>');
	return *block || is_empty(line);
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
	/* "key+: x" appends to a list */
	if (key->at[0] && key->at[strlen(key->at) - 1] == '+')
		key->at[strlen(key->at) - 1] = 0;
	line->at++;
	return json || line->at == line->end || is_blank(*line->at);
}

/* A whole configuration as one { "key": value, ... }. */
static void read_flow(struct text t, struct reader *r)
{
	for (t.at++; t.at < t.end; t.at++) {
		skip_space(&t);
		if (t.at >= t.end || *t.at == '}')
			return;
		if (*t.at == ',')
			continue;
		if (!read_key(&t, &r->key, true))
			return;
		r->first = true;
		skip_space(&t);
		if (t.at < t.end && *t.at == '{') {
			skip_nested(&t, &r->value);
			tell_nothing(r);
		} else if (t.at < t.end && *t.at == '[') {
			flow_list(&t, r);
		} else {
			scalar(&t, &r->value, true);
			tell(r);
		}
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

/* "key:" at the start of line, which is the first of t; where it ends. */
static struct text read_entry(struct text line, struct text t, size_t top, struct reader *r)
{
	struct text rest = t;
	bool block;

	if (!read_key(&line, &r->key, false))
		return t;
	r->first = true;
	if (is_below(line, &block)) {
		if (block)
			block_below(t, top, r);
		else
			value_below(t, top, r);
		return t;
	}
	skip_properties(&line);
	if (*line.at != '[') {
		scalar(&line, &r->value, false);
		tell(r);
		return t;
	}
	rest.at = line.at;
	flow_list(&rest, r);
	/* what a list over several lines holds is no key of ours */
	next_line(&rest);
	return rest;
}

void yaml_read(const char *text, size_t size, yaml_visit *visit, void *to)
{
	char key[128], value[PATH_MAX];
	struct reader r = { visit, to, { key, sizeof key, 0 }, { value, sizeof value, 0 }, true };
	struct text t = { text, text + size }, line, from;
	bool started = false;
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
			read_flow(from, &r);
			return;
		}
		if (!started)
			top = indent;
		started = true;
		if (indent == top)
			t = read_entry(line, t, top, &r);
	}
}
