/* Reading attributes. Values are copied out, because 64-bit ones are aligned to 4 bytes only. */
#include <libmnl/libmnl.h>
#include <string.h>

uint16_t mnl_attr_get_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

uint16_t mnl_attr_get_len(const struct nlattr *attr)
{
	return attr->nla_len;
}

uint16_t mnl_attr_get_payload_len(const struct nlattr *attr)
{
	return (uint16_t)(attr->nla_len - MNL_ATTR_HDRLEN);
}

void *mnl_attr_get_payload(const struct nlattr *attr)
{
	return (char *)attr + MNL_ATTR_HDRLEN;
}

bool mnl_attr_ok(const struct nlattr *attr, int len)
{
	return len >= (int)sizeof *attr && attr->nla_len >= sizeof *attr && attr->nla_len <= len;
}

struct nlattr *mnl_attr_next(const struct nlattr *attr)
{
	return (struct nlattr *)((char *)attr + MNL_ALIGN(attr->nla_len));
}

int mnl_attr_left(const struct nlattr *attr, const struct nlattr *nest)
{
	return (int)((const char *)nest + nest->nla_len - (const char *)attr);
}

/* All attributes of the left bytes from attr on. */
static int each(const struct nlattr *attr, int left, mnl_attr_cb_t cb, void *data)
{
	int result = MNL_CB_OK;

	while (result > MNL_CB_STOP && mnl_attr_ok(attr, left)) {
		result = cb(attr, data);
		left -= (int)MNL_ALIGN(attr->nla_len);
		attr = mnl_attr_next(attr);
	}
	return result;
}

int mnl_attr_parse(const struct nlmsghdr *nlh, unsigned int offset, mnl_attr_cb_t cb, void *data)
{
	const char *first = mnl_nlmsg_get_payload_offset(nlh, offset);
	const char *end = (const char *)nlh + nlh->nlmsg_len;

	return each((const struct nlattr *)first, (int)(end - first), cb, data);
}

int mnl_attr_parse_nested(const struct nlattr *nested, mnl_attr_cb_t cb, void *data)
{
	const struct nlattr *first = mnl_attr_get_payload(nested);

	return each(first, mnl_attr_left(first, nested), cb, data);
}

uint8_t mnl_attr_get_u8(const struct nlattr *attr)
{
	return *(const uint8_t *)mnl_attr_get_payload(attr);
}

uint16_t mnl_attr_get_u16(const struct nlattr *attr)
{
	uint16_t value;

	memcpy(&value, mnl_attr_get_payload(attr), sizeof value);
	return value;
}

uint32_t mnl_attr_get_u32(const struct nlattr *attr)
{
	uint32_t value;

	memcpy(&value, mnl_attr_get_payload(attr), sizeof value);
	return value;
}

uint64_t mnl_attr_get_u64(const struct nlattr *attr)
{
	uint64_t value;

	memcpy(&value, mnl_attr_get_payload(attr), sizeof value);
	return value;
}

const char *mnl_attr_get_str(const struct nlattr *attr)
{
	return mnl_attr_get_payload(attr);
}
