/* What happens at each start, in order. */
#include "launcher.h"

#include <stdio.h>
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

/* Only these do what the configuration says; the others look there for the place of their program alone. */
static bool obeys_config(char **argv, const struct request *r)
{
	return r->question || (r->command->reads_config && !is_question(argv, r));
}

static void demand_config(char **argv, const struct request *r, const struct config_problem *p)
{
	if (!*p->text)
		return;
	if (obeys_config(argv, r))
		fail(EXIT_CONFIG, "%s\n  do: %s", p->text, p->advice);
	/* the inner program reads it even to print its help */
	if (!r->command->external)
		set_environment("K3S_CONFIG_FILE", "/dev/null");
}

/* Its data directory would matter now, to unpack there, or to find crictl's own configuration. */
static void warn_of_config(char **argv, const struct request *r, const struct config_problem *p, bool unpacked)
{
	bool is_crictl = !strcmp(r->command->name, "crictl") && !from_environment("CRI_CONFIG_FILE");

	if (*p->text && (!unpacked || is_crictl) && !datadir_is_given(argv, r))
		log_line(LOG_WARNING, "%s; going on as if it named no data directory", p->text);
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
static void prepare_node(struct bundle *b, const struct settings *s, const char *config, char **argv, struct request *r,
			 const char *dir)
{
	char data_dir[PATH_MAX];

	datadir_of_node(s, argv, r, data_dir);
	relink(b, dir);
	needs_check(b, data_dir, config, r);
	if (!strcmp(r->command->name, "server"))
		remove_moved(data_dir);
	heal(data_dir, r, config);
	images_place(b, data_dir);
	r->argv = defaults_apply(b, r, config);
	if (!strcmp(r->command->name, "server"))
		r->argv = without_components(b, r->argv, r->command_at);
}

static _Noreturn void ask_node(const struct bundle *b, const struct settings *s, const char *config, char **argv,
			       const struct request *r)
{
	char data_dir[PATH_MAX];

	datadir_of_node(s, argv, r, data_dir);
	needs_show(b, data_dir, config, r);
}

int main(int argc, char **argv)
{
	static struct settings settings;
	static struct bundle bundle;
	static char output[1 << 15];	/* all of it at once: then the error of a full disk is known */
	char data_dir[PATH_MAX], dir[PATH_MAX];
	struct request request;
	const char *config;
	bool is_staged;

	if (argc < 1)
		fail(EXIT_USAGE, "called without even a name\n  do: call it as k3s");
	setvbuf(stdout, output, _IOFBF, sizeof output);
	command_parse(argc, argv, &request);
	config = config_file(argv, &request);
	if (config && *config)
		config_read(config, &settings);
	demand_config(argv, &request, &settings.problem);
	set_log_level(argv, &request, &settings);
	bundle_open(&bundle);
	if (request.question == ASK_DEFAULTS)
		defaults_show(&bundle, &request, config);
	if (request.question == ASK_PATHS)
		paths_show(&bundle, &settings, argv, &request, config);
	if (request.question == ASK_NODE)
		ask_node(&bundle, &settings, config, argv, &request);
	datadir_find(&settings, argv, &request, data_dir);
	is_staged = stage_find(&bundle, data_dir, dir);
	warn_of_config(argv, &request, &settings.problem, is_staged);
	cpu_check(&bundle);
	if (!is_staged)
		stage(&bundle, dir);
	if (starts_node(argv, &request)) {
		check_content(&bundle, dir);
		prepare_node(&bundle, &settings, config, argv, &request, dir);
	}
	if (!strcmp(request.command->name, "check-config"))
		needs_before_script(&bundle, data_dir, config, &request);
	log_line(LOG_DEBUG, "Asset dir %s", dir);
	run(&bundle, dir, data_dir, &request, prefers_bundled(&request, &settings));
}
