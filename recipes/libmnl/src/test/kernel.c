/* The kernel answers: a list of links, an error, an acknowledgement, an answer longer than the buffer. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

enum { SEQ = 77 };

/* Index of the link named "lo". */
static int find_lo(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == IFLA_IFNAME && !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
		*(bool *)data |= !strcmp(mnl_attr_get_str(attr), "lo");
	return MNL_CB_OK;
}

static int look(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct ifinfomsg), find_lo, data);
}

/* Asks for links: all of them, or the one with an index. */
static void ask(const struct mnl_socket *nl, int flags, int index)
{
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(nlh, sizeof *header);

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = SEQ;
	header->ifi_index = index;
	CHECK(mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) == (ssize_t)nlh->nlmsg_len);
}

/* Reads answers until one is the last. */
static int answers(const struct mnl_socket *nl, bool *found)
{
	static _Alignas(struct nlmsghdr) char bytes[32768];
	ssize_t size;
	int result;

	do {
		size = mnl_socket_recvfrom(nl, bytes, sizeof bytes);
		if (size < 0)
			return -1;
		result = mnl_cb_run(bytes, (size_t)size, SEQ, mnl_socket_get_portid(nl), look, found);
	} while (result > MNL_CB_STOP);
	return result;
}

static void test_bind(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE), *other = mnl_socket_open(NETLINK_ROUTE);

	CHECK(nl && other);
	CHECK(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 && mnl_socket_get_portid(nl) != 0);
	CHECK_FAILS(mnl_socket_bind(other, 0, (pid_t)mnl_socket_get_portid(nl)), EADDRINUSE);
	CHECK(mnl_socket_close(nl) == 0 && mnl_socket_close(other) == 0);
	errno = 0;
	CHECK(!mnl_socket_open(1000) && errno == EPROTONOSUPPORT);
}

/* Another process's message, even one that looks right, is passed over. */
static void test_strangers(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool found = false;

	CHECK(nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0);
	to.nl_pid = mnl_socket_get_portid(nl);
	nlh->nlmsg_type = NLMSG_DONE;
	nlh->nlmsg_seq = SEQ;
	CHECK(sendto(fd, nlh, nlh->nlmsg_len, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)nlh->nlmsg_len);
	ask(nl, NLM_F_DUMP, 0);
	CHECK(answers(nl, &found) == MNL_CB_STOP && found);
	mnl_socket_close(nl);
	close(fd);
}

void test_kernel(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	bool found = false;
	char small[32];

	test_bind();
	CHECK(nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0);
	ask(nl, NLM_F_DUMP, 0);
	CHECK(answers(nl, &found) == MNL_CB_STOP && found);
	/* one link with an acknowledgement behind it; one that is not there */
	found = false;
	ask(nl, NLM_F_ACK, 1);
	CHECK(answers(nl, &found) == MNL_CB_STOP && found);
	ask(nl, NLM_F_ACK, INT32_MAX);
	CHECK_FAILS(answers(nl, &found), ENODEV);
	ask(nl, 0, 1);
	CHECK_FAILS(mnl_socket_recvfrom(nl, small, sizeof small), ENOSPC);
	CHECK(mnl_socket_close(nl) == 0);
	test_strangers();
}
