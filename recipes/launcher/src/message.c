/* What the user reads: log lines in logrus's form, and the one way to give up. */
#include "launcher.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum log_level log_level = LOG_INFO;

static void (*undo_on_fail)(void);

void on_fail(void (*undo)(void))
{
	undo_on_fail = undo;
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	char text[2 * PATH_MAX], stamp[32] = "";
	time_t now = time(NULL);
	struct tm utc;
	va_list args;

	if (level > log_level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (gmtime_r(&now, &utc))
		strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
	dprintf(2, "time=\"%s\" level=%s msg=\"%s\"\n", stamp, names[level], text);
}

void fail(enum exit_code code, const char *format, ...)
{
	void (*undo)(void) = undo_on_fail;
	va_list args;

	dprintf(2, "k3s: ");
	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
	dprintf(2, "\n");
	/* cleared first: an undo that fails itself must not start over */
	undo_on_fail = NULL;
	if (undo)
		undo();
	_Exit((int)code);
}

/* What an earlier write left as the error is known no more. */
void flush_output(void)
{
	int error;

	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return;
	error = errno;
	if (error == EPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	fail(EXIT_IO, "cannot write standard output: %s\n"
	     "  do: write it to another place", error ? strerror(error) : "a write failed");
}

void leave(int code)
{
	flush_output();
	exit(code);
}
