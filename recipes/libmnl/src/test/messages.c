/* Messages: from one to the next in a datagram, and to whom each goes. */
#include <errno.h>
#include <string.h>

#include "test.h"

enum { FAMILY = NLMSG_MIN_TYPE + 1, PORT = 4711, SEQ = 9 };

/* Which messages came, as digits. */
static int see(const struct nlmsghdr *nlh, void *data)
{
	int *seen = data;

	*seen = *seen * 10 + nlh->nlmsg_type % 10;
	return MNL_CB_OK;
}

static int stop(const struct nlmsghdr *nlh, void *data)
{
	see(nlh, data);
	return MNL_CB_STOP;
}

static int give_up(const struct nlmsghdr *nlh, void *data)
{
	see(nlh, data);
	return MNL_CB_ERROR;
}

/* Puts a message with a payload of an int at the end of the datagram; returns the end. */
static char *put(char *end, unsigned int type, int value)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(end);

	nlh->nlmsg_type = (uint16_t)type;
	nlh->nlmsg_pid = PORT;
	nlh->nlmsg_seq = SEQ;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof value), &value, sizeof value);
	return mnl_nlmsg_get_payload_tail(nlh);
}

static int run(const struct room *room, const char *end, int *seen)
{
	*seen = 0;
	errno = 0;
	return mnl_cb_run(room->bytes, (size_t)(end - room->bytes), SEQ, PORT, see, seen);
}

static void test_walk(void)
{
	static const uint32_t wrong[] = { 0, 15, 21, 1000, INT32_MAX, 0x80000000, UINT32_MAX };
	struct room room;
	struct nlmsghdr *nlh = (struct nlmsghdr *)room.bytes;
	int left;

	put(room.bytes, FAMILY, 1);
	CHECK(mnl_nlmsg_size(4) == 20 && nlh->nlmsg_len == 20);
	CHECK(mnl_nlmsg_get_payload_offset(nlh, 3) == room.bytes + 20);
	CHECK(mnl_nlmsg_ok(nlh, 20) && mnl_nlmsg_ok(nlh, 21));
	CHECK(!mnl_nlmsg_ok(nlh, 19) && !mnl_nlmsg_ok(nlh, 15) && !mnl_nlmsg_ok(nlh, 0) && !mnl_nlmsg_ok(nlh, -1));
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		nlh->nlmsg_len = wrong[i];
		CHECK(!mnl_nlmsg_ok(nlh, 20));
	}
	/* padding that was cut off leaves less than nothing */
	nlh->nlmsg_len = 18;
	left = 18;
	CHECK(mnl_nlmsg_ok(nlh, left));
	nlh = mnl_nlmsg_next(nlh, &left);
	CHECK(left == -2 && !mnl_nlmsg_ok(nlh, left));
}

static void test_given_out(void)
{
	struct room room;
	char *end = put(put(room.bytes, FAMILY, 1), FAMILY + 1, 1);
	const mnl_cb_t control[] = { [NLMSG_NOOP] = see, [NLMSG_DONE] = give_up };
	int seen;

	CHECK(run(&room, end, &seen) == MNL_CB_OK && seen == 78);
	CHECK(run(&room, room.bytes, &seen) == MNL_CB_OK && seen == 0);
	/* the second is cut */
	CHECK(run(&room, end - 1, &seen) == MNL_CB_OK && seen == 7);
	seen = 0;
	CHECK(mnl_cb_run(room.bytes, 40, 0, 0, stop, &seen) == MNL_CB_STOP && seen == 7);
	CHECK(mnl_cb_run(room.bytes, 40, 0, 0, NULL, NULL) == MNL_CB_OK);
	put(put(room.bytes, NLMSG_NOOP, 0), NLMSG_DONE, 0);
	CHECK(run(&room, end, &seen) == MNL_CB_STOP && seen == 0);
	CHECK(mnl_cb_run2(room.bytes, 40, SEQ, PORT, see, &seen, control, 4) == MNL_CB_ERROR && seen == 13);
	/* a table that does not reach as far as the type leaves it to the library */
	seen = 0;
	CHECK(mnl_cb_run2(room.bytes, 40, SEQ, PORT, see, &seen, control, 2) == MNL_CB_STOP && seen == 1);
}

static void test_errors(void)
{
	struct room room;
	struct nlmsghdr *nlh = (struct nlmsghdr *)room.bytes;
	char *end = put(room.bytes, NLMSG_ERROR, -ENOENT);
	int seen;

	CHECK(run(&room, end, &seen) == MNL_CB_ERROR && errno == ENOENT);
	put(room.bytes, NLMSG_ERROR, 0);
	CHECK(run(&room, end, &seen) == MNL_CB_STOP && errno == 0);
	nlh->nlmsg_len = 18;
	CHECK(run(&room, end, &seen) == MNL_CB_ERROR && errno == EBADMSG);

	put(room.bytes, FAMILY, 1);
	nlh->nlmsg_pid = PORT + 1;
	CHECK(run(&room, end, &seen) == MNL_CB_ERROR && errno == ESRCH && seen == 0);
	nlh->nlmsg_pid = 0;
	CHECK(run(&room, end, &seen) == MNL_CB_OK && seen == 7);
	nlh->nlmsg_seq = SEQ + 1;
	CHECK(run(&room, end, &seen) == MNL_CB_ERROR && errno == EPROTO && seen == 0);
	put(room.bytes, FAMILY, 1);
	nlh->nlmsg_flags = NLM_F_MULTI | NLM_F_DUMP_INTR;
	CHECK(run(&room, end, &seen) == MNL_CB_ERROR && errno == EINTR && seen == 0);
}

void test_messages(void)
{
	test_walk();
	test_given_out();
	test_errors();
}
