/* What happens at each start, in order. */
#include "launcher.h"

#include <string.h>

/* Where the inner program would look for its configuration, too. */
static const char *config_file(char **argv, const struct request *r)
{
	const char *given = from_environment("K3S_CONFIG_FILE");
	char **at;

	if (given)
		return given;
	for (at = argv; r->command->reads_config && *at; at++) {
		if (!strcmp(*at, "--config") || !strcmp(*at, "-c"))
			return at[1];
		if (!strncmp(*at, "--config=", 9))
			return *at + 9;
		if (!strncmp(*at, "-c=", 3))
			return *at + 3;
	}
	return DEFAULT_CONFIG;
}

/* Whoever asks for help or a version is not stopped by a broken configuration. */
static bool is_strict(char **argv, const struct request *r)
{
	static const char *const lenient[] = { "--help", "-h", "--version", "-v" };
	size_t i;

	if (r->command->external)
		return false;
	for (; *argv; argv++)
		for (i = 0; i < sizeof lenient / sizeof lenient[0]; i++)
			if (!strcmp(*argv, lenient[i]))
				return false;
	return true;
}

static bool flag_set(char **argv, const char *name, bool otherwise)
{
	struct flag f = { name, 0, true, 0, NULL };

	flag_find(argv, &f);
	if (f.value)
		parse_bool(f.value, &otherwise);
	return otherwise;
}

static void set_log_level(char **argv, const struct request *r, const struct settings *s)
{
	const char *given = from_environment("K3S_DEBUG");
	bool debug = false;

	if (!given || !parse_bool(given, &debug) || !debug) {
		parse_bool(s->debug, &debug);
		debug = flag_set(argv, "debug", false) || debug;
	}
	/* a script goes to standard output, keep the screen quiet around it */
	log_level = !strcmp(r->command->name, "completion") ? LOG_ERROR : debug ? LOG_DEBUG : LOG_INFO;
}

static bool prefers_bundled(const struct request *r, const struct settings *s)
{
	bool prefer = false;

	parse_bool(s->prefer_bundled_bin, &prefer);
	return flag_set(r->argv, "prefer-bundled-bin", prefer);
}

/* What a node needs before its program runs; afterwards the request has all arguments. */
static void prepare_node(struct bundle *b, const struct settings *s, const char *config, char **argv, struct request *r)
{
	char data_dir[PATH_MAX];

	datadir_of_node(s, argv, r, data_dir);
	heal(data_dir, r, config);
	images_place(b, data_dir);
	r->argv = defaults_apply(b, r, config);
	if (!strcmp(r->command->name, "server"))
		r->argv = without_components(b, r->argv, r->command_at);
}

int main(int argc, char **argv)
{
	static struct settings settings;
	static struct bundle bundle;
	char data_dir[PATH_MAX], dir[PATH_MAX];
	struct request request;
	const char *config;

	if (argc < 1)
		fail(EXIT_USAGE, "called without even a name\n  do: call it as k3s");
	command_parse(argc, argv, &request);
	config = config_file(argv, &request);
	if (config && *config)
		config_read(config, is_strict(argv, &request), &settings);
	set_log_level(argv, &request, &settings);
	bundle_open(&bundle);
	if (request.show_defaults)
		defaults_show(&bundle, &request, config);
	if (request.show_paths)
		paths_show(&bundle, &settings, argv, &request, config);
	datadir_find(&settings, argv, &request, data_dir);
	cpu_check(&bundle);
	stage(&bundle, data_dir, dir);
	if (starts_node(argv, &request))
		prepare_node(&bundle, &settings, config, argv, &request);
	log_line(LOG_DEBUG, "Asset dir %s", dir);
	run(dir, data_dir, &request, prefers_bundled(&request, &settings));
}
