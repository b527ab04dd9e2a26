/* Judging an attribute before its payload is used: is its type known, has it the length? */
#include <errno.h>
#include <libmnl/libmnl.h>

/* The shortest payload of a type, in bytes. A nest may also be empty. */
static const uint16_t shortest[MNL_TYPE_MAX] = {
	[MNL_TYPE_U8] = sizeof(uint8_t),
	[MNL_TYPE_U16] = sizeof(uint16_t),
	[MNL_TYPE_U32] = sizeof(uint32_t),
	[MNL_TYPE_U64] = sizeof(uint64_t),
	[MNL_TYPE_STRING] = 1,
	[MNL_TYPE_MSECS] = sizeof(uint64_t),
	[MNL_TYPE_NESTED] = sizeof(struct nlattr),
	[MNL_TYPE_NESTED_COMPAT] = sizeof(struct nlattr),
	[MNL_TYPE_NUL_STRING] = 1,
};

static int refuse(int error)
{
	errno = error;
	return -1;
}

int mnl_attr_type_valid(const struct nlattr *attr, uint16_t max)
{
	return mnl_attr_get_type(attr) > max ? refuse(EOPNOTSUPP) : 1;
}

int mnl_attr_validate(const struct nlattr *attr, enum mnl_attr_data_type type)
{
	uint16_t len = mnl_attr_get_payload_len(attr);
	const char *payload = mnl_attr_get_payload(attr);
	bool nest = type == MNL_TYPE_NESTED || type == MNL_TYPE_NESTED_COMPAT;

	if (type >= MNL_TYPE_MAX)
		return refuse(EINVAL);
	if (nest && len == 0)
		return 0;
	if (len < shortest[type] || (type == MNL_TYPE_FLAG && len > 0))
		return refuse(ERANGE);
	if (type == MNL_TYPE_NUL_STRING && payload[len - 1] != 0)
		return refuse(EINVAL);
	return 0;
}
