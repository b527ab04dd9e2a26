/* YAML by indentation: lists and mappings. */
#include "yaml.h"

#include <string.h>

/* Behind a quoted text on this line; NULL: it does not end there. */
static const char *after_quoted(const char *at, const char *end)
{
	char quote = *at++;
	bool pair;		/* an escape, or '' inside single quotes */

	for (; at < end && *at != '\n'; at++) {
		pair = at + 1 < end && (quote == '"' ? *at == '\\' && at[1] != '\n' : *at == quote && at[1] == quote);
		if (!pair && *at == quote)
			return at + 1;
		at += pair;
	}
	return NULL;
}

static bool is_colon(const char *at, const char *end)
{
	return at < end && *at == ':' && (at + 1 == end || is_end_of_word(at[1]));
}

bool is_entry(const struct yaml *y)
{
	const char *at = y->at, *stop = y->end - at > KEY_MAX ? at + KEY_MAX : y->end;

	if (at == y->end || strchr("[]{},&*!|>%@`#", *at) || ((*at == '-' || *at == '?') && is_end_of_word(look(y, 1))))
		return false;
	if (*at == '"' || *at == '\'') {
		at = after_quoted(at, y->end);
		while (at && at < y->end && is_space(*at))
			at++;
		return at && at <= stop && is_colon(at, y->end);
	}
	for (; at < stop && *at != '\n' && !is_colon(at, y->end); at++)
		if (*at == '#' && is_space(at[-1]))
			return false;
	return at < stop && at > y->at && *at == ':';
}

/* Behind an entry. false: the collection at this column ends here. */
static bool goes_on(struct yaml *y, int left)
{
	skip(y, false, !begins_line(y));
	if (y->at == y->end || at_marker(y))
		return false;
	if (!begins_line(y))
		refuse(y, "something behind a value");
	else if (column(y) > left)
		refuse(y, "a line that is indented further than the ones before it");
	return y->at < y->end && column(y) == left;
}

/* Its dashes are where y is. */
enum kind block_list(struct yaml *y, const struct place *p, enum role role)
{
	struct place entry = { column(y), false, true, false };
	bool as_key = entry.indent == p->indent;
	int outer = y->indent;

	y->indent = entry.indent;
	do {
		if (look(y, 0) != '-' || !is_end_of_word(look(y, 1))) {
			/* the next key of the mapping around it */
			if (!as_key)
				refuse(y, "a line that is no entry of the list above it");
			break;
		}
		y->at++;
		node(y, &entry, role_in_list(role));
	} while (goes_on(y, entry.indent));
	y->indent = outer;
	return LIST;
}

enum kind block_mapping(struct yaml *y, enum role role)
{
	struct place value = { column(y), false, false, true };
	int outer = y->indent;
	const char *from;
	enum role child;

	y->indent = value.indent;
	do {
		if (!is_entry(y)) {
			refuse(y, "a line that is no 'key: value'");
			break;
		}
		from = y->at;
		if (*from == '"' || *from == '\'')
			quoted_scalar(y);
		else
			plain_scalar(y, false);
		skip(y, false, true);
		child = begin_entry(y, role, from);
		if (look(y, 0) == ':')
			y->at++;
		else
			refuse(y, "a line that is no 'key: value'");
		node(y, &value, child);
	} while (goes_on(y, value.indent));
	y->indent = outer;
	return MAPPING;
}
