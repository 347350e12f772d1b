/* What the CPU noted during each step: a subnormal operand, a result that underflowed. */
#include <stdint.h>
#include <time.h>
#include <xmmintrin.h>

enum { DENORMAL = 0x02, UNDERFLOW = 0x10, STATUS = 0x3f };

/* Gives nanoseconds per step. noted (n_steps,): 1 where either was. */
double note_tiny(int (*step)(void *, const void *, void *), void *stream, const void *x, void *y, long n_steps,
                 uint8_t *noted)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < n_steps; i++) {
        _mm_setcsr(_mm_getcsr() & ~STATUS);
        step(stream, x, y);
        noted[i] = (_mm_getcsr() & (DENORMAL | UNDERFLOW)) != 0;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / (double)n_steps;
}
