/* One image out of the executable into a file, its sha256 verified on the way. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	CHUNK = 128 << 10,		/* all the memory that a copy takes */
	WRITE_BACK = 8 << 20		/* start writing to the disk every so often */
};

static ssize_t read_chunk(int fd, uint8_t *chunk, uint64_t size, uint64_t at)
{
	ssize_t got;

	do
		got = pread(fd, chunk, size < CHUNK ? (size_t)size : CHUNK, (off_t)at);
	while (got < 0 && errno == EINTR);
	if (!got)
		errno = EIO;
	return got;
}

static bool write_chunk(int fd, const uint8_t *chunk, size_t size)
{
	ssize_t done;

	for (; size; chunk += done, size -= (size_t)done) {
		done = write(fd, chunk, size);
		if (done < 0 && errno != EINTR)
			return false;
		if (done < 0)
			done = 0;
	}
	return true;
}

enum copied image_copy(const struct bundle *b, const struct image *i, int fd)
{
	static uint8_t chunk[CHUNK];
	uint64_t done = 0, started = 0;
	struct sha256 sum;
	uint8_t digest[32];
	ssize_t got;

	sha256_begin(&sum);
	for (; done < i->size; done += (uint64_t)got) {
		got = read_chunk(b->fd, chunk, i->size - done, i->at + done);
		if (got <= 0)
			return UNREADABLE;
		sha256_add(&sum, chunk, (size_t)got);
		if (!write_chunk(fd, chunk, (size_t)got))
			return UNWRITABLE;
		if (done - started >= WRITE_BACK) {
			sync_file_range(fd, (off_t)started, (off_t)(done - started), SYNC_FILE_RANGE_WRITE);
			started = done;
		}
	}
	sha256_end(&sum, digest);
	return sha256_is(digest, i->sha256) ? COPIED : DAMAGED;
}
