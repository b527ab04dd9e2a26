/* Writing attributes at the end of a message. */
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST (UINT16_MAX - MNL_ATTR_HDRLEN)	/* payload, in bytes: nla_len has 16 bits */

/* Not assert: zig compiles those away with -O2. */
static void demand(bool good)
{
	if (!good)
		abort();
}

static struct nlattr *tail(const struct nlmsghdr *nlh)
{
	return mnl_nlmsg_get_payload_tail(nlh);
}

/* The message ends behind size more bytes, of which the last are padding. */
static void grow(struct nlmsghdr *nlh, size_t size)
{
	nlh->nlmsg_len = (uint32_t)(MNL_ALIGN(nlh->nlmsg_len) + MNL_ALIGN(size));
}

void mnl_attr_put(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data)
{
	struct nlattr *attr = tail(nlh);
	char *payload = mnl_attr_get_payload(attr);

	demand(len <= LONGEST);
	attr->nla_type = type;
	attr->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + len);
	if (len)
		memcpy(payload, data, len);
	/* nothing of the caller's memory goes out with the padding */
	memset(payload + len, 0, MNL_ALIGN(len) - len);
	grow(nlh, attr->nla_len);
}

void mnl_attr_put_u8(struct nlmsghdr *nlh, uint16_t type, uint8_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u16(struct nlmsghdr *nlh, uint16_t type, uint16_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_strz(struct nlmsghdr *nlh, uint16_t type, const char *data)
{
	mnl_attr_put(nlh, type, strlen(data) + 1, data);
}

bool mnl_attr_put_check(struct nlmsghdr *nlh, size_t buflen, uint16_t type, size_t len, const void *data)
{
	size_t used = MNL_ALIGN((size_t)nlh->nlmsg_len);

	if (len > LONGEST || used + MNL_ATTR_HDRLEN + MNL_ALIGN(len) > buflen)
		return false;
	mnl_attr_put(nlh, type, len, data);
	return true;
}

struct nlattr *mnl_attr_nest_start(struct nlmsghdr *nlh, uint16_t type)
{
	struct nlattr *start = tail(nlh);

	start->nla_type = type | NLA_F_NESTED;
	start->nla_len = MNL_ATTR_HDRLEN;
	grow(nlh, start->nla_len);
	return start;
}

void mnl_attr_nest_end(struct nlmsghdr *nlh, struct nlattr *start)
{
	ptrdiff_t size = (char *)tail(nlh) - (char *)start;

	demand(size <= UINT16_MAX);
	start->nla_len = (uint16_t)size;
}

void mnl_attr_nest_cancel(struct nlmsghdr *nlh, struct nlattr *start)
{
	nlh->nlmsg_len = (uint32_t)((char *)start - (char *)nlh);
}
