/*
 * k3s --show-paths: what a start with these arguments, in this environment,
 * would use. The same functions answer that decide at a start, so that a script
 * which asks never knows better than k3s.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer {
	const char *name, *path;
};

enum { ANSWERS = 6 };

/* Every link on the way is followed, as far as the path exists. */
static void real_path(char out[PATH_MAX], const char *path)
{
	char head[PATH_MAX], real[PATH_MAX];
	char *slash;

	join(head, "%s", path);
	while (!realpath(head, real)) {
		slash = strrchr(head, '/');
		if (slash == head) {
			join(out, "%s", path);
			return;
		}
		*slash = 0;
	}
	path += strlen(head);
	join(out, "%s%s", real[1] || !*path ? real : "", path);
}

/* The inner program takes the name as it is, from the working directory. */
static void config_path(char out[PATH_MAX], const char *config)
{
	char cwd[PATH_MAX];

	if (!config)
		config = "";
	if (!*config || *config == '/' || is_url(config) || !getcwd(cwd, sizeof cwd))
		join(out, "%s", config);
	else
		join(out, "%s/%s", cwd, config);
}

static void demand_one_line(const struct answer *a)
{
	if (strchr(a->path, '\n'))
		fail(EXIT_CONFIG, "the %s has a line break in its name: %s\n"
		     "  cause: whoever asks for the paths reads them by lines\n"
		     "  do: give it a name without one", a->name, a->path);
}

static void put_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned int)*text);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_json(const struct answer *answers)
{
	size_t i;

	for (i = 0; i < ANSWERS; i++) {
		fputs(i ? ", " : "{", stdout);
		put_json_text(answers[i].name);
		fputs(": ", stdout);
		put_json_text(answers[i].path);
	}
	puts("}");
}

static void print_lines(const struct answer *answers)
{
	size_t i;

	for (i = 0; i < ANSWERS; i++)
		printf("%s\t%s\n", answers[i].name, answers[i].path);
}

/* Where the folder data of this version is or would be. */
static void unpack_dir(struct bundle *b, const struct settings *s, char **argv, const struct request *r,
		       char out[PATH_MAX])
{
	char wanted[PATH_MAX], version[PATH_MAX];

	datadir_find(s, argv, r, wanted);
	stage_find(b, wanted, version);
	version[strlen(version) - sizeof "/data/" + 1 - HASH_HEX] = 0;
	join(out, "%s", *version ? version : "/");
}

void paths_show(struct bundle *b, const struct settings *s, char **argv, const struct request *r, const char *config)
{
	char file[PATH_MAX], data[PATH_MAX], real_data[PATH_MAX], unpack[PATH_MAX], real_unpack[PATH_MAX], images[PATH_MAX];
	const struct answer answers[ANSWERS] = {
		{ "config", file },	    { "data-dir", data },	      { "real-data-dir", real_data },
		{ "unpack-dir", unpack }, { "real-unpack-dir", real_unpack }, { "images-dir", images },
	};
	size_t i;

	config_path(file, config);
	datadir_of_node(s, argv, r, data);
	real_path(real_data, data);
	unpack_dir(b, s, argv, r, unpack);
	real_path(real_unpack, unpack);
	join(images, "%s/agent/images", data[1] ? data : "");
	for (i = 0; i < ANSWERS; i++)
		demand_one_line(&answers[i]);
	(r->as_json ? print_json : print_lines)(answers);
	if (fflush(stdout))
		fail(EXIT_IO, "cannot write the answer\n  do: look at where the standard output goes");
	leave(0);
}
