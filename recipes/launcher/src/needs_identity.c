/* Who starts it, under which name, at what time, and with which server. */
#include "needs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum need_state need_root(const struct node *n, char what[WHAT_SIZE])
{
	if (n->is_root)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "this user (%u) is not root", (unsigned int)getuid());
	return NEED_MISSING;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * A DNS subdomain (RFC 1123), as the API server demands of a node's name; k3s
 * makes capitals small. It becomes a label's value, which has at most 63.
 */
static const char *name_trouble(const char *name)
{
	size_t size = strlen(name), i;

	if (!size)
		return "is empty";
	if (size > 63)
		return "has more than 63 characters";
	for (i = 0; i < size; i++) {
		if (is_letter_or_digit(name[i]))
			continue;
		if (name[i] != '-' && name[i] != '.')
			return "has other characters than letters, digits, '-' and '.'";
		/* around a dot stand letters and digits; a dash is never first or last */
		if (!i || i + 1 == size || (name[i] == '.' && !(is_letter_or_digit(name[i - 1]) && is_letter_or_digit(name[i + 1]))))
			return "begins or ends, or one of its parts does, with '-' or '.'";
	}
	return NULL;
}

enum need_state need_host_name(const struct node *n, char what[WHAT_SIZE])
{
	const char *given = node_value(n, "node-name", NULL, "K3S_NODE_NAME"), *name, *bad;
	struct utsname u;

	if (uname(&u))
		return NEED_UNASKED;
	name = given && *given ? given : u.nodename;
	bad = name_trouble(name);
	if (!bad)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "the %s '%.253s' %s", name == given ? "node name" : "host name", name, bad);
	return NEED_MISSING;
}

/*
 * A certification authority that k3s makes is valid for ten years: one made
 * before this has ended before this k3s was written.
 */
static const time_t oldest_clock = 1451606400; /* 2016-01-01 */

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The first certificate of a PEM file; how many bytes of it. */
static size_t decode_pem(const char *text, unsigned char *out, size_t size)
{
	const char *at = strstr(text, "-----BEGIN CERTIFICATE-----\n");
	unsigned int held = 0;
	int bits = 0, digit;
	size_t used = 0;

	for (at = at ? at + 28 : ""; *at && *at != '-' && used < size; at++) {
		digit = base64_digit(*at);
		if (digit < 0)
			continue;
		held = (held << 6 | (unsigned int)digit) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[used++] = (unsigned char)(held >> bits);
		}
	}
	return used;
}

/* "YYMMDDhhmmssZ" of X.509, until 2049; 0: none. */
static time_t parse_time(const unsigned char *at)
{
	struct tm t = { 0 };
	int number[6], i;

	for (i = 0; i < 6; i++, at += 2) {
		if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
			return 0;
		number[i] = (at[0] - '0') * 10 + at[1] - '0';
	}
	t.tm_year = number[0] + (number[0] < 50 ? 100 : 0);
	t.tm_mon = number[1] - 1;
	t.tm_mday = number[2];
	t.tm_hour = number[3];
	t.tm_min = number[4];
	t.tm_sec = number[5];
	return timegm(&t);
}

/* Its Validity, two UTCTimes in a row, is found by its bytes: 30 1e 17 0d ... 17 0d */
static time_t valid_from(const char *path)
{
	static const unsigned char head[] = { 0x30, 0x1e, 0x17, 0x0d };
	unsigned char der[4096];
	const unsigned char *at;
	char text[6000];
	size_t size;

	if (!read_text(path, text, sizeof text))
		return 0;
	size = decode_pem(text, der, sizeof der - 1);
	der[size] = 0;
	at = memmem(der, size, head, sizeof head);
	return at && der + size - at > 32 ? parse_time(at + sizeof head) : 0;
}

static void as_day(char out[16], time_t when)
{
	struct tm t;

	if (!gmtime_r(&when, &t) || !strftime(out, 16, "%Y-%m-%d", &t))
		snprintf(out, 16, "?");
}

enum need_state need_clock(const struct node *n, char what[WHAT_SIZE])
{
	char path[PATH_MAX], today[16], begin[16];
	time_t now = time(NULL), from;

	join(path, "%s/%s/server-ca.crt", n->data_dir, n->is_agent ? "agent" : "server/tls");
	from = valid_from(path);
	as_day(today, now);
	if (from && now < from) {
		as_day(begin, from);
		snprintf(what, WHAT_SIZE, "the clock says %s, before this cluster's certificates begin (%s)", today, begin);
		return NEED_MISSING;
	}
	if (now >= oldest_clock)
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "the clock says %s, years before this k3s was made", today);
	return NEED_MISSING;
}

/* ---- what an agent is told ---- */

static const char *server_url(const struct node *n)
{
	const char *url = node_value(n, "server", "s", "K3S_URL");

	return url && *url ? url : NULL;
}

enum need_state need_server(const struct node *n, char what[WHAT_SIZE])
{
	if (server_url(n))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "no server is named");
	return NEED_MISSING;
}

enum need_state need_https(const struct node *n, char what[WHAT_SIZE])
{
	const char *url = server_url(n);

	if (!url)
		return NEED_UNASKED;
	if (!strncasecmp(url, "https://", 8) && url[8])
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "the server '%.255s' is no https URL", url);
	return NEED_MISSING;
}

/* An agent that has joined before has a certificate. */
enum need_state need_token(const struct node *n, char what[WHAT_SIZE])
{
	static const char *const flags[] = { "token", "t", "token-file", NULL };
	char path[PATH_MAX];

	join(path, "%s/agent/client-kubelet.crt", n->data_dir);
	if (node_given_any(n, flags) || !access(path, F_OK))
		return NEED_THERE;
	snprintf(what, WHAT_SIZE, "no token is given");
	return NEED_MISSING;
}
