/*
 * The command line up to the subcommand. The rest is for the inner program,
 * which knows its own flags; the launcher keeps no second list of them.
 */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
	{ "server", "k3s-server", false, true, "Run management server", "" },
	{ "agent", "k3s-agent", false, true, "Run node agent", "" },
	{ "kubectl", "kubectl", true, false, "Run kubectl", "" },
	{ "crictl", "crictl", true, false, "Run crictl", "" },
	{ "ctr", "ctr", true, false, "Run ctr", "" },
	{ "check-config", "check-config", true, false, "Run config check", "" },
	{ "token", "k3s-token", false, false, "Manage tokens", "create delete generate list rotate" },
	{ "etcd-snapshot", "k3s-etcd-snapshot", false, true, "Manage etcd snapshots", "save delete ls list l prune" },
	{ "secrets-encrypt", "k3s-secrets-encrypt", false, false, "Control secrets encryption and keys rotation",
	  "status enable disable prepare rotate reencrypt rotate-keys" },
	{ "certificate", "k3s-certificate", false, false, "Manage K3s certificates", "check rotate rotate-ca" },
	{ "completion", "k3s-completion", false, false, "Install shell completion script", "bash zsh" },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* `k3s help server`: the inner program knows the flags, so it prints the help. */
static const struct command inner_help = { "help", "k3s", false, false, "Shows a list of commands or help for one command", "" };

/* `k3s --show-defaults` without a command is about server and agent. */
static const struct command no_command = { "", "", false, false, "", "" };

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein distance; names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], i, j, corner, above, width = least(strlen(b), 31);

	for (j = 0; j <= width; j++)
		row[j] = j;
	for (i = 0; a[i]; i++) {
		corner = row[0]++;
		for (j = 1; j <= width; j++) {
			above = row[j];
			row[j] = least(least(above, row[j - 1]) + 1, corner + (a[i] != b[j - 1]));
			corner = above;
		}
	}
	return row[width];
}

static _Noreturn void unknown(const char *name)
{
	const struct command *nearest = commands;
	size_t i, near;

	for (i = 1; i < COMMANDS; i++)
		if (distance(name, commands[i].name) < distance(name, nearest->name))
			nearest = &commands[i];
	near = distance(name, nearest->name);
	if (near <= 2 || near * 3 <= strlen(name))
		fail(EXIT_UNKNOWN, "No help topic for '%s': there is no such command\n"
		     "  do: did you mean 'k3s %s'? 'k3s help' lists the commands", name, nearest->name);
	fail(EXIT_UNKNOWN, "No help topic for '%s': there is no such command\n"
	     "  do: 'k3s help' lists the commands", name);
}

static _Noreturn void print_help(int code)
{
	size_t i;

	printf("NAME:\n   k3s - Kubernetes, but small and simple\n\n"
	       "USAGE:\n   k3s [global options] command [command options]\n\n"
	       "COMMANDS:\n");
	for (i = 0; i < COMMANDS; i++)
		printf("   %-16s %s\n", commands[i].name, commands[i].usage);
	printf("   %-16s %s\n\n", "help, h", inner_help.usage);
	printf("GLOBAL OPTIONS:\n"
	       "   --debug                     Turn on debug logs [$K3S_DEBUG]\n"
	       "   --data-dir value, -d value  Folder to hold state: " DEFAULT_DATA_DIR ",\n"
	       "                               or ${HOME}/.rancher/k3s if not root [$K3S_DATA_DIR]\n"
	       "   --show-defaults             What this k3s sets on this board, and why; with\n"
	       "                               --json as JSON, with a command for its start\n"
	       "   --show-paths                Which folders and configuration a start would use;\n"
	       "                               with --json as JSON, with a command for its start\n"
	       "   --check-node                Does this machine have what a node must have; with\n"
	       "                               --json as JSON, with a command for its start\n"
	       "   --help, -h                  show help\n"
	       "   --version, -v               print the version\n\n"
	       "'k3s help COMMAND' shows a command's own options.\n");
	leave(code);
}

static _Noreturn void wrong_usage(const char *what, const char *flag)
{
	fail(EXIT_USAGE, "Incorrect Usage: %s: %s\n  do: 'k3s help' lists the global options", what, flag);
}

static _Noreturn void print_version(void)
{
	static struct bundle b;

	bundle_open(&b);
	bundle_verify(&b);
	printf("k3s version %s (%s)%s\ngo version %s\n", b.version, b.commit, b.draft ? " draft" : "", b.go);
	leave(0);
}

/* What the scripts of `k3s completion` ask for; zsh also wants the summaries. */
static void offer(const char *name, const char *usage)
{
	if (getenv("_CLI_ZSH_AUTOCOMPLETE_HACK") && usage)
		printf("%s:%s\n", name, usage);
	else
		printf("%s\n", name);
}

static _Noreturn void complete(const struct command *c, const char *last)
{
	char children[128], *save = NULL, *child;
	size_t i;

	/* the inner program knows a command's own flags, but has no completion */
	if (last[0] == '-') {
		printf("%s", c ? "" : "--debug\n--data-dir\n-d\n--show-defaults\n--show-paths\n--check-node\n--help\n-h\n--version\n-v\n");
		leave(0);
	}
	for (i = 0; !c && i < COMMANDS; i++)
		offer(commands[i].name, commands[i].usage);
	snprintf(children, sizeof children, "%s", c ? c->children : "");
	for (child = strtok_r(children, " ", &save); child; child = strtok_r(NULL, " ", &save))
		offer(child, NULL);
	if (!c || c->children[0])
		offer("help", inner_help.usage);
	leave(0);
}

struct globals {
	bool help, version, json;
	enum question asked;
};

/* What may be asked of the start of server or agent, and what to say of any other command. */
static const struct {
	const char *flag, *refusal;
} askable[] = {
	[ASK_DEFAULTS] = { "show-defaults", "only server and agent have defaults" },
	[ASK_PATHS] = { "show-paths", "only the paths of server and agent can be shown" },
	[ASK_NODE] = { "check-node", "only server and agent make a node" },
};

static enum question question_of(const char *name)
{
	enum question q;

	for (q = ASK_DEFAULTS; q <= ASK_NODE; q++)
		if (!strcmp(name, askable[q].flag))
			return q;
	return ASK_NOTHING;
}

/* One global flag as Go's flag package reads it; the number of words it takes. */
static int global_flag(char **at, struct globals *g)
{
	const char *word = at[0] + 1 + (at[0][1] == '-'), *value = strchr(word, '=');
	size_t size = value ? (size_t)(value - word) : strlen(word);
	char name[16] = "";
	bool on = true;

	if (size < sizeof name)
		snprintf(name, sizeof name, "%.*s", (int)size, word);
	if (!strcmp(name, "data-dir") || !strcmp(name, "d")) {
		if (!value && !at[1])
			wrong_usage("flag needs an argument", at[0]);
		return value ? 1 : 2;
	}
	if (value && !parse_bool(value + 1, &on))
		wrong_usage("not a boolean", at[0]);
	if (!strcmp(name, "help") || !strcmp(name, "h"))
		g->help = on;
	else if (!strcmp(name, "version") || !strcmp(name, "v"))
		g->version = on;
	else if (!strcmp(name, "json"))
		g->json = on;
	else if (question_of(name) && on && g->asked && g->asked != question_of(name))
		wrong_usage("one question at a time", at[0]);
	else if (question_of(name))
		g->asked = on ? question_of(name) : g->asked;
	else if (strcmp(name, "debug"))
		wrong_usage("flag provided but not defined", at[0]);
	return 1;
}

static int skip_globals(char **argv, struct globals *g)
{
	int at = 1;

	while (argv[at] && argv[at][0] == '-' && argv[at][1]) {
		if (!strcmp(argv[at], "--"))
			return at + 1;
		at += global_flag(argv + at, g);
	}
	return at;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "help") || !strcmp(word, "h");
}

static void help_for(const char *name, char **argv, struct request *r)
{
	if (!name)
		print_help(0);
	if (is_help(name))
		print_help(0);
	if (!find(name))
		unknown(name);
	if (!strcmp(name, "check-config")) {
		/* the one command that the inner program does not have */
		printf("NAME:\n   k3s check-config - Run config check\n\nUSAGE:\n   k3s check-config [kernel config file]\n");
		leave(0);
	}
	r->command = &inner_help;
	r->argv = argv;
}

/* A question about the start of server or agent; paths are those of a server, unless a command says otherwise. */
static void ask(char **argv, int at, const struct globals *g, struct request *r)
{
	const struct command *c = argv[at] ? find(argv[at]) : g->asked == ASK_PATHS ? find("server") : &no_command;

	if (!c || (argv[at] && strcmp(c->name, "server") && strcmp(c->name, "agent")))
		wrong_usage(askable[g->asked].refusal, argv[at]);
	r->command = c;
	r->command_at = argv[at] ? at : at - 1;
	r->question = g->asked;
	r->as_json = g->json;
}

void command_parse(int argc, char **argv, struct request *r)
{
	struct globals g = { 0 };
	const struct command *alias = find(base_name(argv[0]));
	bool completing = argc > 1 && !strcmp(argv[argc - 1], "--generate-bash-completion");
	int at;

	*r = (struct request){ .argv = argv };
	/* upstream's three names; check-config is no alias there */
	if (alias && alias->external && strcmp(alias->name, "check-config")) {
		r->command = alias;
		argv[0] = (char *)(uintptr_t)alias->name;
		return;
	}
	if (completing)
		complete(argc > 2 ? find(argv[1]) : NULL, argc > 2 ? argv[argc - 2] : "");
	at = skip_globals(argv, &g);
	if (g.json && !g.asked)
		wrong_usage("it belongs to --show-defaults, --show-paths or --check-node", "--json");
	if (g.asked && !g.help && !g.version) {
		ask(argv, at, &g, r);
		return;
	}
	if (g.help || !argv[at] || is_help(argv[at])) {
		if (g.version && !g.help)
			print_version();
		help_for(g.help || !argv[at] ? argv[at] : argv[at + 1], argv, r);
		r->command_at = at;
		return;
	}
	if (g.version || !strcmp(argv[at], "version"))
		print_version();
	r->command = find(argv[at]);
	r->command_at = at;
	if (!r->command)
		unknown(argv[at]);
	if (r->command->external) {
		r->argv = argv + at;
		r->argv[0] = (char *)(uintptr_t)r->command->name;
	}
}

bool is_question(char **argv, const struct request *r)
{
	static const char *const questions[] = { "--help", "-help", "--h", "-h", "--version", "-version" };
	char **at = argv + r->command_at + 1;
	size_t i;

	if (r->command == &inner_help || (*at && is_help(*at)))
		return true;
	/* -v is no question: it takes a log level there */
	for (; *at && strcmp(*at, "--"); at++)
		for (i = 0; i < sizeof questions / sizeof questions[0]; i++)
			if (!strcmp(*at, questions[i]))
				return true;
	return false;
}

bool starts_node(char **argv, const struct request *r)
{
	bool is_node = !strcmp(r->command->name, "server") || !strcmp(r->command->name, "agent");

	return is_node && !is_question(argv, r);
}
