/*
 * Random datagrams that end where memory ends: who reads one byte too much dies by SIGSEGV.
 * Their lengths are mostly right, so that the walk gets far into them.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

enum { ROUNDS = 20000, LARGEST = 256 };

static uint32_t state = 2463534242;

/* xorshift: the same numbers everywhere. */
static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* Touches the whole payload; goes into what may be a nest. */
static int touch(const struct nlattr *attr, void *data)
{
	const char *payload = mnl_attr_get_payload(attr);
	unsigned long *sum = data;
	const struct nlattr *inner;

	for (uint16_t i = 0; i < mnl_attr_get_payload_len(attr); i++)
		*sum += (unsigned char)payload[i];
	for (int type = 0; type <= MNL_TYPE_MAX; type++)
		*sum += mnl_attr_validate(attr, (enum mnl_attr_data_type)type) == 0;
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		*sum += strlen(mnl_attr_get_str(attr));
	mnl_attr_for_each_nested(inner, attr)
		*sum += mnl_attr_get_type(inner);
	return mnl_attr_parse_nested(attr, touch, data);
}

static int open_message(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, next() % 8, touch, data);
}

/* Random bytes, with lengths that are plausible three times of four. */
static void fill(char *bytes, size_t size)
{
	struct nlmsghdr header = { .nlmsg_len = (uint32_t)size, .nlmsg_type = NLMSG_MIN_TYPE };

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)next();
	for (size_t i = 0; i + 4 <= size; i += 4)
		if (next() % 4) {
			uint16_t length = (uint16_t)(4 + next() % 24);
			memcpy(bytes + i, &length, sizeof length);
		}
	if (size >= sizeof header && next() % 4)
		memcpy(bytes, &header, sizeof header);
}

void test_random(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *room = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long sum = 0;
	int walked = 0;

	CHECK(room != MAP_FAILED && !mprotect(room + page, page, PROT_NONE));
	for (int round = 0; round < ROUNDS; round++) {
		/* messages begin at 4 bytes' alignment; they may end anywhere */
		size_t size = next() % LARGEST & ~3u;
		char *bytes = room + page - size;

		fill(bytes, size);
		walked += mnl_cb_run(bytes, size, 0, 0, open_message, &sum) == MNL_CB_OK;
	}
	CHECK(walked > ROUNDS / 2 && sum > 0);
	munmap(room, 2 * page);
}
