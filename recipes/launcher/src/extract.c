/*
 * From frames to files: each zstd frame is streamed into its file, never held
 * whole. What is checked while writing is zstd's own checksum over the content
 * and the size in the manifest. The content's sha256 is not computed again:
 * both checksums come out of the same file, so it would find no change that
 * the other cannot find by accident, and an ARM11 needs ten seconds for it.
 *
 * Everything goes to data/<hash>-tmp, is synced, and becomes data/<hash> by a
 * rename.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
	CHUNK = 128 << 10,
	WINDOW_LOG_MAX = 23,		/* 8 MiB: a Pi Zero has little memory */
	CHECKSUM_FLAG = 4,		/* in the fifth byte of a frame */
	WRITE_BACK = 8 << 20		/* start writing to the disk every so often */
};

static const uint64_t mebibyte = 1 << 20;

struct extraction {
	const struct bundle *bundle;
	const char *data_path;
	int data_fd, root_fd;
	char temporary[HASH_HEX + 8];
	const bool *chosen;	/* which entries; NULL: all */
	uint64_t total, written;
	ZSTD_DCtx *zstd;
};

static struct extraction x;

static void undo(void)
{
	dprintf(2, "  removed the partial %s/%s\n", x.data_path, x.temporary);
	remove_tree(x.data_fd, x.temporary);
}

static _Noreturn void cannot(const char *what, const char *path)
{
	int error = errno;
	struct trouble t = trouble_of(error);
	unsigned long long missing = x.total > x.written ? (x.total - x.written + mebibyte - 1) / mebibyte : 0;
	char left[64] = "";

	if (t.code == EXIT_DISK_FULL)
		snprintf(left, sizeof left, ", %llu MiB were still to be written", missing);
	fail(t.code, "cannot %s %s/%s%s%s: %s\n"
	     "  cause: %s%s\n"
	     "  do: %s, or give another data directory with --data-dir or K3S_DATA_DIR, then start again",
	     what, x.data_path, x.temporary, *path ? "/" : "", path, strerror(error), t.cause, left, t.cure);
}

/* ---- space ---- */

static void check_space(void)
{
	struct space need = space_begin(x.data_fd);
	const char *cursor = NULL, *lacks;
	struct entry e;
	size_t i = 0;

	need.bytes = 64 * need.unit;	/* directories, links, the marks */
	need.files = 16;
	while (bundle_next(x.bundle, &cursor, &e)) {
		if (x.chosen && !x.chosen[i++])
			continue;
		space_add(&need, e.size);
		x.total += e.size;
	}
	lacks = space_lacks(&need, x.data_fd, x.data_path, "", "give another --data-dir");
	if (lacks)
		fail(EXIT_DISK_FULL, "%s", lacks);
}

/* ---- one file ---- */

/* Makes the folders above path; never goes through a link. */
static int open_parent(const char *path, const char **leaf)
{
	char part[NAME_MAX + 1];
	int fd = x.root_fd, next;
	const char *slash;

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = 0;
		if (mkdirat(fd, part, 0755) && errno != EEXIST)
			cannot("make the folder", part);
		next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && (errno == ELOOP || errno == ENOTDIR))
			bundle_corrupt(x.bundle, "its manifest places files below %s, which is no folder", part);
		if (next < 0)
			cannot("open the folder", part);
		if (fd != x.root_fd)
			close(fd);
		fd = next;
	}
	*leaf = path;
	return fd;
}

static void write_all(int fd, const uint8_t *data, size_t size, const char *path)
{
	ssize_t done;

	while (size) {
		done = write(fd, data, size);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			cannot("write", path);
		data += done;
		size -= (size_t)done;
		x.written += (uint64_t)done;
	}
}

static size_t fill(const struct entry *e, uint64_t done, uint8_t *chunk)
{
	uint64_t left = e->frame_size - done;
	ssize_t got;

	do
		got = pread(x.bundle->fd, chunk, left < CHUNK ? (size_t)left : CHUNK, (off_t)(e->frame_at + done));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		fail(EXIT_SELF, "cannot read the executable %s: %s\n"
		     "  do: copy or download it again, to another disk if this repeats",
		     x.bundle->path, strerror(errno));
	if (!got && left)
		bundle_corrupt(x.bundle, "it ends within %s", e->path);
	return (size_t)got;
}

static void check_frame_head(const struct entry *e, const uint8_t *chunk, size_t size)
{
	if (size < 5 || memcmp(chunk, "\x28\xb5\x2f\xfd", 4))
		bundle_corrupt(x.bundle, "no zstd frame where %s should be", e->path);
	if (!(chunk[4] & CHECKSUM_FLAG))
		bundle_corrupt(x.bundle, "the frame of %s has no checksum", e->path);
}

/* Keeps the disk busy while we decompress, and dirty memory small. */
static void write_back(int fd, uint64_t size, uint64_t *started)
{
	if (size - *started < WRITE_BACK)
		return;
	sync_file_range(fd, (off_t)*started, (off_t)(size - *started), SYNC_FILE_RANGE_WRITE);
	*started = size;
}

static void inflate(int fd, const struct entry *e)
{
	static uint8_t in_chunk[CHUNK], out_chunk[CHUNK];
	ZSTD_inBuffer in = { in_chunk, 0, 0 };
	uint64_t taken = 0, made = 0, started = 0;
	size_t left = 1;

	ZSTD_DCtx_reset(x.zstd, ZSTD_reset_session_only);
	while (left) {
		ZSTD_outBuffer out = { out_chunk, sizeof out_chunk, 0 };

		if (in.pos == in.size) {
			in.size = fill(e, taken, in_chunk);
			in.pos = 0;
			if (!taken)
				check_frame_head(e, in_chunk, in.size);
			taken += in.size;
		}
		left = ZSTD_decompressStream(x.zstd, &out, &in);
		if (ZSTD_isError(left))
			bundle_corrupt(x.bundle, "%s: %s", e->path, ZSTD_getErrorName(left));
		if (left && !out.pos && in.pos == in.size && taken == e->frame_size)
			bundle_corrupt(x.bundle, "%s: its frame is cut short", e->path);
		made += out.pos;
		if (made > e->size)
			bundle_corrupt(x.bundle, "%s is larger than its manifest says", e->path);
		write_all(fd, out_chunk, out.pos, e->path);
		write_back(fd, made, &started);
	}
	if (made != e->size || taken != e->frame_size || in.pos != in.size)
		bundle_corrupt(x.bundle, "%s differs in size from its manifest", e->path);
}

static void extract_entry(const struct entry *e)
{
	const char *leaf;
	int parent = open_parent(e->path, &leaf), fd;

	if (e->link) {
		if (symlinkat(e->link, parent, leaf))
			cannot("make the link", e->path);
	} else {
		fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode);
		if (fd < 0 && errno == EEXIST)
			bundle_corrupt(x.bundle, "its manifest lists %s twice", e->path);
		if (fd < 0)
			cannot("create", e->path);
		log_line(LOG_DEBUG, "Unpacking %s", e->path);
		inflate(fd, e);
		if (close(fd))
			cannot("write", e->path);
	}
	close(parent);
}

static void make_mark(const char *name, const char *text)
{
	int fd = openat(x.root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		cannot("create", name);
	write_all(fd, (const uint8_t *)text, strlen(text), name);
	close(fd);
}

static void extract_entries(void)
{
	const char *cursor = NULL;
	struct entry e;
	size_t i = 0;

	x.zstd = ZSTD_createDCtx();
	if (!x.zstd)
		fail(EXIT_SYSTEM, "no memory for unpacking\n  do: stop other programs, or add swap");
	ZSTD_DCtx_setParameter(x.zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	while (bundle_next(x.bundle, &cursor, &e))
		if (!x.chosen || x.chosen[i++])
			extract_entry(&e);
	ZSTD_freeDCtx(x.zstd);
}

/* After all are written, not one by one: the first fsync then carries most of the journal for the others. */
static void sync_all(void)
{
	int fd = dup(x.root_fd);
	const char *failed = fd < 0 ? "" : sync_tree(fd, "");

	if (failed)
		cannot("write to the disk", failed);
}

int extract_begin(const struct bundle *b, int data_fd, const char *data_path, const bool *chosen)
{
	char boot[BOOT_ID_SIZE];

	x = (struct extraction){ .bundle = b, .data_path = data_path, .data_fd = data_fd, .chosen = chosen };
	memcpy(x.temporary, b->hash, HASH_HEX);
	memcpy(x.temporary + HASH_HEX, "-tmp", sizeof "-tmp");
	check_space();
	on_fail(undo);
	if (mkdirat(data_fd, x.temporary, 0755))
		cannot("make the folder", "");
	x.root_fd = openat(data_fd, x.temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (x.root_fd < 0)
		cannot("open the folder", "");
	extract_entries();
	boot_id(boot);
	make_mark(PENDING_MARK, "");
	make_mark(CHECK_MARK, boot);
	sync_all();
	return x.root_fd;
}

void extract_end(void)
{
	on_fail(NULL);
	close(x.root_fd);
	if (!to_disk(x.data_fd))
		log_line(LOG_WARNING, "cannot write %s to the disk: %s", x.data_path, strerror(errno));
}

void extract(const struct bundle *b, int data_fd, const char *data_path)
{
	extract_begin(b, data_fd, data_path, NULL);
	if (!renameat(data_fd, x.temporary, data_fd, b->hash))
		extract_end();
	else if (errno == EXDEV)
		place_by_files(b, data_fd, data_path, x.root_fd);
	else
		cannot("rename", "");
}
