/*
 * Netlink messages and sockets, in the interface of libmnl 1.0.4: names, arguments and results
 * are those that programs written for libmnl expect, as far as they are here. How netlink works
 * is told by the kernel's Documentation/userspace-api/netlink and by netlink(7).
 *
 * A message is a struct nlmsghdr, a header of its family, and attributes (struct nlattr), which
 * may hold attributes themselves. Everything is aligned to 4 bytes; lengths in headers count the
 * header, and not the padding behind.
 *
 * Functions that fail return -1 or NULL and set errno, if nothing else is said.
 */
#ifndef LIBMNL_H
#define LIBMNL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MNL_ALIGNTO	 4
#define MNL_ALIGN(len)	 ((((len) + MNL_ALIGNTO - 1) | (MNL_ALIGNTO - 1)) - (MNL_ALIGNTO - 1))
#define MNL_NLMSG_HDRLEN MNL_ALIGN(sizeof(struct nlmsghdr))
#define MNL_ATTR_HDRLEN	 MNL_ALIGN(sizeof(struct nlattr))

/* What a callback returns: fail, done, go on. */
#define MNL_CB_ERROR (-1)
#define MNL_CB_STOP  0
#define MNL_CB_OK    1

/* ---- sockets ---- */

#define MNL_SOCKET_AUTOPID 0	/* the kernel chooses the port */

struct mnl_socket;

struct mnl_socket *mnl_socket_open(int bus);
int mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid);
unsigned int mnl_socket_get_portid(const struct mnl_socket *nl);
ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);

/*
 * The next datagram of the kernel; what other senders put into the socket is dropped.
 * ENOSPC: it is longer than the buffer.
 */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t len);

/* Closes and frees, also where it returns -1. */
int mnl_socket_close(struct mnl_socket *nl);

/* ---- messages ---- */

/* Length of a message with a payload of len bytes, without padding. */
size_t mnl_nlmsg_size(size_t len);

/* Starts a message at buf: a header of zeros, its length set. */
struct nlmsghdr *mnl_nlmsg_put_header(void *buf);

/* Adds the family's own header: size bytes of zeros. */
void *mnl_nlmsg_put_extra_header(struct nlmsghdr *nlh, size_t size);

/* Whether a whole message lies in the next len bytes. */
bool mnl_nlmsg_ok(const struct nlmsghdr *nlh, int len);

/* The message behind; *len becomes what is left, which may be less than nothing. */
struct nlmsghdr *mnl_nlmsg_next(const struct nlmsghdr *nlh, int *len);

void *mnl_nlmsg_get_payload(const struct nlmsghdr *nlh);
void *mnl_nlmsg_get_payload_offset(const struct nlmsghdr *nlh, size_t offset);
void *mnl_nlmsg_get_payload_tail(const struct nlmsghdr *nlh);

/* ---- reading attributes ---- */

typedef int (*mnl_attr_cb_t)(const struct nlattr *attr, void *data);

enum mnl_attr_data_type {
	MNL_TYPE_UNSPEC,
	MNL_TYPE_U8,
	MNL_TYPE_U16,
	MNL_TYPE_U32,
	MNL_TYPE_U64,
	MNL_TYPE_STRING,
	MNL_TYPE_FLAG,
	MNL_TYPE_MSECS,
	MNL_TYPE_NESTED,
	MNL_TYPE_NESTED_COMPAT,
	MNL_TYPE_NUL_STRING,
	MNL_TYPE_BINARY,
	MNL_TYPE_MAX,
};

/* Type without the flags for nesting and byte order. */
uint16_t mnl_attr_get_type(const struct nlattr *attr);
uint16_t mnl_attr_get_len(const struct nlattr *attr);
uint16_t mnl_attr_get_payload_len(const struct nlattr *attr);
void *mnl_attr_get_payload(const struct nlattr *attr);

/* Whether a whole attribute lies in the next len bytes. */
bool mnl_attr_ok(const struct nlattr *attr, int len);
struct nlattr *mnl_attr_next(const struct nlattr *attr);

/* 1, or -1 with EOPNOTSUPP where the type is above max: a newer kernel's. */
int mnl_attr_type_valid(const struct nlattr *attr, uint16_t max);

/*
 * 0, or -1: ERANGE where the payload's length does not go with the type, EINVAL where a
 * NUL_STRING does not end in NUL or the type is none.
 */
int mnl_attr_validate(const struct nlattr *attr, enum mnl_attr_data_type type);

/*
 * Calls cb for each attribute behind a family's header of offset bytes, until it returns
 * MNL_CB_STOP or less; returns what it returned last. Ends at the first attribute that is cut.
 */
int mnl_attr_parse(const struct nlmsghdr *nlh, unsigned int offset, mnl_attr_cb_t cb, void *data);
int mnl_attr_parse_nested(const struct nlattr *nested, mnl_attr_cb_t cb, void *data);

/* The payload must have been validated as that type. */
uint8_t mnl_attr_get_u8(const struct nlattr *attr);
uint16_t mnl_attr_get_u16(const struct nlattr *attr);
uint32_t mnl_attr_get_u32(const struct nlattr *attr);
uint64_t mnl_attr_get_u64(const struct nlattr *attr);
const char *mnl_attr_get_str(const struct nlattr *attr);

/* What is left of nest from attr on. */
int mnl_attr_left(const struct nlattr *attr, const struct nlattr *nest);

#define mnl_attr_for_each_nested(attr, nest) \
	for ((attr) = mnl_attr_get_payload(nest); mnl_attr_ok((attr), mnl_attr_left((attr), (nest))); \
	     (attr) = mnl_attr_next(attr))

/* ---- writing attributes ---- */

/*
 * Adds an attribute at the message's end. The caller's buffer must have room for it, padding
 * included; a length that no attribute can have (above 65531 bytes) ends the program.
 */
void mnl_attr_put(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data);
void mnl_attr_put_u8(struct nlmsghdr *nlh, uint16_t type, uint8_t data);
void mnl_attr_put_u16(struct nlmsghdr *nlh, uint16_t type, uint16_t data);
void mnl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t data);
void mnl_attr_put_strz(struct nlmsghdr *nlh, uint16_t type, const char *data);

/* As mnl_attr_put in a buffer of buflen bytes: false, and nothing written, where it does not fit. */
bool mnl_attr_put_check(struct nlmsghdr *nlh, size_t buflen, uint16_t type, size_t len, const void *data);

/* What is added between start and end lies in the nest; cancel removes it with all in it. */
struct nlattr *mnl_attr_nest_start(struct nlmsghdr *nlh, uint16_t type);
void mnl_attr_nest_end(struct nlmsghdr *nlh, struct nlattr *start);
void mnl_attr_nest_cancel(struct nlmsghdr *nlh, struct nlattr *start);

/* ---- handing out what was received ---- */

typedef int (*mnl_cb_t)(const struct nlmsghdr *nlh, void *data);

/*
 * Calls a callback for each message of a datagram, until it returns MNL_CB_STOP or less; returns
 * what it returned last. cb_data gets the messages of the family. cb_ctl_array, indexed by type,
 * gets netlink's own (NLMSG_ERROR, NLMSG_DONE …); for those without one: an error sets errno and
 * ends with MNL_CB_ERROR, an acknowledgement or NLMSG_DONE with MNL_CB_STOP.
 *
 * MNL_CB_ERROR with ESRCH: a message is for another port than portid; EPROTO: its number is not
 * seq (0 matches any, on either side); EINTR: what is dumped changed meanwhile, ask again;
 * EBADMSG: an error message too short to hold an error.
 */
int mnl_cb_run2(const void *buf, size_t numbytes, unsigned int seq, unsigned int portid,
		mnl_cb_t cb_data, void *data, const mnl_cb_t *cb_ctl_array,
		unsigned int cb_ctl_array_len);
int mnl_cb_run(const void *buf, size_t numbytes, unsigned int seq, unsigned int portid,
	       mnl_cb_t cb_data, void *data);

#ifdef __cplusplus
}
#endif
#endif
