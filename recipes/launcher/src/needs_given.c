/* What the user gives for this start: flags, configuration, variables. */
#include "needs.h"

#include <stdio.h>
#include <string.h>

struct wanted {
	const char *key;
	char *value;
	size_t size;
	bool found;
};

bool node_given(const struct node *n, const char *flag)
{
	return flag_given(flag, "", n->flags, n->config);
}

bool node_given_any(const struct node *n, const char *const flags[])
{
	for (; *flags; flags++)
		if (node_given(n, *flags))
			return true;
	return false;
}

static void keep(void *to, const char *key, const char *value, bool first)
{
	struct wanted *w = to;

	(void)first;
	if (strcmp(key, w->key))
		return;
	snprintf(w->value, w->size, "%s", value);
	w->found = true;
}

static const char *in_configuration(const struct node *n, const char *key)
{
	static char value[1024];
	struct wanted w = { key, value, sizeof value, false };

	if (n->config)
		config_each(n->config, false, keep, &w);
	return w.found ? value : NULL;
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
		value = in_configuration(n, flag);
	return value || !variable ? value : from_environment(variable);
}

bool node_on(const struct node *n, const char *flag)
{
	const char *text = in_words(n, flag, "true");
	bool on = false;

	if (!text)
		text = in_configuration(n, flag);
	return text && parse_bool(text, &on) && on;
}
