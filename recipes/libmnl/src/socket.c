/* Netlink sockets: open, bind, send to the kernel, receive from it. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <unistd.h>

struct mnl_socket {
	int fd;
	struct sockaddr_nl address;
};

struct mnl_socket *mnl_socket_open(int bus)
{
	struct mnl_socket *nl = calloc(1, sizeof *nl);

	if (!nl)
		return NULL;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus);
	if (nl->fd < 0) {
		free(nl);
		return NULL;
	}
	return nl;
}

int mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid)
{
	struct sockaddr_nl wanted = { .nl_family = AF_NETLINK, .nl_groups = groups, .nl_pid = (unsigned int)pid };
	socklen_t size = sizeof nl->address;

	if (bind(nl->fd, (struct sockaddr *)&wanted, sizeof wanted))
		return -1;
	/* the port, which the kernel may have chosen */
	if (getsockname(nl->fd, (struct sockaddr *)&nl->address, &size))
		return -1;
	if (size != sizeof nl->address || nl->address.nl_family != AF_NETLINK) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

unsigned int mnl_socket_get_portid(const struct mnl_socket *nl)
{
	return nl->address.nl_pid;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(nl->fd, buf, len, 0, (struct sockaddr *)&kernel, sizeof kernel);
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t len)
{
	struct sockaddr_nl sender = { 0 };
	struct iovec part = { .iov_base = buf, .iov_len = len };
	struct msghdr message;
	ssize_t size;

	do {
		message = (struct msghdr){
			.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1,
		};
		size = recvmsg(nl->fd, &message, 0);
		if (size < 0)
			return -1;
	} while (message.msg_namelen == sizeof sender && sender.nl_pid != 0);
	if (message.msg_namelen != sizeof sender) {
		errno = EINVAL;
		return -1;
	}
	if (message.msg_flags & MSG_TRUNC) {
		errno = ENOSPC;
		return -1;
	}
	return size;
}

int mnl_socket_close(struct mnl_socket *nl)
{
	int result = close(nl->fd);

	free(nl);
	return result;
}
