/*
 * What a node must have before k3s begins. Each need is a row of the table in
 * needs.c and one function, which looks at the machine and changes nothing.
 */
#ifndef NEEDS_H
#define NEEDS_H

#include "launcher.h"

/* A start of server or agent as its user wants it. */
struct node {
	const struct bundle *bundle;
	char **flags;		/* behind the command */
	bool knows_config;	/* not where it is a URL, which k3s fetches, or very long */
	const char *data_dir;
	bool is_agent;		/* `k3s agent` */
	bool runs_pods;		/* no --disable-agent */
	bool is_rootless;
	bool is_root;
};

enum need_state {
	NEED_THERE,
	NEED_UNASKED,	/* this start does without, or only root can tell */
	NEED_UNSURE,	/* it seems to be missing, but k3s may know better */
	NEED_MISSING	/* k3s ends, or waits for ever */
};

enum { WHAT_SIZE = 1024 };

/* What is missing, in words, if anything is. */
typedef enum need_state need_look(const struct node *n, char what[WHAT_SIZE]);

need_look need_root, need_host_name, need_clock, need_server, need_https, need_token;
need_look need_loopback, need_address, need_flannel_iface, need_flannel_route, need_ports;
need_look need_cgroup2, need_cgroup_memory, need_cgroup_controllers, need_cgroup_writable;
need_look need_kmsg, need_sysctls, need_inotify, need_folders, need_overlay_disk;
need_look need_overlay, need_vxlan, need_iptables;

/* ---- needs_given.c ---- */
void node_read_config(struct node *n, const char *file);
bool node_given(const struct node *n, const char *flag);
/* The same, and one of these, up to a NULL. */
bool node_given_any(const struct node *n, const char *const flags[]);
/* The last value: behind the command, in the configuration, in the variable; NULL: none. */
const char *node_value(const struct node *n, const char *flag, const char *letter, const char *variable);
bool node_on(const struct node *n, const char *flag);

/* ---- needs_file.c ---- */
/* The text of a file; false: it cannot be read. */
bool read_text(const char *path, char *text, size_t size);
bool has_word(const char *text, const char *word);
/* Files beside k3s's own that configure kubelet, with what nobody here reads. */
bool has_kubelet_file(const struct node *n);
bool in_user_namespace(void);
/* Other processes' kernel, other modules: what is below /lib/modules here says nothing. */
bool in_container(void);

/* ---- needs_module.c ---- */
enum module_state { MODULE_LOADED, MODULE_LOADABLE, MODULE_ABSENT, MODULE_UNKNOWN };
enum module_state module_look(const char *name);

/* ---- needs_address.c ---- */
enum address_state { ADDRESS_FOUND, NO_INTERFACE, INTERFACE_DOWN, NO_ADDRESS };
/* Has this interface a global unicast address, of this family or (0) of any? NULL: any loopback interface. */
enum address_state address_of(const char *interface, int family);
/* The interfaces of default routes, one after another; *at starts as 0. false: no more. */
bool next_default_route(int family, int *at, char interface[64]);

#endif
