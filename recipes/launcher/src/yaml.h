/* What the files of the YAML reader share; everybody else needs launcher.h alone. */
#ifndef YAML_H
#define YAML_H

#include "launcher.h"

/* Keys may be as long as go-yaml lets them be. */
enum { KEY_MAX = 1024, DEPTH_MAX = 100, ANCHORS_MAX = 1000 };

/* What a node is for: the document, a value, one of a list; what "<<" names, or one of its list; nobody. */
enum role { ROOT, VALUE, ELEMENT, MERGED, MERGED_ELEMENT, UNASKED };

enum kind { SCALAR, LIST, MAPPING };

#define NO_MAPPING "a document that does not consist of 'key: value'"

struct text {
	char at[PATH_MAX];
	size_t used;
	bool cut;		/* it was longer, or holds a NUL */
};

/* Where a node begins: what its content means there. */
struct place {
	int indent;		/* of the block collection around it; -1: none */
	bool in_flow;
	bool keys;		/* "key: value" may stand on this line */
	bool dashes;		/* the dashes of a list may be as far left as that collection */
};

struct anchor {
	const char *name, *at;	/* in the text */
	size_t size;
	struct place place;
	enum kind kind;
	bool open;		/* its node is being read */
};

struct yaml {
	const char *start, *at, *end;
	const char *what, *where;	/* what is not understood, or NULL */
	int indent, depth;
	struct anchor anchors[ANCHORS_MAX];
	size_t anchor_count;
	bool replaying;		/* for an alias: what is read has been read before */
	size_t replayed;	/* bytes */
	struct text scalar;
	bool is_plain;		/* the scalar in hand may be a null, a boolean, a number */
	yaml_visit *visit;
	void *to;
	struct yaml_item item;
	char key[KEY_MAX + 1];
	const char *counted;	/* up to here item.line is counted */
};

/* ---- yaml_text.c ---- */
/* Where it is not understood, reading is at its end. */
void refuse(struct yaml *y, const char *what);
char look(const struct yaml *y, size_t ahead);
bool is_space(char c);
bool is_end_of_word(char c);
int column(const struct yaml *y);
/* Nothing but spaces before this on its line. */
bool begins_line(const struct yaml *y);
/* "---" or "..." */
bool at_marker(const struct yaml *y);
/* To the next token: past blanks, comments, line ends. */
void skip(struct yaml *y, bool in_flow, bool tabs);
void put(struct text *t, char c);
/* Characters that the inner reader refuses; CR LF becomes LF, in place. */
bool check_text(char *text, size_t *size, const char **what, size_t *at);

/* ---- yaml_scalar.c ---- */
void plain_scalar(struct yaml *y, bool in_flow);
void quoted_scalar(struct yaml *y);
void block_scalar(struct yaml *y);

/* ---- yaml_value.c ---- */
/* A plain scalar in hand becomes what the inner reader makes of it, unless it is tagged as a text. */
void resolve(struct yaml *y, bool is_text);
/* The scalar in hand is a key of a mapping with this role; the role of its value. */
enum role begin_entry(struct yaml *y, enum role role, const char *at);
/* The scalar in hand is a whole node. */
void tell_scalar(struct yaml *y, enum role role, bool is_text);
/* A collection where a scalar was expected. */
void tell_collection(struct yaml *y);
void tell_empty_list(struct yaml *y);

/* ---- yaml_flow.c ---- */
enum kind flow_list(struct yaml *y, enum role role);
enum kind flow_mapping(struct yaml *y, enum role role);

/* ---- yaml_block.c ---- */
/* "key:" on this line, as the inner reader looks for it. */
bool is_entry(const struct yaml *y);
enum kind block_list(struct yaml *y, const struct place *p, enum role role);
enum kind block_mapping(struct yaml *y, enum role role);

/* ---- yaml.c ---- */
/* The node from here on, blanks before it included. */
enum kind node(struct yaml *y, const struct place *p, enum role role);
enum role role_in_list(enum role role);

#endif
