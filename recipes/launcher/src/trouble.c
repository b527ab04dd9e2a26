/*
 * What an error of the system means for whoever reads it: cause and cure for
 * each kind of errno. Only what a medium or its driver answers is a fault of
 * the disk; what is not listed is said to be unknown, not guessed at.
 */
#include "launcher.h"

#include <errno.h>
#include <stddef.h>

struct kind {
	const int *errors;	/* ends with 0 */
	struct trouble trouble;
};

/* ext4 and XFS answer EUCLEAN and EBADMSG for damaged metadata; the block layer the last six. */
static const int fault[] = { EIO, ENXIO, ENODEV, EREMOTEIO, ENODATA, EILSEQ, EBADE, 0 };
static const int damaged[] = { EUCLEAN, EBADMSG, 0 };
static const int remote[] = { ESTALE, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENETRESET, ECONNREFUSED,
			      ECONNRESET, ECONNABORTED, ENOTCONN, ESHUTDOWN, ENOLINK, ECOMM, EPROTO, EPIPE, 0 };
static const int full[] = { ENOSPC, 0 };
static const int quota[] = { EDQUOT, 0 };
static const int read_only[] = { EROFS, 0 };
static const int denied[] = { EACCES, EPERM, ENOKEY, EKEYEXPIRED, EKEYREVOKED, EKEYREJECTED, 0 };
static const int in_the_way[] = { ENOTDIR, EISDIR, EEXIST, ENOTEMPTY, ELOOP, 0 };
static const int missing[] = { ENOENT, 0 };
static const int layers[] = { EXDEV, 0 };
static const int unsupported[] = { EINVAL, EOPNOTSUPP, ENOSYS, ENOTTY, EBADF, ESPIPE, 0 };
static const int descriptors[] = { EMFILE, ENFILE, 0 };
static const int memory[] = { ENOMEM, ENOBUFS, EFAULT, 0 };
static const int large[] = { EFBIG, EOVERFLOW, 0 };
static const int links[] = { EMLINK, 0 };
static const int long_name[] = { ENAMETOOLONG, 0 };
static const int busy[] = { EBUSY, ETXTBSY, 0 };
static const int locks[] = { ENOLCK, EDEADLK, 0 };
static const int again[] = { EAGAIN, EINTR, 0 };

static const struct kind kinds[] = {
	{ fault, { EXIT_IO, "the disk reports a fault", "look at dmesg, check the disk or SD card" } },
	{ damaged, { EXIT_IO, "the file system is damaged", "look at dmesg, let fsck check it" } },
	{ remote, { EXIT_IO, "the server or program behind this file system does not answer",
		    "look at the network or FUSE mount there, mount it again" } },
	{ full, { EXIT_DISK_FULL, "the disk is full", "free space there" } },
	{ quota, { EXIT_DISK_FULL, "the quota is used up", "free space there, or raise the quota" } },
	{ read_only, { EXIT_DATA_DIR, "its file system is mounted read-only",
		       "mount it writable (after a fault the kernel makes it read-only, dmesg says so)" } },
	{ denied, { EXIT_DATA_DIR, "this user may not write there, or a rule of the system forbids it",
		    "make it writable, run as root, or look for chattr +i, AppArmor, SELinux" } },
	{ in_the_way, { EXIT_DATA_DIR, "something else is in the way", "look at what is there and move it away" } },
	{ missing, { EXIT_DATA_DIR, "a folder on the way is missing, or was removed meanwhile", "look at what is there" } },
	{ layers, { EXIT_DATA_DIR, "it lies in a lower layer of an overlay, or on another file system",
		    "choose a data directory that is on one file system, outside of the overlay" } },
	{ unsupported, { EXIT_DATA_DIR, "the file system there, or a sandbox around k3s, does not support that",
			 "choose a data directory on a local disk" } },
	{ descriptors, { EXIT_SYSTEM, "too many files are open", "raise the limit (ulimit -n, sysctl fs.file-max)" } },
	{ memory, { EXIT_SYSTEM, "the memory is used up", "stop other programs, or add swap" } },
	{ large, { EXIT_DATA_DIR, "files may not become that large there", "look at ulimit -f and at the file system" } },
	{ links, { EXIT_DATA_DIR, "that folder can hold no more folders", "look at what is there, remove some of it" } },
	{ long_name, { EXIT_SYSTEM, "the path is too long", "choose a shorter data directory" } },
	{ busy, { EXIT_DATA_DIR, "it is in use, or something is mounted on it", "unmount it, or stop what uses it" } },
	{ locks, { EXIT_SYSTEM, "it cannot be locked: a network file system without locks?",
		   "choose a data directory on a local disk" } },
	{ again, { EXIT_SYSTEM, "the system is short of something for the moment", "try again" } },
};

struct trouble trouble_of(int error)
{
	size_t i;
	const int *at;

	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		for (at = kinds[i].errors; *at; at++)
			if (*at == error)
				return kinds[i].trouble;
	return (struct trouble){ EXIT_SYSTEM, "the system answered what k3s does not know", "look at dmesg" };
}
