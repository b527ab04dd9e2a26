/*
 * Looking for one flag in a command line that belongs to another program.
 * Follows what upstream's launcher does (spf13/pflag with unknown flags
 * allowed): -d X, -dX, -d=X, --data-dir X, --data-dir=X, the last one wins,
 * "--" and help end the search, and an unknown flag takes the next word with
 * it unless that begins with a dash. One more spelling is understood because
 * the inner program does: -data-dir.
 */
#include "launcher.h"

#include <string.h>

bool parse_bool(const char *text, bool *value)
{
	static const char *const words[] = { "1", "t", "T", "true", "TRUE", "True",
					     "0", "f", "F", "false", "FALSE", "False" };
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!strcmp(text, words[i])) {
			*value = i < 6;
			return true;
		}
	}
	return false;
}

/* The text after "name=", "" for the bare name, NULL for another flag. */
static const char *after_name(const char *word, const char *name)
{
	size_t size = strlen(name);

	if (strncmp(word, name, size) || (word[size] && word[size] != '='))
		return NULL;
	return word + size;
}

static bool take(struct flag *f, const char *value)
{
	bool ignored;

	if (f->is_bool && !parse_bool(value, &ignored)) {
		f->value = "false";
		return false;
	}
	f->value = value;
	return true;
}

static bool looks_like_path(const char *value)
{
	return value[0] == '/' || value[0] == '~' || value[0] == '$';
}

static char **skip_value(char **next)
{
	return *next && **next != '-' ? next + 1 : next;
}

/* --name, --name=x, or another flag; NULL: stop. */
static char **long_flag(const char *word, char **next, struct flag *f)
{
	const char *rest = after_name(word, f->name);

	if (!*word || *word == '-' || *word == '=' || after_name(word, "help"))
		return NULL;
	if (!rest)
		return strchr(word, '=') ? next : skip_value(next);
	if (*rest)
		return take(f, rest + 1) ? next : NULL;
	if (f->is_bool)
		return take(f, "true") ? next : NULL;
	if (!*next)
		return NULL;
	take(f, *next);
	return next + 1;
}

/* Our letter with the rest of its cluster. */
static char **own_letter(const char *cluster, char **next, struct flag *f, bool foreign)
{
	const char *value = cluster + 1;
	bool next_word = !*value;

	if (value[0] == '=' && value[1])
		value++;
	if (next_word && !*next)
		return NULL;
	if (next_word)
		value = *next;
	/* `k3s ctr run -d IMAGE`: that -d is ctr's, and IMAGE is no directory */
	if (foreign && !looks_like_path(value))
		return next;
	take(f, value);
	return next_word ? next + 1 : next;
}

static char **short_flags(const char *cluster, char **next, struct flag *f, bool foreign)
{
	char **after = next;

	if (after_name(cluster, f->name))
		return long_flag(cluster, next, f);
	for (; *cluster; cluster++) {
		if (f->letter && *cluster == f->letter)
			return own_letter(cluster, next, f, foreign);
		if (*cluster == 'h')
			return NULL;
		if (cluster[1] == '=' && cluster[2])
			return next;
		after = skip_value(next);
	}
	return after;
}

void flag_find(char **argv, struct flag *f)
{
	char **at = argv, *word;
	bool foreign;

	while (at && (word = *at)) {
		foreign = f->foreign_from && at - argv >= f->foreign_from;
		at++;
		if (word[0] != '-' || !word[1])
			continue;
		if (word[1] == '-')
			at = word[2] ? long_flag(word + 2, at, f) : NULL;
		else
			at = short_flags(word + 1, at, f, foreign);
	}
}
