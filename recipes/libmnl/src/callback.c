/* Handing the messages of a datagram to callbacks. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>

/* Who gets what. */
struct receivers {
	mnl_cb_t cb_data;
	void *data;
	const mnl_cb_t *control;
	unsigned int controls;
};

static int fail(int error)
{
	errno = error;
	return MNL_CB_ERROR;
}

/* An error, or with error 0 an acknowledgement; the kernel sends errors below zero. */
static int on_error(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *message = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof message->error))
		return fail(EBADMSG);
	return message->error ? fail(abs(message->error)) : MNL_CB_STOP;
}

static int on_control(const struct nlmsghdr *nlh, const struct receivers *r)
{
	if (nlh->nlmsg_type < r->controls && r->control[nlh->nlmsg_type])
		return r->control[nlh->nlmsg_type](nlh, r->data);
	if (nlh->nlmsg_type == NLMSG_ERROR)
		return on_error(nlh);
	return nlh->nlmsg_type == NLMSG_DONE ? MNL_CB_STOP : MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *nlh, const struct receivers *r)
{
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		return fail(EINTR);
	if (nlh->nlmsg_type < NLMSG_MIN_TYPE)
		return on_control(nlh, r);
	return r->cb_data ? r->cb_data(nlh, r->data) : MNL_CB_OK;
}

static bool differs(unsigned int found, unsigned int wanted)
{
	return found && wanted && found != wanted;
}

int mnl_cb_run2(const void *buf, size_t numbytes, unsigned int seq, unsigned int portid,
		mnl_cb_t cb_data, void *data, const mnl_cb_t *cb_ctl_array,
		unsigned int cb_ctl_array_len)
{
	const struct receivers receivers = { cb_data, data, cb_ctl_array, cb_ctl_array_len };
	const struct nlmsghdr *nlh = buf;
	int left = (int)numbytes, result = MNL_CB_OK;

	while (result > MNL_CB_STOP && mnl_nlmsg_ok(nlh, left)) {
		if (differs(nlh->nlmsg_pid, portid))
			return fail(ESRCH);
		if (differs(nlh->nlmsg_seq, seq))
			return fail(EPROTO);
		result = on_message(nlh, &receivers);
		nlh = mnl_nlmsg_next(nlh, &left);
	}
	return result;
}

int mnl_cb_run(const void *buf, size_t numbytes, unsigned int seq, unsigned int portid,
	       mnl_cb_t cb_data, void *data)
{
	return mnl_cb_run2(buf, numbytes, seq, portid, cb_data, data, NULL, 0);
}
