/* YAML as a text: blanks, comments, columns, and which characters may be there. */
#include "yaml.h"

#include <string.h>

void refuse(struct yaml *y, const char *what)
{
	if (!y->what) {
		y->what = what;
		y->where = y->at;
	}
	y->at = y->end;
}

/* 0 behind the end: no text that passed check_text() has one. */
char look(const struct yaml *y, size_t ahead)
{
	if ((size_t)(y->end - y->at) <= ahead)
		return 0;
	return y->at[ahead];
}

bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

bool is_end_of_word(char c)
{
	return is_space(c) || c == '\n' || !c;
}

static const char *line_start(const struct yaml *y)
{
	const char *at = y->at;

	while (at > y->start && at[-1] != '\n')
		at--;
	return at;
}

int column(const struct yaml *y)
{
	return (int)(y->at - line_start(y));
}

bool begins_line(const struct yaml *y)
{
	const char *at = y->at;

	while (at > y->start && at[-1] == ' ')
		at--;
	return at == y->start || at[-1] == '\n';
}

bool at_marker(const struct yaml *y)
{
	char c = look(y, 0);

	return (c == '-' || c == '.') && look(y, 1) == c && look(y, 2) == c && is_end_of_word(look(y, 3)) &&
	       (y->at == y->start || y->at[-1] == '\n');
}

void skip(struct yaml *y, bool in_flow, bool tabs)
{
	for (;;) {
		while (look(y, 0) == ' ' || (look(y, 0) == '\t' && (in_flow || tabs)))
			y->at++;
		if (look(y, 0) == '\t')
			refuse(y, "a tab where only blanks may stand");
		if (look(y, 0) == '#')
			while (y->at < y->end && *y->at != '\n')
				y->at++;
		if (look(y, 0) != '\n')
			return;
		y->at++;
		tabs = false;
	}
}

void put(struct text *t, char c)
{
	if (!c || t->used + 1 >= sizeof t->at)
		t->cut = true;
	else
		t->at[t->used++] = c;
	t->at[t->used] = 0;
}

/* The size of the UTF-8 character here; 0: there is none. */
static size_t character(const unsigned char *at, size_t left, unsigned long *code)
{
	static const unsigned long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = *at < 0x80 ? 1 : *at >> 5 == 6 ? 2 : *at >> 4 == 14 ? 3 : *at >> 3 == 30 ? 4 : 0, i;

	if (!size || size > left)
		return 0;
	*code = size == 1 ? *at : *at & (0xffU >> (size + 1));
	for (i = 1; i < size; i++) {
		if (at[i] >> 6 != 2)
			return 0;
		*code = *code << 6 | (at[i] & 0x3fU);
	}
	return *code < least[size] || (*code >= 0xd800 && *code < 0xe000) || *code > 0x10ffff ? 0 : size;
}

/* Not refused by the inner reader, but line ends to it and to nobody else. */
static bool is_odd_line_end(unsigned long code)
{
	return code == 0x85 || code == 0x2028 || code == 0x2029;
}

static bool is_allowed(unsigned long code)
{
	if (code < 0x20)
		return code == '\t' || code == '\n' || code == '\r';
	return code < 0x7f || (code >= 0xa0 && code != 0xfeff && code != 0xfffe && code != 0xffff);
}

bool check_text(char *text, size_t *size, const char **what, size_t *at)
{
	size_t from = 0, to = 0, width, i;
	unsigned long code = 0;

	if (*size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		from = 3;
	for (; from < *size; from += width) {
		*at = to;
		width = character((const unsigned char *)text + from, *size - from, &code);
		*what = !width ? "a byte that is no UTF-8" : is_odd_line_end(code) ? "an odd line end (NEL, LS or PS)" :
			!is_allowed(code) ? "a control character" : NULL;
		if (code == '\r' && (from + 1 == *size || text[from + 1] != '\n'))
			*what = "a CR without LF";
		if (*what)
			return false;
		for (i = 0; i < width && code != '\r'; i++)
			text[to++] = text[from + i];
	}
	*size = to;
	return true;
}
