/* Is there room on a disk for what is to be written, blocks and files? */
#include "launcher.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const uint64_t mebibyte = 1 << 20;

/* f_frsize is 0 for a file system that does not tell. */
static struct statvfs ask(int dir_fd)
{
	struct statvfs fs;

	if (fstatvfs(dir_fd, &fs) || !fs.f_blocks)
		return (struct statvfs){ .f_frsize = 0 };
	return fs;
}

struct space space_begin(int dir_fd)
{
	struct statvfs fs = ask(dir_fd);

	return (struct space){ .unit = fs.f_frsize ? fs.f_frsize : 4096 };
}

void space_add(struct space *s, uint64_t size)
{
	s->bytes += (size + s->unit - 1) / s->unit * s->unit;
	s->files++;
}

static unsigned long long mebibytes(uint64_t bytes)
{
	return (bytes + mebibyte - 1) / mebibyte;
}

const char *space_lacks(const struct space *s, int dir_fd, const char *path, const char *purpose, const char *way_out)
{
	static char text[PATH_MAX + 512];
	struct statvfs fs = ask(dir_fd);
	/* the blocks that ext4 keeps for root are ours if we are root */
	uint64_t have = (uint64_t)(geteuid() ? fs.f_bavail : fs.f_bfree) * s->unit;

	if (!fs.f_frsize)
		return NULL;
	if (have < s->bytes)
		snprintf(text, sizeof text, "not enough space%s in %s: %llu MiB needed, %llu MiB free, %llu MiB missing\n"
			 "  do: free that much there, or %s", purpose, path, mebibytes(s->bytes),
			 (unsigned long long)(have / mebibyte), mebibytes(s->bytes - have), way_out);
	else if (fs.f_files && fs.f_ffree < s->files)
		snprintf(text, sizeof text, "not enough space%s in %s: %llu files needed, %llu free\n"
			 "  do: remove files there, or %s", purpose, path, (unsigned long long)s->files,
			 (unsigned long long)fs.f_ffree, way_out);
	else
		return NULL;
	return text;
}
