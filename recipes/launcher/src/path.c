/* Paths as text: joined with a length check, made absolute, home expanded. */
#include "launcher.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void too_long(const char *path)
{
	fail(EXIT_SYSTEM, "the path is longer than %d bytes: %.80s...\n"
	     "  do: choose a shorter --data-dir", PATH_MAX, path);
}

void join(char out[PATH_MAX], const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(out, PATH_MAX, format, args);
	va_end(args);
	if (size < 0 || size >= PATH_MAX)
		too_long(out);
}

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "a//b/./c/.." becomes "/cwd/a/b": textually, as Go's filepath.Abs does. */
void absolute_path(char out[PATH_MAX], const char *path)
{
	char full[PATH_MAX], cwd[PATH_MAX] = "", *save = NULL, *part;
	size_t used = 0;

	if (path[0] != '/' && !getcwd(cwd, sizeof cwd))
		fail(EXIT_SYSTEM, "cannot tell the working directory (%s), which the relative path %s needs\n"
		     "  do: give an absolute path", strerror(errno), path);
	join(full, "%s/%s", cwd, path);
	for (part = strtok_r(full, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (!strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			while (used && out[--used] != '/')
				;
			continue;
		}
		out[used++] = '/';
		memcpy(out + used, part, strlen(part));
		used += strlen(part);
	}
	if (!used)
		out[used++] = '/';
	out[used] = 0;
}

/* An empty variable counts as unset, as everywhere in k3s. */
const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* How many bytes of text are a name for the home directory. */
static size_t home_word(const char *text, bool at_start)
{
	if (!strncmp(text, "${HOME}", 7))
		return 7;
	if (!strncmp(text, "$HOME", 5))
		return 5;
	return at_start && text[0] == '~' && (text[1] == '/' || !text[1]) ? 1 : 0;
}

/* false: the path needs a home and there is none. */
bool expand_home(char out[PATH_MAX], const char *path)
{
	const char *home = from_environment("HOME"), *from = path;
	size_t used = 0, word, size;

	while (*from) {
		word = home_word(from, from == path);
		if (word && !home)
			return false;
		size = word ? strlen(home) : 1;
		if (used + size >= PATH_MAX)
			too_long(path);
		memcpy(out + used, word ? home : from, size);
		used += size;
		from += word ? word : 1;
	}
	out[used] = 0;
	return true;
}
