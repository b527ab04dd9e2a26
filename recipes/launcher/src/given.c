/*
 * Did the user give a flag of the inner program: behind the command, in the
 * configuration, in a variable? A word that only looks like it (the value of
 * another flag) counts as well; the worst that follows is that a default is not
 * applied.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct search {
	const char *name;
	const char *key;	/* of one value of a list; NULL: any value counts */
	size_t key_size;
	bool found;
};

/*
 * "--max-pods=20", "max_pods+=20": the programs inside k3s take these as
 * max-pods. The size without what does not belong to the name.
 */
static size_t inner_key(const char **text)
{
	size_t size;

	if (!strncmp(*text, "--", 2))
		*text += 2;
	size = strcspn(*text, "=");
	while (size && strchr("+-", (*text)[size - 1]))
		size--;
	return size;
}

static bool is_same_key(const char *a, const char *b, size_t size)
{
	for (; size; size--, a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return true;
}

static void look(struct search *s, const char *value)
{
	size_t size = inner_key(&value);

	if (!s->key || (size == s->key_size && is_same_key(s->key, value, size)))
		s->found = true;
}

static void in_words(struct search *s, char **at)
{
	size_t size = strlen(s->name);
	const char *word;

	for (; *at && strcmp(*at, "--"); at++) {
		if (**at != '-')
			continue;
		word = *at + 1 + ((*at)[1] == '-');
		if (strncmp(word, s->name, size))
			continue;
		if (word[size] == '=')
			look(s, word + size + 1);
		else if (!word[size])
			look(s, at[1] ? at[1] : "");
	}
}

static bool in_configuration(void *to, const struct yaml_item *item)
{
	struct search *s = to;

	if (!strcmp(item->key, s->name))
		look(s, item->value);
	return true;
}

/* Not toupper: that gives an int, and asks the locale. */
static char variable_letter(char c)
{
	static const char flag[] = "abcdefghijklmnopqrstuvwxyz-", variable[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	const char *found = strchr(flag, c);

	if (found)
		return variable[found - flag];
	return c;
}

/* K3S_RESOLV_CONF for resolv-conf. The inner program takes an empty one as well. */
static void in_environment(struct search *s)
{
	char name[128];
	char *at;

	snprintf(name, sizeof name, "K3S_%s", s->name);
	for (at = name; *at; at++)
		*at = variable_letter(*at);
	s->found = s->found || getenv(name);
}

bool is_url(const char *config)
{
	return !strncasecmp(config, "http:", 5) || !strncasecmp(config, "https:", 6);
}

bool flag_given(const char *name, const char *value, char **flags, const char *config)
{
	struct search s = { name, NULL, 0, false };
	struct config_problem judged = { .advice = "" };	/* when the configuration was read first */

	if (strchr(value, '=')) {
		s.key = value;
		s.key_size = inner_key(&s.key);
	}
	in_words(&s, flags);
	in_environment(&s);
	if (!s.found && config)
		config_each(config, in_configuration, &s, &judged);
	return s.found;
}
