/* Attributes: written, read back, judged; cut and overlong ones. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* What a parse saw. */
struct seen {
	int count;
	uint16_t last;
	int stop_at;	/* the callback answers `stop_with` at this one */
	int stop_with;
};

static int see(const struct nlattr *attr, void *data)
{
	struct seen *seen = data;

	seen->count++;
	seen->last = mnl_attr_get_type(attr);
	return seen->count == seen->stop_at ? seen->stop_with : MNL_CB_OK;
}

static int parse(const struct nlmsghdr *nlh, struct seen *seen)
{
	*seen = (struct seen){ .stop_at = seen->stop_at, .stop_with = seen->stop_with };
	return mnl_attr_parse(nlh, 0, see, seen);
}

/* Every kind of value comes back; padding is zero, although the buffer was not. */
static void test_values(void)
{
	struct room room;
	struct nlmsghdr *nlh;
	const struct nlattr *attr;
	uint64_t big = 0x0102030405060708;

	memset(&room, 0xff, sizeof room);
	nlh = mnl_nlmsg_put_header(room.bytes);
	mnl_attr_put_u8(nlh, 1, 0xab);
	mnl_attr_put_u16(nlh, 2, 0xabcd);
	mnl_attr_put_u32(nlh, 3, 0xabcdef01);
	mnl_attr_put(nlh, 4 | NLA_F_NET_BYTEORDER, sizeof big, &big);
	mnl_attr_put_strz(nlh, 5, "text");
	mnl_attr_put(nlh, 6, 0, NULL);
	CHECK(nlh->nlmsg_len == 16 + 8 + 8 + 8 + 12 + 12 + 4);

	attr = mnl_nlmsg_get_payload(nlh);
	CHECK(mnl_attr_get_type(attr) == 1 && mnl_attr_get_len(attr) == 5 && mnl_attr_get_u8(attr) == 0xab);
	CHECK(!memcmp((const char *)mnl_attr_get_payload(attr) + 1, "\0\0\0", 3));
	attr = mnl_attr_next(attr);
	CHECK(mnl_attr_get_u16(attr) == 0xabcd && mnl_attr_get_payload_len(attr) == 2);
	attr = mnl_attr_next(attr);
	CHECK(mnl_attr_get_u32(attr) == 0xabcdef01);
	attr = mnl_attr_next(attr);
	CHECK(mnl_attr_get_type(attr) == 4 && mnl_attr_get_u64(attr) == big);
	attr = mnl_attr_next(attr);
	CHECK(!strcmp(mnl_attr_get_str(attr), "text") && mnl_attr_get_payload_len(attr) == 5);
	attr = mnl_attr_next(attr);
	CHECK(mnl_attr_get_payload_len(attr) == 0 && mnl_attr_next(attr) == mnl_nlmsg_get_payload_tail(nlh));
}

static void test_nests(void)
{
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	struct nlattr *outer, *inner, *attr;
	struct seen seen = { 0 };
	uint32_t before;
	int found = 0;

	outer = mnl_attr_nest_start(nlh, 7);
	inner = mnl_attr_nest_start(nlh, 8);
	mnl_attr_put_u8(nlh, 1, 1);
	mnl_attr_put_u8(nlh, 2, 2);
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_put_u8(nlh, 3, 3);
	before = nlh->nlmsg_len;
	inner = mnl_attr_nest_start(nlh, 9);
	mnl_attr_put_strz(nlh, 1, "goes away");
	mnl_attr_nest_cancel(nlh, inner);
	CHECK(nlh->nlmsg_len == before);
	mnl_attr_nest_end(nlh, outer);

	CHECK(outer->nla_type == (7 | NLA_F_NESTED) && mnl_attr_get_type(outer) == 7);
	CHECK(mnl_attr_get_len(outer) == 4 + (4 + 8 + 8) + 8);
	CHECK(mnl_attr_parse_nested(outer, see, &seen) == MNL_CB_OK && seen.count == 2 && seen.last == 3);
	mnl_attr_for_each_nested(attr, outer)
		found = found * 10 + mnl_attr_get_type(attr);
	CHECK(found == 83);
	mnl_attr_for_each_nested(attr, mnl_attr_get_payload(outer))
		found = found * 10 + mnl_attr_get_type(attr);
	CHECK(found == 8312);

	/* an empty nest holds nothing */
	nlh = mnl_nlmsg_put_header(room.bytes);
	outer = mnl_attr_nest_start(nlh, 7);
	mnl_attr_nest_end(nlh, outer);
	seen = (struct seen){ 0 };
	CHECK(mnl_attr_parse_nested(outer, see, &seen) == MNL_CB_OK && seen.count == 0);
	CHECK(mnl_attr_validate(outer, MNL_TYPE_NESTED) == 0);
}

static void test_callback_decides(void)
{
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	struct seen seen = { 0 };

	for (uint8_t i = 1; i <= 4; i++)
		mnl_attr_put_u8(nlh, i, i);
	CHECK(parse(nlh, &seen) == MNL_CB_OK && seen.count == 4);
	seen = (struct seen){ .stop_at = 2, .stop_with = MNL_CB_STOP };
	CHECK(parse(nlh, &seen) == MNL_CB_STOP && seen.count == 2);
	seen = (struct seen){ .stop_at = 3, .stop_with = MNL_CB_ERROR };
	CHECK(parse(nlh, &seen) == MNL_CB_ERROR && seen.count == 3);
	/* behind a family's header of 5 bytes: 8 with padding, the first attribute */
	seen = (struct seen){ 0 };
	CHECK(mnl_attr_parse(nlh, 5, see, &seen) == MNL_CB_OK && seen.count == 3);
}

/* Attributes whose length is wrong: those in front are seen, nothing behind. */
static void test_cut(void)
{
	static const uint16_t lengths[] = { 0, 1, 3, 9, 100, UINT16_MAX };
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	struct nlattr *last;
	struct seen seen = { 0 };

	mnl_attr_put_u8(nlh, 1, 1);
	last = mnl_nlmsg_get_payload_tail(nlh);
	mnl_attr_put_u8(nlh, 2, 2);
	CHECK(parse(nlh, &seen) == MNL_CB_OK && seen.count == 2);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		last->nla_len = lengths[i];
		CHECK(parse(nlh, &seen) == MNL_CB_OK && seen.count == 1);
		CHECK(!mnl_attr_ok(last, 8));
	}
	last->nla_len = 8;
	CHECK(parse(nlh, &seen) == MNL_CB_OK && seen.count == 2);
	/* the message ends inside the header, or even in front of the family's header */
	nlh->nlmsg_len = 16 + 8 + 3;
	CHECK(parse(nlh, &seen) == MNL_CB_OK && seen.count == 1);
	nlh->nlmsg_len = 16;
	CHECK(mnl_attr_parse(nlh, 4, see, &seen) == MNL_CB_OK && seen.count == 1);
	CHECK(!mnl_attr_ok(last, 0) && !mnl_attr_ok(last, -4));
}

static void test_judged(void)
{
	struct room room;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room.bytes);
	struct nlattr *attr = mnl_nlmsg_get_payload(nlh);

	mnl_attr_put(nlh, 5, 3, "abc");
	CHECK(mnl_attr_type_valid(attr, 5) == 1 && mnl_attr_type_valid(attr, 6) == 1);
	CHECK_FAILS(mnl_attr_type_valid(attr, 4), EOPNOTSUPP);
	CHECK(mnl_attr_validate(attr, MNL_TYPE_UNSPEC) == 0 && mnl_attr_validate(attr, MNL_TYPE_BINARY) == 0);
	CHECK(mnl_attr_validate(attr, MNL_TYPE_U8) == 0 && mnl_attr_validate(attr, MNL_TYPE_U16) == 0);
	CHECK(mnl_attr_validate(attr, MNL_TYPE_STRING) == 0);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_U32), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_U64), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_MSECS), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_NESTED), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_FLAG), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_NUL_STRING), EINVAL);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_MAX), EINVAL);
	attr->nla_len = 4;
	CHECK(mnl_attr_validate(attr, MNL_TYPE_FLAG) == 0 && mnl_attr_validate(attr, MNL_TYPE_NESTED) == 0);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_U8), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_STRING), ERANGE);
	CHECK_FAILS(mnl_attr_validate(attr, MNL_TYPE_NUL_STRING), ERANGE);
	nlh = mnl_nlmsg_put_header(room.bytes);
	mnl_attr_put_strz(nlh, 1, "");
	CHECK(mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0);
}

/* What does not fit is refused and changes nothing, not even by one byte too much. */
static void test_room(void)
{
	static char longest[UINT16_MAX + 1];
	static _Alignas(struct nlmsghdr) char bytes[sizeof longest + 64];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(bytes);

	CHECK(!mnl_attr_put_check(nlh, 16, 1, 0, NULL));
	CHECK(!mnl_attr_put_check(nlh, 23, 1, 1, "a"));
	CHECK(nlh->nlmsg_len == 16 && bytes[16] == 0);
	CHECK(mnl_attr_put_check(nlh, 24, 1, 1, "a") && nlh->nlmsg_len == 24);
	CHECK(!mnl_attr_put_check(nlh, sizeof bytes, 1, UINT16_MAX - 3, longest));
	CHECK(!mnl_attr_put_check(nlh, sizeof bytes, 1, SIZE_MAX, longest));
	CHECK(nlh->nlmsg_len == 24);
	CHECK(mnl_attr_put_check(nlh, sizeof bytes, 1, UINT16_MAX - 4, longest));
	CHECK(mnl_attr_get_len((struct nlattr *)(bytes + 24)) == UINT16_MAX && nlh->nlmsg_len == 24 + 65536);
}

enum { ABORTED = 42 };

static void aborted(int number)
{
	(void)number;
	_exit(ABORTED);
}

/* An attribute or nest that no length can describe ends the program, rather than lie about it. */
static void put_too_much(bool nest)
{
	static char bytes[4 * UINT16_MAX];
	static _Alignas(struct nlmsghdr) char message[4 * UINT16_MAX];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct nlattr *start = nest ? mnl_attr_nest_start(nlh, 1) : NULL;

	for (int i = 0; nest && i < 3; i++)
		mnl_attr_put(nlh, 2, UINT16_MAX / 2, bytes);
	if (start)
		mnl_attr_nest_end(nlh, start);
	else
		mnl_attr_put(nlh, 1, UINT16_MAX - 3, bytes);
}

static void test_too_much(void)
{
	for (int nest = 0; nest < 2; nest++) {
		pid_t child = fork();
		int status = 0;

		if (child == 0) {
			signal(SIGABRT, aborted);	/* quietly, without a core */
			put_too_much(nest);
			_exit(0);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == ABORTED);
	}
}

void test_attributes(void)
{
	test_values();
	test_nests();
	test_callback_decides();
	test_cut();
	test_judged();
	test_room();
	test_too_much();
}
