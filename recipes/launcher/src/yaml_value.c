/* From a node of YAML to the text that k3s makes of it, and to who asked for it. */
#include "yaml.h"

#include <string.h>

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

static void become(struct text *t, const char *text)
{
	t->used = strlen(text);
	memcpy(t->at, text, t->used + 1);
}

/* A whole number as k3s would print it again. */
static bool is_simple_number(const char *text)
{
	const char *digits = text + (*text == '-');

	if (!strcmp(text, "0"))
		return true;
	return *digits >= '1' && *digits <= '9' && strlen(digits) < 18 && strspn(digits, "0123456789") == strlen(digits);
}

/* It may be a number, of which k3s would make another text: 0x1f, 1_000, 1.50, .5, +1. */
static bool may_be_number(const char *text)
{
	if (!strchr("0123456789+-.", *text) || is_simple_number(text))
		return false;
	/* an address */
	if (strchr(text, '.') != strrchr(text, '.'))
		return false;
	return strspn(text, "0123456789abcdefABCDEFxXoO_.+-") == strlen(text) || !strcmp(text + (*text == '+' || *text == '-'), ".inf");
}

void resolve(struct yaml *y, bool is_text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL };
	static const char *const falses[] = { "n",     "N",	"no",  "No",  "NO",  "false",
					      "False", "FALSE", "off", "Off", "OFF", NULL };
	static const char *const floats[] = { ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
					      "-.inf", "-.Inf", "-.INF", NULL };
	struct text *t = &y->scalar;

	y->item.null = false;
	y->item.exact = !t->cut;
	if (!y->is_plain || is_text)
		return;
	if (is_one_of(t->at, nulls)) {
		y->item.null = true;
		become(t, "");
	} else if (is_one_of(t->at, trues)) {
		become(t, "true");
	} else if (is_one_of(t->at, falses)) {
		become(t, "false");
	} else if (is_one_of(t->at, floats) || may_be_number(t->at)) {
		y->item.exact = false;
	}
}

/* Blanks of Unicode that Go cuts off as well; 0: none is here. */
static size_t wide_blank(const unsigned char *at)
{
	if (at[0] == 0xc2 && (at[1] == 0x85 || at[1] == 0xa0))
		return 2;
	if (at[0] == 0xe2 && at[1] == 0x80 && ((at[2] >= 0x80 && at[2] <= 0x8a) || at[2] == 0xa8 || at[2] == 0xa9 || at[2] == 0xaf))
		return 3;
	if ((at[0] == 0xe1 && at[1] == 0x9a && at[2] == 0x80) || (at[0] == 0xe2 && at[1] == 0x81 && at[2] == 0x9f) ||
	    (at[0] == 0xe3 && at[1] == 0x80 && at[2] == 0x80))
		return 3;
	return 0;
}

static size_t blank_size(const char *at)
{
	return *at && strchr(" \t\n\v\f\r", *at) ? 1 : wide_blank((const unsigned char *)at);
}

static void trim(struct text *t)
{
	const char *from = t->at, *at, *stop;
	size_t size;

	while ((size = blank_size(from)))
		from += size;
	for (at = stop = from; *at;) {
		size = blank_size(at);
		at += size ? size : 1;
		if (!size)
			stop = at;
	}
	t->used = (size_t)(stop - from);
	memmove(t->at, from, t->used);
	t->at[t->used] = 0;
}

/* Counted on from the last one: keys come in the order of the text. */
static void count_lines(struct yaml *y, const char *to)
{
	for (; y->counted < to; y->counted++)
		y->item.line += *y->counted == '\n';
}

enum role begin_entry(struct yaml *y, enum role role, const char *at)
{
	struct text *t = &y->scalar;

	if (y->is_plain && !strcmp(t->at, "<<"))
		return MERGED;
	if (role != ROOT)
		return UNASKED;
	count_lines(y, at);
	resolve(y, false);
	trim(t);
	y->item.appends = t->used && t->at[t->used - 1] == '+';
	if (y->item.appends)
		t->at[--t->used] = 0;
	/* nobody looks for such a one */
	if (!y->item.exact || t->used > KEY_MAX)
		become(t, "");
	memcpy(y->key, t->at, t->used + 1);
	y->item.key = y->key;
	y->item.first = true;
	return VALUE;
}

static void tell(struct yaml *y)
{
	y->item.value = y->scalar.at;
	if (!y->what && !y->visit(y->to, &y->item)) {
		refuse(y, "a value that k3s does not take as the text that it is");
		y->where = y->counted;
	}
	y->item.first = false;
}

void tell_scalar(struct yaml *y, enum role role, bool is_text)
{
	if (role > ELEMENT)
		return;
	resolve(y, is_text);
	trim(&y->scalar);
	if (role != ROOT)
		tell(y);
	else if (!y->item.null)
		refuse(y, NO_MAPPING);
}

void tell_collection(struct yaml *y)
{
	become(&y->scalar, "");
	y->item.null = y->item.exact = false;
	tell(y);
}

void tell_empty_list(struct yaml *y)
{
	become(&y->scalar, "");
	y->item.null = false;
	y->item.exact = y->item.none = true;
	tell(y);
	y->item.none = false;
}
