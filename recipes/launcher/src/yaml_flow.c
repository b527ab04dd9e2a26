/* YAML in brackets: [a, "b"] and {a: b}. */
#include "yaml.h"

#include <string.h>

#define OPEN "brackets that are not closed"

static const struct place inside = { .in_flow = true };

/* Behind an entry: a comma, or the end. */
static void separator(struct yaml *y, char close)
{
	skip(y, true, true);
	if (look(y, 0) == ',')
		y->at++;
	else if (y->at == y->end)
		refuse(y, OPEN);
	else if (look(y, 0) != close)
		refuse(y, "something else than a comma or the end of the brackets");
}

enum kind flow_list(struct yaml *y, enum role role)
{
	struct place p = inside;
	bool empty = true;

	p.indent = y->indent;
	y->at++;
	for (skip(y, true, true); y->at < y->end && look(y, 0) != ']'; skip(y, true, true)) {
		if (look(y, 0) == ',')
			refuse(y, "two commas without a value between them");
		node(y, &p, role_in_list(role));
		separator(y, ']');
		empty = false;
	}
	if (y->at == y->end)
		refuse(y, OPEN);
	else
		y->at++;
	if (role == VALUE && empty)
		tell_empty_list(y);
	return LIST;
}

/* true: a value follows. */
static bool flow_key(struct yaml *y, const char *from)
{
	char c = look(y, 0);

	if (c == '"' || c == '\'')
		quoted_scalar(y);
	else if (strchr("[]{},?:&*!|>%@`#-", c))
		refuse(y, "a key in brackets that is no simple text");
	else
		plain_scalar(y, true);
	skip(y, true, true);
	if (look(y, 0) != ':')
		return false;
	if (memchr(from, '\n', (size_t)(y->at - from)) || y->at - from > KEY_MAX)
		refuse(y, "a key of several lines");
	return true;
}

enum kind flow_mapping(struct yaml *y, enum role role)
{
	struct place p = inside;
	const char *from;
	enum role child;
	bool has_value;

	p.indent = y->indent;
	y->at++;
	for (skip(y, true, true); y->at < y->end && look(y, 0) != '}'; skip(y, true, true)) {
		from = y->at;
		has_value = flow_key(y, from);
		child = begin_entry(y, role, from);
		if (has_value)
			y->at += y->at < y->end;
		else if (look(y, 0) != ',' && look(y, 0) != '}')
			refuse(y, "a key in brackets without its colon");
		node(y, &p, child);
		separator(y, '}');
	}
	if (y->at == y->end)
		refuse(y, OPEN);
	else
		y->at++;
	return MAPPING;
}
