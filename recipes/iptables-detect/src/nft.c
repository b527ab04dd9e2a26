/* What iptables for nf_tables has put there, asked over netlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "detect.h"

enum { SEQ = 1, TRIES = 3 };

/* A question under way, and room for its answers, which are no longer than this. */
struct question {
	struct mnl_socket *socket;
	_Alignas(struct nlmsghdr) char bytes[32768];
};

static struct nlmsghdr *begin(struct question *q, int type, int flags, unsigned char family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(q->bytes);
	struct nfgenmsg *header;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	nlh->nlmsg_seq = SEQ;
	header = mnl_nlmsg_put_extra_header(nlh, sizeof *header);
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return nlh;
}

/* Sends what was begun; gives each answer to cb. false: an error, and errno says which. */
static bool ask(struct question *q, mnl_cb_t cb, void *data)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)q->bytes;
	unsigned int port = mnl_socket_get_portid(q->socket);
	ssize_t size;
	int result;

	if (mnl_socket_sendto(q->socket, nlh, nlh->nlmsg_len) < 0)
		return false;
	do {
		size = mnl_socket_recvfrom(q->socket, q->bytes, sizeof q->bytes);
		if (size < 0)
			return false;
		result = mnl_cb_run(q->bytes, (size_t)size, SEQ, port, cb, data);
	} while (result > MNL_CB_STOP);
	return result == MNL_CB_STOP;
}

static bool open_question(struct question *q)
{
	q->socket = mnl_socket_open(NETLINK_NETFILTER);
	if (!q->socket)
		return false;
	if (!mnl_socket_bind(q->socket, 0, MNL_SOCKET_AUTOPID))
		return true;
	mnl_socket_close(q->socket);
	return false;
}

/* The kernel knows the chain, or says ENOENT; any other error: it cannot tell. */
static bool has_chain(struct question *q, unsigned char family, const char *chain, bool *can_tell)
{
	struct nlmsghdr *nlh = begin(q, NFT_MSG_GETCHAIN, 0, family);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, HINT_TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain);
	if (ask(q, NULL, NULL))
		return true;
	*can_tell = *can_tell && errno == ENOENT;
	return false;
}

bool nft_hinted(bool *hinted)
{
	struct question q;
	bool can_tell = true;

	*hinted = false;
	if (!open_question(&q))
		return false;
	for (size_t f = 0; f < FAMILIES && can_tell && !*hinted; f++)
		for (size_t i = 0; i < HINTS && can_tell && !*hinted; i++)
			*hinted = has_chain(&q, families[f].nf, hints[i], &can_tell);
	mnl_socket_close(q.socket);
	return can_tell;
}

/* Counts a rule if its table is one that iptables uses. */
static int count_table(const struct nlattr *attr, void *data)
{
	static const char *const tables[] = { "filter", "nat", "mangle", "raw", "security" };
	size_t *rules = data;

	if (mnl_attr_get_type(attr) != NFTA_RULE_TABLE)
		return MNL_CB_OK;
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_STOP;
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		*rules += !strcmp(mnl_attr_get_str(attr), tables[i]);
	return MNL_CB_STOP;
}

static int count_rule(const struct nlmsghdr *nlh, void *data)
{
	mnl_attr_parse(nlh, sizeof(struct nfgenmsg), count_table, data);
	return MNL_CB_OK;
}

/* Rules of one family. EINTR: they changed while they were listed. */
static size_t rules_of(unsigned char family)
{
	struct question q;
	size_t rules = 0;
	bool done = false;

	for (int i = 0; i < TRIES && !done; i++) {
		rules = 0;
		/* a new socket: what was left of a list that broke off does not get into the next */
		if (!open_question(&q))
			return 0;
		begin(&q, NFT_MSG_GETRULE, NLM_F_DUMP, family);
		done = ask(&q, count_rule, &rules) || errno != EINTR;
		mnl_socket_close(q.socket);
	}
	return rules;
}

size_t nft_rules(void)
{
	return rules_of(families[0].nf) + rules_of(families[1].nf);
}
