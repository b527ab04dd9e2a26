/*
 * The k3s launcher: the native program in front of the payload in every
 * k3s-<target> executable. It finds the data directory, unpacks the payload
 * there once, and becomes the program inside that was asked for.
 *
 * One file per concern:
 *   main.c      the order of things
 *   message.c   log lines, errors
 *   path.c      paths as text, the environment
 *   commands.c  subcommands, help, version, completion
 *   flags.c     looking for one flag in somebody else's command line
 *   yaml.c      keys and values of one text; yaml_*.c its parts
 *   config.c    k3s's configuration files, four keys of theirs
 *   datadir.c   which data directory
 *   bundle.c    footer and manifest of our own executable
 *   manifest.c  the manifest's lines
 *   sha256.c    the hash
 *   cpu.c       is this CPU new enough
 *   stage.c     is the payload unpacked; if not, lock and do it
 *   extract.c   frames to files, then to the disk
 *   whole.c     is what is unpacked still what was packed
 *   repair.c    what is not, is unpacked again
 *   disk.c      to the disk, whatever the file system
 *   trouble.c   cause and cure of an errno
 *   space.c     is there room on the disk
 *   links.c     current, previous, data/cni
 *   relink.c    links of a data directory that was moved
 *   moved.c     the same for what k3s wrote with its name, before server and agent
 *   prune.c     leftovers and old versions
 *   inuse.c     is an old version still needed
 *   heal.c      empty files that a power loss left, before server and agent
 *   cni.c       pods' addresses that a power loss left nobody's
 *   lost.c      a datastore whose token a power loss took
 *   images.c    embedded images to agent/images, before server and agent
 *   place.c     one image into its place
 *   copy.c      one image out of the executable, verified
 *   record.c    what of agent/images is ours
 *   without.c   --disable for what the bundle does not have
 *   needs.c     what a node must have: the table; needs_*.c look at the machine
 *   defaults.c  what a small board gets where its user chose nothing
 *   show.c      k3s --show-defaults
 *   paths.c     k3s --show-paths
 *   given.c     did the user give a flag, anywhere
 *   memory.c    how much memory the machine has
 *   arguments.c one more word for the inner program
 *   run.c       PATH, crictl's configuration, exec
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE		/* O_NOFOLLOW's friends, sync_file_range; first in every file */
#endif

#include <limits.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFAULT_DATA_DIR "/var/lib/rancher/k3s"
#define HOME_DATA_DIR "$HOME/.rancher/k3s"
#define DEFAULT_CONFIG "/etc/rancher/k3s/config.yaml"

/* Exit codes of the launcher itself; after exec the inner program's count. */
enum exit_code {
	EXIT_USAGE = 1,		/* a global flag that does not exist (upstream's code) */
	EXIT_UNKNOWN = 3,	/* no such command (upstream's code) */
	EXIT_CORRUPT = 65,	/* the executable is truncated or altered */
	EXIT_SELF = 66,		/* the executable cannot be opened or read */
	EXIT_SYSTEM = 71,	/* out of memory, lock refused, path too long */
	EXIT_NODE = 72,		/* this machine lacks what a node must have */
	EXIT_DATA_DIR = 73,	/* the data directory cannot be made or written */
	EXIT_IO = 74,		/* the disk answered with an error */
	EXIT_DISK_FULL = 75,	/* not enough space; nothing is left behind */
	EXIT_FORMAT = 76,	/* format version or payload kind of the future */
	EXIT_CPU = 78,		/* the CPU is older than the payload */
	EXIT_CONFIG = 79,	/* a configuration file cannot be read, no home */
	EXIT_NOEXEC = 126,	/* the inner program was refused by the kernel */
	EXIT_MISSING = 127	/* the inner program is not there */
};

/* ---- message.c ---- */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
extern enum log_level log_level;

void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints, undoes what on_fail() names, exits. */
_Noreturn void fail(enum exit_code code, const char *format, ...) PRINTF_LIKE(2, 3);
void on_fail(void (*undo)(void));
/* Standard output that cannot be written is an error; a closed pipe ends as usual. */
void flush_output(void);
_Noreturn void leave(int code);

/* ---- path.c ---- */
void join(char out[PATH_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
const char *base_name(const char *path);
void absolute_path(char out[PATH_MAX], const char *path);
bool expand_home(char out[PATH_MAX], const char *path);
const char *from_environment(const char *name);

/* ---- sha256.c ---- */
struct sha256 {
	uint32_t state[8];
	uint8_t held[64];	/* what does not fill a block yet */
	uint64_t size;
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const uint8_t *data, size_t size);
void sha256_end(struct sha256 *s, uint8_t digest[32]);
void sha256(const uint8_t *data, size_t size, uint8_t digest[32]);
bool sha256_is(const uint8_t digest[32], const char *hex);

/* ---- bundle.c ---- */
#define HASH_HEX 64

struct bundle {
	int fd;
	const char *path;	/* for messages */
	uint64_t size;
	uint64_t manifest_at;
	uint64_t manifest_size;
	uint8_t manifest_sha[32];
	char *manifest;		/* NULL until bundle_peek() or bundle_load() */
	bool verified;		/* it has its sha256 */
	char target[32], version[64], commit[64], go[32], cpu[16];
	char hash[HASH_HEX + 1];
	bool draft;		/* compressed quickly, not for a release */
	bool has_extras;	/* lines about defaults, images or missing components */
};

struct entry {
	const char *path;
	const char *link;	/* NULL: a file */
	const char *sha256;	/* of a file */
	unsigned int mode;
	uint64_t size;
	uint64_t frame_at;
	uint64_t frame_size;
};

/* Reads footer and the manifest's first lines: all that a steady start needs. */
void bundle_open(struct bundle *b);
/* Reads the whole manifest, once; checks its sha256 and what it says about images and components. */
void bundle_load(struct bundle *b);
/* Reads it, but trusts it as a hint only: for what is verified before it has consequences. */
void bundle_peek(struct bundle *b);
/* Like bundle_load(), and every line about a file or link. */
void bundle_verify(struct bundle *b);
_Noreturn void bundle_corrupt(const struct bundle *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- manifest.c ---- */
enum { IMAGES_MAX = 64, IMAGE_NAME_MAX = 128, DEFAULTS_MAX = 32, DEFAULT_VALUE_MAX = 512 };

struct image {
	const char *name, *sha256;
	uint64_t size, at;	/* as it lies in the executable */
};

struct board_default {
	bool server, agent;	/* which commands it is for */
	uint64_t below_mib;	/* only on a machine with less memory */
	bool is_flag;		/* or a variable */
	const char *name;
	const char *value;
	const char *why;
};

/* Each walks the verified manifest; *cursor starts as NULL. What is found lives until the next call. */
bool bundle_next(const struct bundle *b, const char **cursor, struct entry *e);
bool bundle_next_image(const struct bundle *b, const char **cursor, struct image *i);
bool bundle_next_without(const struct bundle *b, const char **cursor, const char **component);
bool bundle_next_default(const struct bundle *b, const char **cursor, struct board_default *d);
bool is_image_name(const char *name);
void manifest_check_entries(const struct bundle *b);
void manifest_check_extras(const struct bundle *b);
/* Splits a line at single spaces, in place; -1: into more than max. */
int split_words(char *line, char **field, int max);

/* ---- cpu.c ---- */
void cpu_check(const struct bundle *b);

/* ---- flags.c ---- */
struct flag {
	const char *name;
	char letter;		/* 0: no short form */
	bool is_bool;
	int foreign_from;	/* from this argv index on, a short form is taken only with a path */
	const char *value;	/* result; NULL: not given */
};

void flag_find(char **argv, struct flag *f);
bool parse_bool(const char *text, bool *value);

/* ---- yaml.c ---- */
struct yaml_item {
	const char *key, *value;
	size_t line;		/* of the key */
	bool first;		/* no other value of this key came before; of a list each element is told */
	bool appends;		/* "key+" */
	bool null;		/* the value is a null, which is an empty text to k3s */
	bool none;		/* an empty list: there is no value at all */
	bool exact;		/* the value is the very text that k3s makes of it */
};

struct yaml_problem {
	size_t line;
	const char *what;	/* is not understood; NULL: nothing */
};

/* false: this value must be known as it is, and is not. */
typedef bool yaml_visit(void *to, const struct yaml_item *item);
/* Of the first document, as k3s's own reader sees it. Changes CR LF to LF in text. false: see problem. */
bool yaml_read(char *text, size_t size, yaml_visit *visit, void *to, struct yaml_problem *problem);

/* ---- config.c ---- */
enum { SETTING_MAX = 32 };

struct config_problem {
	char text[PATH_MAX];	/* empty: none */
	const char *advice;
};

struct settings {
	char data_dir[PATH_MAX];
	bool has_data_dir;	/* an empty one says: the default, whatever the environment says */
	char prefer_bundled_bin[SETTING_MAX];
	char debug[SETTING_MAX];
	char rootless[SETTING_MAX];
	struct config_problem problem;
};

void config_read(const char *file, struct settings *s);
/* Each value of each key, in the order of the files. false: see problem. */
bool config_each(const char *file, yaml_visit *visit, void *to, struct config_problem *problem);

/* ---- commands.c ---- */
struct command {
	const char *name;
	const char *program;	/* name in bin/ */
	bool external;		/* gets its own arguments only, argv[0] = its name */
	bool reads_config;	/* the inner program obeys --config for this one */
	const char *usage;
	const char *children;	/* for completion */
};

enum question { ASK_NOTHING, ASK_DEFAULTS, ASK_PATHS, ASK_NODE };

struct request {
	const struct command *command;
	char **argv;		/* what the inner program is given */
	int command_at;		/* index in our argv; 0: the alias in argv[0] */
	enum question question;	/* a command says which start is meant */
	bool as_json;
};

/* Answers help, version and completion itself and exits. */
void command_parse(int argc, char **argv, struct request *r);
/* Is it a question about the flags of a command? */
bool is_question(char **argv, const struct request *r);
/* Is it a real start of server or agent? */
bool starts_node(char **argv, const struct request *r);

/* ---- datadir.c ---- */
/* By flag or variable: the configuration is not asked. */
bool datadir_is_given(char **argv, const struct request *r);
void datadir_find(const struct settings *s, char **argv, const struct request *r, char out[PATH_MAX]);
/* The one that the inner server or agent will use, which may be another. */
void datadir_of_node(const struct settings *s, char **argv, const struct request *r, char out[PATH_MAX]);

/* ---- stage.c ---- */
#define PENDING_MARK ".links-pending"
/* Where this version lies, or would be unpacked; false: it is not there yet. */
bool stage_find(struct bundle *b, const char *data_dir, char dir[PATH_MAX]);
/* Unpacks it there, or what of it is damaged. */
void stage(struct bundle *b, const char *dir);
/* Under the lock of data/: calls what is to be done there, with a umask of 0, then makes the links if they are due. */
void with_lock(const struct bundle *b, const char *dir, void (*act)(const struct bundle *b, int data_fd, const char *data_path));
/* mkdir -p, and open; needs the umask to be 0. */
int open_data(char *path);
_Noreturn void no_data_dir(const char *path);
void wait_for_lock(int fd, const char *path);
/* data/.lock */
int take_lock(int data_fd, const char *data_path);

/* ---- extract.c ---- */
void extract(const struct bundle *b, int data_fd, const char *data_path);
/* The chosen entries, by their order in the manifest, to data/<hash>-tmp, and to the disk; returns its fd. */
int extract_begin(const struct bundle *b, int data_fd, const char *data_path, const bool *chosen);
void extract_end(void);

/* ---- whole.c ---- */
/* Names the boot after whose end the content is still to be checked, once. */
#define CHECK_MARK ".content-unchecked"

enum { BOOT_ID_SIZE = 40 };

/* Empty: unknown. */
void boot_id(char out[BOOT_ID_SIZE]);
/* Kind and size of every entry, without reading any: cheap enough for each start. A manifest must have been read. */
bool is_whole(const struct bundle *b, const char *dir);
/*
 * Compares every byte. A flag for each entry that is not as it was packed, each
 * named in a warning; NULL: all are. The manifest must be verified.
 */
bool *find_damage(const struct bundle *b, const char *dir);
bool is_content_due(const char *dir);

/* ---- repair.c ---- */
/* Under the lock; false: there is nothing to repair. */
bool repair(const struct bundle *b, int data_fd, const char *data_path);
/* Where a folder cannot be renamed (an overlay without xattrs): from data/<hash>-tmp, whose fd `from` is. */
void place_by_files(const struct bundle *b, int data_fd, const char *data_path, int from);
/* What is damaged is unpacked again, if need be; false: it is as it was packed. */
bool repair_content(struct bundle *b, const char *dir);
/* In the first start of a node after the boot in which the version was unpacked. */
void check_content(struct bundle *b, const char *dir);

/* ---- disk.c ---- */
/* false: errno tells why not. */
bool to_disk(int fd);
/* All in a folder, whose fd it takes over. NULL, or the name of what failed. */
const char *sync_tree(int dir_fd, const char *path);

/* ---- trouble.c ---- */
struct trouble {
	enum exit_code code;
	const char *cause, *cure;
};

struct trouble trouble_of(int error);

/* ---- space.c ---- */
struct space {
	uint64_t unit;		/* of allocation, in bytes */
	uint64_t bytes, files;	/* needed */
};

struct space space_begin(int dir_fd);
void space_add(struct space *s, uint64_t size);
/* NULL: there is room. Otherwise what is missing, for what, and what else can be done. */
const char *space_lacks(const struct space *s, int dir_fd, const char *path, const char *purpose, const char *way_out);

/* ---- links.c ---- */
void links_update(const struct bundle *b, int data_fd, const char *data_path);
/* data/cni/NAME for each bin/NAME that is a link to the multi-call binary. */
void links_update_cni(const struct bundle *b, int data_fd, const char *data_path);
bool link_replace(int dir_fd, const char *name, const char *target);
bool read_link(int dir_fd, const char *name, char out[PATH_MAX]);
/* Is it a link of ours to a version's bin/cni, wherever the data directory was when it was made? */
bool links_to_cni(const char *target);

/* ---- relink.c ---- */
/* Links that are missing, or lead out of this place, are made again; dir is the version's. */
void relink(struct bundle *b, const char *dir);

/* ---- moved.c ---- */
/* What k3s wrote with another name of its data directory is removed: k3s makes it anew. */
void remove_moved(const char *data_dir);

/* ---- prune.c ---- */
void remove_tree(int dir_fd, const char *name);
void prune_leftovers(int data_fd);
void prune_versions(const struct bundle *b, int data_fd);
bool is_hash(const char *text, size_t size);

/* ---- inuse.c ---- */
bool is_in_use(const char *hash, char why[PATH_MAX]);

/* ---- record.c ---- */
#define RECORD ".k3s-embedded"
#define RECORD_NEW ".k3s-embedded-new"

enum { RECORD_MAX = 2 * IMAGES_MAX };	/* an old and a new line for each */

struct placed {
	char name[IMAGE_NAME_MAX + 1], sha256[HASH_HEX + 1];
	uint64_t size;
	int64_t mtime;		/* in seconds: not every file system keeps more */
};

struct record {
	int dir_fd;
	bool exists, changed;	/* changed: the file says something else */
	size_t count;
	struct placed placed[RECORD_MAX];
};

struct stat;

void record_read(struct record *r, int dir_fd);
/* The line that describes this file; NULL: it is not ours, or no longer. */
const struct placed *record_match(const struct record *r, const char *name, const struct stat *st);
/* The line says that this archive was placed, wherever it is now. */
bool record_names(const struct record *r, const char *name, const char *sha256);
void record_add(struct record *r, const struct placed *p);
/* Drops the lines of name; all, or all that do not describe the file. */
void record_drop(struct record *r, const char *name, const struct stat *keep);
int64_t record_newest(const struct record *r, const char *name);
/* An empty one, of which a kill leaves no half. */
bool record_create(struct record *r);
bool record_write(struct record *r);
/*
 * A line is written before its archive gets its name. If that did not come to
 * pass, the temporary is there, and is what the line describes: then nobody
 * removed the archive, and without the line it counts as never placed. false:
 * the line is still there.
 */
bool record_forget_interrupted(struct record *r, const char *temporary);

/* ---- copy.c ---- */
enum copied { COPIED, DAMAGED, UNREADABLE, UNWRITABLE };
/* Copies an image to fd; errno is set for the last two. */
enum copied image_copy(const struct bundle *b, const struct image *i, int fd);

/* ---- images.c ---- */
#define PLACING_SWITCH "K3S_EMBEDDED_IMAGES"
#define PLACING_WAY_OUT "set " PLACING_SWITCH "=skip to start without the embedded images"

struct placing {
	const struct bundle *bundle;
	const char *path;	/* of agent/images */
	int dir_fd;
	bool may_do_without;	/* containerd may have the images from before */
	jmp_buf *give_up;	/* where to go on without them; NULL: nowhere */
	struct record record;
};

enum image_state { ABSENT, REMOVED, PLACED, OUTDATED, FOREIGN };

void images_place(struct bundle *b, const char *data_dir);
/*
 * PLACED: as the record says, with this sha256; OUTDATED: with another; FOREIGN:
 * not ours; REMOVED: by the user, for the record says that this one was placed.
 */
enum image_state image_look(const struct placing *p, const char *name, const char *sha, struct stat *st);

/* ---- place.c ---- */
#define IMAGE_TEMPORARY ".k3s-embedded-tmp"

void image_place(struct placing *p, const struct image *i);
_Noreturn void placing_failed(const struct placing *p, const char *what, const char *name);
/* The end of the start, or of placing alone. */
_Noreturn void placing_refused(const struct placing *p, enum exit_code code, const char *why);

/* ---- arguments.c ---- */
/* A copy of argv with the word --name=value at this index. */
char **add_flag(char **argv, int at, const char *name, const char *value);

/* ---- without.c ---- */
/* The server's arguments with --disable for each component that the bundle lacks. */
char **without_components(struct bundle *b, char **argv, int command_at);

/* ---- memory.c ---- */
/* MemTotal in KiB; 0: unknown. */
uint64_t memory_kib(void);

/* ---- given.c ---- */
/* The inner program fetches such a configuration; what it says is not known here. */
bool is_url(const char *config);
/*
 * Does the user give this flag: behind the command, in the configuration, in
 * K3S_<FLAG>? With a value "key=...", which is one of a list: this key of it.
 */
bool flag_given(const char *name, const char *value, char **flags, const char *config);

/* ---- defaults.c ---- */
#define DEFAULTS_SWITCH "K3S_BOARD_DEFAULTS"

/* A start of server or agent as its user wants it. */
struct wish {
	char **flags;		/* behind the command */
	const char *config;	/* NULL: none */
	uint64_t memory_kib;
	bool off;		/* DEFAULTS_SWITCH says so */
};

enum default_state { APPLIED, SWITCHED_OFF, MEMORY_UNKNOWN, ENOUGH_MEMORY, USER_SET, CONFIG_UNREAD };

struct wish wish_of(char **flags, const char *config);
enum default_state default_judge(const struct board_default *d, const struct wish *w);
/* Sets variables; returns the arguments with the flags. */
char **defaults_apply(struct bundle *b, const struct request *r, const char *config);

/* ---- show.c ---- */
_Noreturn void defaults_show(struct bundle *b, const struct request *r, const char *config);

/* ---- paths.c ---- */
/* What this start would use, without making any of it. */
_Noreturn void paths_show(struct bundle *b, const struct settings *s, char **argv, const struct request *r,
			  const char *config);

/* ---- heal.c ---- */
/* Removes the empty ones among the files that k3s remakes when they are absent. */
void heal(const char *data_dir, const struct request *r, const char *config);

/* ---- cni.c ---- */
/* The same for what CNI keeps of pods. */
void heal_networks(void);

/* ---- lost.c ---- */
/* To be called before empty files are removed: it judges by them. */
void set_lost_cluster_aside(const char *data_dir, char **flags, const char *config);

/* ---- needs.c ---- */
#define NEEDS_SWITCH "K3S_NODE_CHECKS"

/* Fails if this start would certainly end, or wait for ever; data_dir is the inner program's. */
void needs_check(const struct bundle *b, const char *data_dir, const char *config, const struct request *r);
_Noreturn void needs_show(const struct bundle *b, const char *data_dir, const char *config, const struct request *r);
/* Before check-config becomes its script. */
void needs_before_script(const struct bundle *b, const char *data_dir, const char *config, const struct request *r);

/* ---- run.c ---- */
void set_environment(const char *name, const char *value);
_Noreturn void run(struct bundle *b, const char *dir, const char *data_dir, const struct request *r, bool prefer_bundled);

#endif
