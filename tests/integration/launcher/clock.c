/* need_clock() with another time(): argv is the data directory and the seconds. */
#include "needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static time_t now;

time_t test_time(time_t *to)
{
	if (to)
		*to = now;
	return now;
}

int main(int argc, char **argv)
{
	struct node n = { .data_dir = argv[1] };
	char what[WHAT_SIZE] = "";

	if (argc != 3)
		return 2;
	now = strtoll(argv[2], NULL, 10);
	return need_clock(&n, what) == NEED_MISSING ? puts(what), 1 : 0;
}
