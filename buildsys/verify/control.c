/* Work that a compiler turns into instructions of the newest CPU it is told: constants that fill a
 * register, division, wide arithmetic on arrays. Compiled for the next CPU up it must die under the
 * target's emulator; compiled for the target it must print its line and end with 0. */
#include <stdint.h>
#include <stdio.h>

static uint32_t numbers[64];
static double reals[64];

__attribute__((noinline)) static uint32_t whole(uint32_t seed)
{
	for (unsigned i = 0; i < 64; i++)
		numbers[i] = (seed ^ 0x12345678u) / (i + 1u) + numbers[(i + 7u) % 64u] * 0x9e3779b9u;
	uint32_t sum = 0;
	for (unsigned i = 0; i < 64; i++)
		sum += numbers[i];
	return sum;
}

__attribute__((noinline)) static double real(double seed)
{
	for (unsigned i = 0; i < 64; i++)
		reals[i] = reals[i] * seed + (double)numbers[i];
	double sum = 0;
	for (unsigned i = 0; i < 64; i++)
		sum += reals[i];
	return sum;
}

int main(int count, char **names)
{
	(void)names;
	uint32_t sum = whole((uint32_t)count);
	printf("control %u %d\n", (unsigned)sum, real((double)count) > 0.0);
	return 0;
}
