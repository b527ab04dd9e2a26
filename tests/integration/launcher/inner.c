/* Stands for k3s in the payload: prints what the launcher gave it. */
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv)
{
	char **at;
	int i;

	for (i = 0; i < argc; i++)
		printf("argument %s\n", argv[i]);
	for (at = environ; *at; at++)
		printf("environment %s\n", *at);
	return 0;
}
