/* Numbers that are the same on every machine: integers first, floats by exact powers of two. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t state;
} rng;

/* FNV-1a of a name: each case has numbers of its own, whatever stands before it in the list. */
static inline rng seeded(const char *name)
{
    rng r = {0xcbf29ce484222325u};
    for (; *name; name++)
        r.state = (r.state ^ (unsigned char)*name) * 0x100000001b3u;
    return r;
}

/* splitmix64 */
static inline uint64_t random_bits(rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* in [-bound, bound] */
static inline int32_t random_int(rng *r, int32_t bound)
{
    return (int32_t)(random_bits(r) % (2 * (uint32_t)bound + 1)) - bound;
}

/* in [-2^exponent, 2^exponent], exactly what it is in every type */
static inline float random_float(rng *r, int exponent)
{
    return ldexpf((float)random_int(r, 1 << 22), exponent - 22);
}

/* a finite half around 2^exponent, now and then subnormal or zero */
static inline uint16_t random_half(rng *r, int exponent)
{
    const uint64_t bits = random_bits(r);
    const int kind = (int)(bits >> 32) % 16, biased = kind < 2 ? 0 : 15 + exponent - 1 - kind % 5;
    return (uint16_t)((bits & 0x8000) | (uint64_t)biased << 10 | (kind == 0 ? 0 : bits & 0x3ff));
}

static inline double half_value(uint16_t half)
{
    const int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    const double size = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return half & 0x8000 ? -size : size;
}

/* NaNs differ in sign and payload from CPU to CPU: here they are all one. */
static inline uint64_t hashed(uint64_t hash, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if (x[i] != x[i])
            bits = 0x7fc00000;
        hash = (hash ^ bits) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

static inline void *room_for(ptrdiff_t n, size_t size)
{
    void *room = calloc((size_t)n, size);
    if (!room && n)
        abort();
    return room;
}

#endif
