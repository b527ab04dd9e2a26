/* What the parts of the test share: counting checks, and messages in a buffer. */
#ifndef TEST_H
#define TEST_H

#include <libmnl/libmnl.h>
#include <stdio.h>

/* Counts; one that fails is told with its place, and makes the program fail. */
void count(bool good, const char *text, const char *file, int line);
#define CHECK(expression) count((expression), #expression, __FILE__, __LINE__)

/* The same, and errno must be as given. */
#define CHECK_FAILS(expression, error)          \
	do {                                    \
		errno = 0;                      \
		CHECK((expression) == -1);      \
		CHECK(errno == (error));        \
	} while (0)

/* Room for one message, aligned as sockets' buffers are. */
struct room {
	_Alignas(struct nlmsghdr) char bytes[1024];
};

void test_attributes(void);
void test_messages(void);
void test_random(void);
void test_kernel(void);

#endif
