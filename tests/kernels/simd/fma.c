/* What stands in for instructions that a CPU may lack, against the instructions.
 *
 *   fma N      N triples of each kind through fma_exact and the v_fma of sse2, against a fused multiply-add in hardware
 *              (libm's, where there is none), and every finite half through half_to_float
 *
 * Built without -mfma, so that fma_exact is the one in software.
 */
#include <immintrin.h>
#include <stdio.h>

#include "half_and_fma.h"
#include "random.h"
#include "vec_sse2.h"

#if defined(__FP_FAST_FMAF)
#error "to be built for a CPU without FMA"
#endif

typedef struct {
    float a, b, c;
} triple;

__attribute__((target("fma"))) static float fma_hardware(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__attribute__((target("f16c"))) static float half_hardware(uint16_t half) { return _cvtsh_ss(half); }

static float any_float(rng *r) { return float_of_bits((int32_t)random_bits(r)); }

/* 1 + a few bits, or all but a few: products of these are near what lies between two floats */
static float few_bits(rng *r)
{
    const uint64_t bits = random_bits(r);
    const uint32_t few = (1u << bits % 24) | (1u << (bits >> 8) % 24) | (bits >> 16 & 3);
    return float_of_bits((int32_t)(0x3f800000u | ((bits >> 20 & 1 ? few : ~few) & 0x7fffff)));
}

static float with_sign(rng *r, float x) { return random_bits(r) & 1 ? -x : x; }

static triple wild(rng *r) { return (triple){any_float(r), any_float(r), any_float(r)}; }

static triple of_like_size(rng *r)
{
    triple t = {ldexpf(with_sign(r, few_bits(r)), random_int(r, 20)), few_bits(r), any_float(r)};
    if (random_bits(r) & 1)
        t.b = float_of_bits((bits_of_float(any_float(r)) & 0x7fffff) | 0x3f800000);
    const int exponent = (int)(bits_of_float(t.a) >> 23 & 255) + random_int(r, 60);
    t.c = float_of_bits((bits_of_float(t.c) & (int32_t)0x807fffff) | exponent << 23);
    return t;
}

/* The product is half a unit in the last place of c, or all but that. */
static triple tie(rng *r)
{
    const int exponent = random_int(r, 60), power = random_int(r, 30);
    const float c = ldexpf(with_sign(r, float_of_bits((int32_t)(random_bits(r) & 0x7fffff) | 0x3f800000)), exponent);
    const float near = float_of_bits(0x3f800000 + random_int(r, 2)), other = float_of_bits(0x3f800000 + random_int(r, 2));
    return (triple){ldexpf(with_sign(r, near), exponent - 24 - power), ldexpf(other, power), c};
}

/* The answer is subnormal, or nearly. */
static triple subnormal(rng *r)
{
    const int power = random_int(r, 60), exponent = -138 + random_int(r, 16);
    const float c = random_bits(r) & 3 ? ldexpf(few_bits(r), -140 + random_int(r, 16)) : 0.0f;
    return (triple){ldexpf(with_sign(r, few_bits(r)), power), ldexpf(few_bits(r), exponent - power), with_sign(r, c)};
}

static triple large(rng *r)
{
    const int power = random_int(r, 60);
    const float c = ldexpf(few_bits(r), 127 - (int)(random_bits(r) % 28));
    return (triple){ldexpf(with_sign(r, few_bits(r)), 64 + power), ldexpf(few_bits(r), 63 - power), with_sign(r, c)};
}

static triple cancelling(rng *r)
{
    triple t = of_like_size(r);
    t.c = -(t.a * t.b);
    t.c = float_of_bits(bits_of_float(t.c) + random_int(r, 1));
    return t;
}

#define N_SPECIAL 32
static float special(int i)
{
    const float numbers[N_SPECIAL / 2] = {
        0, 0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f, 0x1.000002p-126f, 0x1p-75f, 0x1p-74f, 0x1.000002p-24f,
        0x1p-24f, 1, 0x1.000002p0f, 0x1.fffffep0f, 0x1p64f, 0x1.fffffep127f, INFINITY, NAN,
    };
    return i % 2 ? -numbers[i / 2] : numbers[i / 2];
}

static int same(float a, float b) { return bits_of_float(a) == bits_of_float(b) || (a != a && b != b); }

static long wrong;

static void compare(const char *kind, const char *what, triple t, float actual, float expected)
{
    if (!same(actual, expected) && wrong++ < 20)
        printf("%s: %s(%a, %a, %a) = %a, not %a\n", kind, what, t.a, t.b, t.c, actual, expected);
}

static void try_four(const char *kind, const triple *t, int hardware)
{
    const vf a = _mm_setr_ps(t[0].a, t[1].a, t[2].a, t[3].a), b = _mm_setr_ps(t[0].b, t[1].b, t[2].b, t[3].b);
    const vf c = _mm_setr_ps(t[0].c, t[1].c, t[2].c, t[3].c);
    float lanes[4];
    v_store(lanes, v_fma(a, b, c));
    for (int i = 0; i < 4; i++) {
        const float expected = hardware ? fma_hardware(t[i].a, t[i].b, t[i].c) : fmaf(t[i].a, t[i].b, t[i].c);
        compare(kind, "fma_exact", t[i], fma_exact(t[i].a, t[i].b, t[i].c), expected);
        compare(kind, "v_fma of sse2", t[i], lanes[i], expected);
    }
}

static void try_halves(int hardware)
{
    for (uint32_t half = 0; half < 0x10000; half++) {
        if ((half & 0x7c00) == 0x7c00) /* NaN and infinity are refused before */
            continue;
        const float actual = half_to_float((uint16_t)half), expected = (float)half_value((uint16_t)half);
        if ((!same(actual, expected) || (hardware && !same(actual, half_hardware((uint16_t)half)))) && wrong++ < 20)
            printf("half_to_float(%#x) = %a, not %a\n", half, actual, expected);
    }
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        triple (*make)(rng *);
    } kinds[] = {{"wild", wild},           {"of like size", of_like_size}, {"tie", tie},
                 {"subnormal", subnormal}, {"large", large},               {"cancelling", cancelling}};
    const long n = argc > 1 ? atol(argv[1]) : 1000000;
    __builtin_cpu_init();
    const int hardware = __builtin_cpu_supports("fma") != 0;
    for (int kind = 0; kind < 6; kind++) {
        rng r = seeded(kinds[kind].name);
        for (long i = 0; i < n; i += 4) {
            const triple t[] = {kinds[kind].make(&r), kinds[kind].make(&r), kinds[kind].make(&r), kinds[kind].make(&r)};
            try_four(kinds[kind].name, t, hardware);
        }
    }
    for (int i = 0; i < N_SPECIAL * N_SPECIAL * N_SPECIAL; i += 4) {
        triple t[4];
        for (int k = 0; k < 4; k++)
            t[k] = (triple){special((i + k) % N_SPECIAL), special((i + k) / N_SPECIAL % N_SPECIAL),
                            special((i + k) / N_SPECIAL / N_SPECIAL)};
        try_four("special", t, hardware);
    }
    try_halves(__builtin_cpu_supports("avx2") != 0);
    printf("%ld wrong of 6 * %ld triples, against %s\n", wrong, n, hardware ? "hardware" : "libm");
    return wrong != 0;
}
