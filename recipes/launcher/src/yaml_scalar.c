/* Scalars of YAML: plain, quoted and block ones, with their folding of lines. */
#include "yaml.h"

#include <stdlib.h>
#include <string.h>

static void begin(struct yaml *y, bool plain)
{
	y->scalar.used = 0;
	y->scalar.at[0] = 0;
	y->scalar.cut = false;
	y->is_plain = plain;
}

/* One line end is a blank, each further one a line end. */
static void put_fold(struct yaml *y, size_t line_ends)
{
	if (line_ends == 1)
		put(&y->scalar, ' ');
	for (; line_ends > 1; line_ends--)
		put(&y->scalar, '\n');
}

/* ---- plain ---- */

static bool ends_plain(const struct yaml *y, bool in_flow)
{
	char c = look(y, 0);

	return (c == ':' && is_end_of_word(look(y, 1))) || (in_flow && c && strchr(",?[]{}", c));
}

/* Blanks and line ends inside; how many line ends. */
static size_t plain_gap(struct yaml *y)
{
	size_t line_ends = 0;

	for (; is_space(look(y, 0)) || look(y, 0) == '\n'; y->at++) {
		if (look(y, 0) == '\n') {
			line_ends++;
		} else if (line_ends && look(y, 0) == '\t' && column(y) <= y->indent) {
			refuse(y, "a tab where only blanks may stand");
			break;
		}
	}
	return line_ends;
}

void plain_scalar(struct yaml *y, bool in_flow)
{
	const char *gap = y->at, *from;
	size_t line_ends = 0;

	begin(y, true);
	while (y->at < y->end && !at_marker(y) && *y->at != '#' && !ends_plain(y, in_flow)) {
		if (line_ends)
			put_fold(y, line_ends);
		else
			while (gap < y->at)
				put(&y->scalar, *gap++);
		while (!is_end_of_word(look(y, 0)) && !ends_plain(y, in_flow))
			put(&y->scalar, *y->at++);
		if (!is_end_of_word(look(y, 0)))
			return;
		gap = from = y->at;
		line_ends = plain_gap(y);
		if (!y->what && !in_flow && line_ends && column(y) <= y->indent) {
			y->at = from;
			return;
		}
	}
}

/* ---- quoted ---- */

static void put_code_point(struct text *t, unsigned long code)
{
	unsigned int shift = code < 0x80 ? 0 : code < 0x800 ? 6 : code < 0x10000 ? 12 : 18;
	static const unsigned int lead[] = { 0, 0xc0, 0xe0, 0xf0 };

	put(t, (char)(lead[shift / 6] | code >> shift));
	while (shift) {
		shift -= 6;
		put(t, (char)(0x80 | (code >> shift & 0x3f)));
	}
}

/* The digits behind \x, \u, \U. */
static void numeric_escape(struct yaml *y, size_t size)
{
	char digits[9] = "";
	unsigned long code;
	size_t i;

	for (i = 0; i < size && look(y, i) && strchr("0123456789abcdefABCDEF", look(y, i)); i++)
		digits[i] = look(y, i);
	code = strtoul(digits, NULL, 16);
	if (i < size || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) {
		refuse(y, "an escape that names no character");
		return;
	}
	y->at += size;
	put_code_point(&y->scalar, code);
}

/* At what follows a backslash, which is no line end. */
static void escape(struct yaml *y)
{
	static const char names[] = "abtnvfre \"'\\\t", values[] = "\a\b\t\n\v\f\r\x1b \"'\\\t";
	static const char wide[] = "N_LP";
	static const unsigned long codes[] = { 0x85, 0xa0, 0x2028, 0x2029 };
	char c = look(y, 0);

	y->at += c != 0;
	if (c && strchr(names, c))
		put(&y->scalar, values[strchr(names, c) - names]);
	else if (c && strchr(wide, c))
		put_code_point(&y->scalar, codes[strchr(wide, c) - wide]);
	else if (c == '0')
		put(&y->scalar, 0);
	else if (c == 'x' || c == 'u' || c == 'U')
		numeric_escape(y, c == 'x' ? 2 : c == 'u' ? 4 : 8);
	else
		refuse(y, "an escape that is unknown");
}

/* A word of a quoted scalar; true: its line end was escaped. */
static bool quoted_word(struct yaml *y, char quote)
{
	while (!is_end_of_word(look(y, 0))) {
		if (look(y, 0) == quote) {
			if (quote == '"' || look(y, 1) != quote)
				return false;
			y->at++;	/* '' inside single quotes */
		} else if (look(y, 0) == '\\' && quote == '"') {
			y->at++;
			if (look(y, 0) == '\n') {
				y->at++;
				return true;
			}
			escape(y);
			continue;
		}
		put(&y->scalar, *y->at++);
	}
	return false;
}

static void quoted_gap(struct yaml *y, bool escaped)
{
	const char *from = y->at;
	size_t line_ends = 0;

	for (; is_space(look(y, 0)) || look(y, 0) == '\n'; y->at++)
		line_ends += look(y, 0) == '\n';
	/* an escaped line end is none; those behind it stay */
	if (escaped)
		put_fold(y, line_ends ? line_ends + 1 : 0);
	else if (line_ends)
		put_fold(y, line_ends);
	else
		while (from < y->at)
			put(&y->scalar, *from++);
}

void quoted_scalar(struct yaml *y)
{
	char quote = *y->at++;
	bool escaped;

	begin(y, false);
	for (;;) {
		if (y->at == y->end || at_marker(y)) {
			refuse(y, "a quotation mark that is not closed");
			return;
		}
		escaped = quoted_word(y, quote);
		if (!escaped && look(y, 0) == quote)
			break;
		quoted_gap(y, escaped);
	}
	y->at++;
}

/* ---- block ---- */

/* "|2-": the digit, and what becomes of the last line end, which nobody sees. */
static int block_header(struct yaml *y)
{
	int increment = 0;

	y->at++;
	if (look(y, 0) == '+' || look(y, 0) == '-')
		y->at++;
	if (look(y, 0) >= '1' && look(y, 0) <= '9') {
		increment = *y->at++ - '0';
		if ((y->at[-2] == '|' || y->at[-2] == '>') && (look(y, 0) == '+' || look(y, 0) == '-'))
			y->at++;
	}
	while (is_space(look(y, 0)))
		y->at++;
	if (look(y, 0) == '#')
		while (y->at < y->end && *y->at != '\n')
			y->at++;
	if (y->at < y->end && *y->at != '\n')
		refuse(y, "a text behind | or >");
	else
		y->at += y->at < y->end;
	return increment;
}

/* Past indentation and empty lines; the indentation, if it is not known yet, is that of the first line. */
static size_t block_gap(struct yaml *y, int *indent)
{
	const char *line = y->at;
	int widest = 0, spaces;
	size_t line_ends = 0;

	for (;; line_ends++) {
		for (spaces = 0; look(y, 0) == ' ' && (!*indent || spaces < *indent); spaces++)
			y->at++;
		if (spaces > widest)
			widest = spaces;
		if (look(y, 0) == '\t' && (!*indent || spaces < *indent))
			refuse(y, "a tab where only blanks may stand");
		if (look(y, 0) != '\n')
			break;
		line = ++y->at;
	}
	if (!*indent)
		*indent = widest > y->indent + 1 ? widest : y->indent + 1;
	if (!*indent)
		*indent = 1;
	if (spaces < *indent && !y->what)
		y->at = line;
	return line_ends;
}

void block_scalar(struct yaml *y)
{
	bool folds = *y->at == '>', was_blank = false, is_blank, joins = false;
	int indent = block_header(y);
	size_t empty;

	begin(y, false);
	if (indent && y->indent > 0)
		indent += y->indent;
	empty = block_gap(y, &indent);
	while (y->at < y->end && column(y) == indent) {
		is_blank = is_space(*y->at);
		if (joins && folds && !was_blank && !is_blank)
			put_fold(y, empty + 1);
		else
			put_fold(y, joins || empty ? empty + joins + 1 : 0);
		was_blank = is_blank;
		while (y->at < y->end && *y->at != '\n')
			put(&y->scalar, *y->at++);
		joins = y->at < y->end;
		y->at += joins;
		empty = block_gap(y, &indent);
	}
}
