/* Tests of the library on the CPU that it is for: prints how many checks passed, or which did not. */
#include "test.h"

static int checks, failures;

void count(bool good, const char *text, const char *file, int line)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("%s:%d: not so: %s\n", file, line, text);
}

int main(void)
{
	test_attributes();
	test_messages();
	test_random();
	test_kernel();
	if (failures)
		printf("%d of %d checks failed\n", failures, checks);
	else
		printf("all %d checks passed\n", checks);
	return failures ? 1 : 0;
}
