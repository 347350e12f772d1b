/* What the benchmark times from C: steps, reading memory once, and nothing but multiply-adds. */
#include <stdint.h>
#include <time.h>

#include "read_once.h"

typedef int (*step_function)(void *stream, const void *x, void *y);

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* n steps; how many were refused. */
int64_t bench_steps(step_function step, void *stream, const void *x, void *y, int64_t n)
{
    int64_t refused = 0;
    for (int64_t i = 0; i < n; i++)
        refused += step(stream, x, y) != 0;
    return refused;
}

/* The same with the time of each in ns (n,), that of the clock included. */
int64_t bench_each(step_function step, void *stream, const void *x, void *y, int64_t n, int64_t *ns)
{
    int64_t refused = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t started = now_ns();
        refused += step(stream, x, y) != 0;
        ns[i] = now_ns() - started;
    }
    return refused;
}

/* What the clock of bench_each takes, in ns (n,). */
void bench_clock(int64_t n, int64_t *ns)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t started = now_ns();
        ns[i] = now_ns() - started;
    }
}

int bench_reader_width(int reader) { return sg_reader_width(reader); }

void bench_read(int reader, const void *data, int64_t n_bytes, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sg_read_once(reader, data, n_bytes);
}

/* Twelve multiply-adds that do not wait for each other, over and over: 2 * 12 * width / 4 operations a round. */
#define CHAINS 12
#define PEAK(name, target, width)                                               \
    typedef float name##_vector __attribute__((vector_size(width)));            \
    target static float name(int64_t n)                                         \
    {                                                                           \
        name##_vector sums[CHAINS], half = {0}, sum = {0};                      \
        half += 0.5f;                                                           \
        _Pragma("GCC unroll 12") for (int j = 0; j < CHAINS; j++)               \
            sums[j] = half + (float)j;                                          \
        for (int64_t i = 0; i < n; i++) {                                       \
            _Pragma("GCC unroll 12") for (int j = 0; j < CHAINS; j++)           \
                sums[j] = sums[j] * half + half;                                \
        }                                                                       \
        _Pragma("GCC unroll 12") for (int j = 0; j < CHAINS; j++)               \
            sum += sums[j];                                                     \
        return sum[0];                                                          \
    }
PEAK(peak_16, , 16)
#if defined(__x86_64__)
PEAK(peak_32, __attribute__((target("avx2,fma"))), 32)
PEAK(peak_64, __attribute__((target("avx512f"))), 64)
#endif

/* n rounds with vectors of `width` bytes. */
float bench_peak(int width, int64_t n)
{
#if defined(__x86_64__)
    if (width == 64)
        return peak_64(n);
    if (width == 32)
        return peak_32(n);
#endif
    return peak_16(n);
}
