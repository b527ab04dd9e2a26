/*
 * The launcher's YAML reader on many texts, for comparison: each text comes as
 * its size in decimal, a line end, and its bytes. For each, one line of JSON is
 * written: the values in order, or what is refused.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>

/* The reader needs it only without memory. */
void fail(enum exit_code code, const char *format, ...)
{
	fprintf(stderr, "%s", format);
	exit((int)code);
}

static void put_text(const char *text)
{
	putchar('"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned char)*text);
		else
			putchar(*text);
	putchar('"');
}

static bool show(void *to, const struct yaml_item *item)
{
	bool *any = to;

	printf("%s[", *any ? ", " : "");
	put_text(item->key);
	fputs(", ", stdout);
	put_text(item->value);
	printf(", %d, %d, %d, %d, %d, %zu]", item->first, item->appends, item->null, item->none, item->exact, item->line);
	*any = true;
	return true;
}

int main(void)
{
	struct yaml_problem problem;
	size_t size;

	while (scanf("%zu", &size) == 1) {
		char *text = malloc(size + 1);
		bool any = false;

		getchar();
		if (fread(text, 1, size, stdin) != size)
			return 1;
		printf("{\"items\": [");
		if (yaml_read(text, size, show, &any, &problem))
			printf("]}\n");
		else
			printf("], \"refused\": \"%s\", \"line\": %zu}\n", problem.what, problem.line);
		free(text);
	}
	return 0;
}
