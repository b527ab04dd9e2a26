/* What the user gives for this start: flags, configuration, variables. */
#include "needs.h"

#include <string.h>

/* The configuration's keys and values, each with its end, read once for all rows. */
static char pairs[1 << 16];
static size_t pairs_used;

static bool append(const char *text)
{
	size_t size = strlen(text) + 1;

	if (size > sizeof pairs - pairs_used)
		return false;
	memcpy(pairs + pairs_used, text, size);
	pairs_used += size;
	return true;
}

/* A value of which only k3s knows how it is written makes the whole unknown: then k3s speaks. */
static bool keep(void *to, const struct yaml_item *item)
{
	bool *complete = to;

	if (!item->none)
		*complete = *complete && item->exact && append(item->key) && append(item->value);
	return true;
}

void node_read_config(struct node *n, const char *file)
{
	struct config_problem problem = { 0 };
	bool complete = true;

	pairs_used = 0;
	if (!file || !*file)
		return;
	n->knows_config = !is_url(file);
	complete = config_each(file, keep, &complete, &problem) && complete;
	n->knows_config = n->knows_config && complete;
	if (!complete)
		pairs_used = 0;
}

static const char *in_configuration(const char *key)
{
	const char *found = NULL, *at = pairs, *value;

	for (; at < pairs + pairs_used; at = value + strlen(value) + 1) {
		value = at + strlen(at) + 1;
		if (!strcmp(at, key))
			found = value;
	}
	return found;
}

bool node_given(const struct node *n, const char *flag)
{
	return flag_given(flag, "", n->flags, NULL) || in_configuration(flag);
}

bool node_given_any(const struct node *n, const char *const flags[])
{
	for (; *flags; flags++)
		if (node_given(n, *flags))
			return true;
	return false;
}

/*
 * The last one; flag_find() is not for this: of a cluster "-disable" it takes
 * the letters, and the inner program's own flags may have one dash. Of a bare
 * flag the value is the next word, or `bare`, if that is not NULL.
 */
static const char *in_words(const struct node *n, const char *flag, const char *bare)
{
	size_t size = strlen(flag);
	const char *found = NULL, *word;
	char **at;

	for (at = n->flags; *at && strcmp(*at, "--") != 0; at++) {
		if (**at != '-')
			continue;
		word = *at + 1 + ((*at)[1] == '-');
		if (strncmp(word, flag, size) || (word[size] && word[size] != '='))
			continue;
		if (word[size])
			found = word + size + 1;
		else if (bare || at[1])
			found = bare ? bare : at[1];
	}
	return found;
}

const char *node_value(const struct node *n, const char *flag, const char *letter, const char *variable)
{
	const char *value = in_words(n, flag, NULL);

	if (!value && letter)
		value = in_words(n, letter, NULL);
	if (!value)
		value = in_configuration(flag);
	return value || !variable ? value : from_environment(variable);
}

bool node_on(const struct node *n, const char *flag)
{
	const char *text = in_words(n, flag, "true");
	bool on = false;

	if (!text)
		text = in_configuration(flag);
	return text && parse_bool(text, &on) && on;
}
