/*
 * k3s's configuration as its keys and values, as k3s itself reads it: with
 * gopkg.in/yaml.v2, whose scanner and resolution of plain words this follows.
 * (A merge key at the top is read there, but what it merges is lost.)
 *
 * What is not understood exactly so is refused with its line; nothing is
 * guessed. Refused that go-yaml knows: "? " keys, collections and aliases as
 * keys, properties before a key, pairs in lists [a: b], %TAG, an anchor's name
 * given twice, and more than 100 levels.
 *
 * No tree is made. An alias is read again at its anchor.
 */
#include "yaml.h"

#include <stdlib.h>
#include <string.h>

/* For a list of a thousand aliases to a long list. */
enum { REPLAYED_MAX = 16 << 20 };

struct properties {
	struct anchor *anchor;
	bool is_text;		/* !!str */
	bool is_other;		/* another tag, which means nothing before a collection */
	bool any;
};

static size_t name_size(const struct yaml *y)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
	size_t size = 0;

	while (look(y, size) && strchr(letters, look(y, size)))
		size++;
	return size;
}

static struct anchor *find_anchor(struct yaml *y, const char *name, size_t size)
{
	size_t i;

	for (i = 0; i < y->anchor_count; i++)
		if (y->anchors[i].size == size && !memcmp(y->anchors[i].name, name, size))
			return &y->anchors[i];
	return NULL;
}

/* The name behind & or *, which a blank or a bracket must end. */
static const char *read_name(struct yaml *y, bool in_flow, size_t *size)
{
	const char *name = ++y->at;
	char next;

	*size = name_size(y);
	y->at += *size;
	next = look(y, 0);
	if (!*size || !(is_end_of_word(next) || (in_flow && strchr(",]}", next))))
		refuse(y, "a name behind & or * that is not made of letters, digits, _ and -");
	return name;
}

static void read_anchor(struct yaml *y, const struct place *p, const char *node_at, struct properties *found)
{
	size_t size;
	const char *name = read_name(y, p->in_flow, &size);

	if (y->what || y->replaying)
		return;
	if (found->anchor || find_anchor(y, name, size))
		refuse(y, "an anchor where there is one already, or with the name of another");
	else if (y->anchor_count == ANCHORS_MAX)
		refuse(y, "more than 1000 anchors");
	if (y->what)
		return;
	found->anchor = &y->anchors[y->anchor_count++];
	*found->anchor = (struct anchor){ name, node_at, size, *p, SCALAR, true };
}

static void read_tag(struct yaml *y, struct properties *found)
{
	const char *from = y->at++;
	size_t size;

	y->at += look(y, 0) == '!';
	size = name_size(y);
	y->at += size;
	if (!size || from[1] != '!' || !is_end_of_word(look(y, 0)) || found->is_text || found->is_other)
		refuse(y, "a tag that does not consist of !! and a word");
	found->is_text = size == 3 && !memcmp(from, "!!str", 5);
	found->is_other = !found->is_text;
}

static struct properties read_properties(struct yaml *y, const struct place *p, const char *node_at)
{
	struct properties found = { 0 };
	bool own_line = p->keys || begins_line(y);

	while (look(y, 0) == '&' || look(y, 0) == '!') {
		found.any = true;
		if (look(y, 0) == '&')
			read_anchor(y, p, node_at, &found);
		else
			read_tag(y, &found);
		skip(y, p->in_flow, true);
	}
	if (found.any && !p->in_flow && own_line && !begins_line(y) && is_entry(y))
		refuse(y, "an anchor or a tag before a key");
	return found;
}

static enum kind alias(struct yaml *y, const struct place *p, enum role role)
{
	size_t size;
	const char *name = read_name(y, p->in_flow, &size), *back = y->at;
	struct anchor *a = y->what ? NULL : find_anchor(y, name, size);
	int indent = y->indent;
	bool replaying = y->replaying;
	enum kind kind;

	if (y->what)
		return SCALAR;
	if (!a || a->open) {
		refuse(y, a ? "an alias in its own anchor" : "an alias without an anchor before it");
		return SCALAR;
	}
	if (role > ELEMENT)
		return a->kind;
	y->at = a->at;
	y->indent = a->place.indent;
	y->replaying = true;
	kind = node(y, &a->place, role);
	y->replaying = replaying;
	y->indent = indent;
	if (y->what)
		return kind;
	y->replayed += (size_t)(y->at - a->at);
	y->at = back;
	if (y->replayed > REPLAYED_MAX)
		refuse(y, "aliases to so much text");
	return kind;
}

/* A node without content: the token here belongs to what is around it. */
static bool is_nothing(const struct yaml *y, const struct place *p)
{
	char c = look(y, 0);
	int left;

	if (y->at == y->end || at_marker(y))
		return true;
	if (p->in_flow)
		return c == ',' || c == '}' || c == ']';
	if (!begins_line(y))
		return false;
	left = column(y);
	return left < p->indent || (left == p->indent && !(p->dashes && c == '-' && is_end_of_word(look(y, 1))));
}

static enum kind scalar(struct yaml *y, const struct place *p, enum role role, bool is_text)
{
	char c = look(y, 0);

	if (c == '"' || c == '\'') {
		quoted_scalar(y);
	} else if ((c == '|' || c == '>') && !p->in_flow) {
		block_scalar(y);
	} else if (strchr("]},%@`|>:", c) && (c != ':' || p->in_flow || is_end_of_word(look(y, 1)))) {
		refuse(y, "a text that begins so");
	} else if ((c == '-' || c == '?') && (is_end_of_word(look(y, 1)) || (c == '?' && p->in_flow))) {
		refuse(y, c == '-' ? "a list that begins on this line" : "a key behind a question mark");
	} else {
		plain_scalar(y, p->in_flow);
	}
	tell_scalar(y, role, is_text);
	return SCALAR;
}

static enum kind content(struct yaml *y, const struct place *p, enum role role, const struct properties *found)
{
	bool own_line = !p->in_flow && (begins_line(y) || (p->keys && !found->any));
	char c = look(y, 0);

	if (own_line && c == '-' && is_end_of_word(look(y, 1)))
		return block_list(y, p, role);
	if (own_line && is_entry(y))
		return block_mapping(y, role);
	if (c == '[')
		return flow_list(y, role);
	if (c == '{')
		return flow_mapping(y, role);
	if (c == '*' && found->any)
		refuse(y, "an anchor or a tag before an alias");
	else if (c == '*')
		return alias(y, p, role);
	return scalar(y, p, role, found->is_text);
}

enum role role_in_list(enum role role)
{
	return role == VALUE ? ELEMENT : role == MERGED ? MERGED_ELEMENT : UNASKED;
}

static enum kind nothing(struct yaml *y, enum role role, bool is_text)
{
	y->scalar.at[y->scalar.used = 0] = 0;
	y->scalar.cut = false;
	y->is_plain = true;
	tell_scalar(y, role, is_text);
	return SCALAR;
}

enum kind node(struct yaml *y, const struct place *p, enum role role)
{
	const char *from = y->at;
	struct properties found = { 0 };
	bool is_alias = false;
	enum kind kind;

	if (++y->depth > DEPTH_MAX)
		refuse(y, "more than 100 levels");
	skip(y, p->in_flow, !p->keys);
	if (p->in_flow && at_marker(y))
		refuse(y, "the end of the document in brackets");
	if (!is_nothing(y, p))
		found = read_properties(y, p, from);
	if (is_nothing(y, p)) {
		kind = nothing(y, role, found.is_text);
	} else {
		is_alias = look(y, 0) == '*';
		kind = content(y, p, role, &found);
		if (!is_alias && kind != SCALAR && (role == ELEMENT || (role == VALUE && kind == MAPPING)))
			tell_collection(y);
	}
	if (found.is_other && kind == SCALAR)
		refuse(y, "a text with a tag that is not !!str");
	if ((role == MERGED && (kind == SCALAR || (kind == LIST && is_alias))) || (role == MERGED_ELEMENT && kind != MAPPING))
		refuse(y, "<< with something else than a mapping");
	if (found.anchor) {
		found.anchor->open = false;
		found.anchor->kind = kind;
	}
	y->depth--;
	return kind;
}

/* "%YAML 1.1" is the only one that changes nothing. */
static void read_directive(struct yaml *y)
{
	static const char version[] = "%YAML 1.1";

	if (look(y, 0) != '%' || column(y))
		return;
	if ((size_t)(y->end - y->at) > sizeof version - 1 && !memcmp(y->at, version, sizeof version - 1)) {
		y->at += sizeof version - 1;
		skip(y, false, true);
	}
	if (look(y, 0) != '-' || !at_marker(y))
		refuse(y, "such a directive");
}

static void document(struct yaml *y)
{
	struct place p = { -1, false, true, false };
	const char *from;

	skip(y, false, false);
	read_directive(y);
	if (y->at < y->end && at_marker(y)) {
		if (*y->at == '.')
			refuse(y, "the end of a document before its beginning");
		else
			y->at += 3;
		p.keys = false;
	}
	skip(y, false, !p.keys);
	from = y->at;
	if (node(y, &p, ROOT) == LIST && !y->what) {
		refuse(y, NO_MAPPING);
		y->where = from;
	}
	skip(y, false, true);
	if (y->at < y->end && !at_marker(y))
		refuse(y, "something behind the end of the document");
}

static size_t line_of(const char *text, const char *at)
{
	size_t line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

bool yaml_read(char *text, size_t size, yaml_visit *visit, void *to, struct yaml_problem *problem)
{
	struct yaml *y = calloc(1, sizeof *y);
	size_t at = 0;

	if (!y)
		fail(EXIT_SYSTEM, "no memory for the configuration\n  do: stop other programs, or add swap");
	*problem = (struct yaml_problem){ 0 };
	if (check_text(text, &size, &problem->what, &at)) {
		*y = (struct yaml){ .start = text, .at = text, .end = text + size, .indent = -1, .visit = visit, .to = to,
				    .item = { .line = 1 }, .counted = text };
		document(y);
		problem->what = y->what;
		at = y->what ? (size_t)(y->where - text) : 0;
	}
	if (problem->what)
		problem->line = line_of(text, text + at);
	free(y);
	return !problem->what;
}
