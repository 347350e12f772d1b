/* Sigmoid, tanh and exp over all floats, or every so many.
 *
 *   exhaustive ISA measure|hash STRIDE
 *
 * measure: a line per function, with the worst error in units in the last place of the true value, which is
 * libm's in double. Where that is below the smallest normal float, and only there, sigmoid and exp answer 0: these are
 * counted apart, and it ends with an error where that, a limit, a range or a NaN is wrong (not_zero, lost, wrong).
 * hash: a line per function, a hash of all answers.
 */
#include <float.h>
#include <pthread.h>
#include <stdio.h>

#include "packed.h"
#include "random.h"

#define N_THREADS 2
#define CHUNK 4096

enum { SIGMOID, TANH, EXP, N_FUNCTIONS };
static const char *const NAMES[] = {"sigmoid", "tanh", "exp"};
static const float SMALLEST[] = {0, -1, 0}, AT_MINUS_INFINITY[] = {0, -1, 0}, AT_INFINITY[] = {1, 1, 1};

typedef struct {
    const sg_packed_table *table;
    int function, measure, thread;
    uint64_t stride;
    uint64_t n, hash, below_normal, not_zero, lost, wrong;
    double worst;
    float where;
} work;

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double truth(int function, double x)
{
    return function == SIGMOID ? 1 / (1 + exp(-x)) : function == TANH ? tanh(x) : exp(x);
}

static void call(const sg_packed_table *t, int function, float *y)
{
    const sg_activation f = {function == SIGMOID ? SG_SIGMOID : SG_TANH, 0, 0};
    if (function == EXP)
        t->exp_negative(CHUNK, y);
    else
        t->activate(&f, CHUNK, y);
}

static void measure(work *w, float x, float y)
{
    if (x != x || fabsf(x) > FLT_MAX) {
        const float expected = x > 0 ? AT_INFINITY[w->function] : AT_MINUS_INFINITY[w->function];
        w->wrong += x != x ? y == y : y != expected;
        return;
    }
    const double expected = truth(w->function, x);
    w->wrong += !(y >= SMALLEST[w->function] && y <= 1);
    if (w->function != TANH && expected < FLT_MIN) {
        w->below_normal++;
        w->not_zero += y != 0;
        return;
    }
    if (w->function != TANH && y == 0) {
        w->lost++;
        return;
    }
    const uint32_t exponent = bits_of((float)expected) >> 23 & 255;
    const double error = fabs(y - expected) / (of_bits((exponent > 1 ? exponent : 1) << 23) * 0x1p-23);
    if (error > w->worst)
        w->worst = error, w->where = x;
}

static void take(work *w, const float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++) {
        rng r = {(uint64_t)bits_of(x[i]) << 32 | (y[i] == y[i] ? bits_of(y[i]) : 0x7fc00000)};
        w->hash += random_bits(&r);
        if (w->measure)
            measure(w, x[i], y[i]);
    }
    w->n += (uint64_t)n;
}

static void *run(void *argument)
{
    work *w = argument;
    float x[CHUNK] = {0}, y[CHUNK];
    const uint64_t first = w->function == EXP ? 1u << 31 : 0, step = w->stride * CHUNK; /* exp is for x <= 0 */
    for (uint64_t from = first + (uint64_t)w->thread * step; from < 1ull << 32; from += N_THREADS * step) {
        int n = 0;
        for (; n < CHUNK && from + (uint64_t)n * w->stride < 1ull << 32; n++)
            x[n] = of_bits((uint32_t)(from + (uint64_t)n * w->stride));
        memcpy(y, x, sizeof y);
        call(w->table, w->function, y);
        take(w, x, y, n);
    }
    if (w->thread == 0 && w->stride != 1) { /* a stride may miss these */
        for (int i = 0; i < CHUNK; i++)
            x[i] = i % 4 == 0 ? -INFINITY : i % 4 == 1 ? (w->function == EXP ? -0.0f : INFINITY) : i % 4 == 2 ? NAN : -NAN;
        memcpy(y, x, sizeof y);
        call(w->table, w->function, y);
        take(w, x, y, CHUNK);
    }
    return NULL;
}

static int try_function(const sg_packed_table *t, int function, int measure, uint64_t stride)
{
    work works[N_THREADS], all = {0};
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        works[i] = (work){.table = t, .function = function, .measure = measure, .thread = i, .stride = stride};
        if (pthread_create(&threads[i], NULL, run, &works[i]))
            abort();
    }
    for (int i = 0; i < N_THREADS; i++) {
        const work *w = &works[i];
        pthread_join(threads[i], NULL);
        all.n += w->n, all.hash += w->hash, all.below_normal += w->below_normal, all.not_zero += w->not_zero;
        all.lost += w->lost, all.wrong += w->wrong;
        if (w->worst > all.worst)
            all.worst = w->worst, all.where = w->where;
    }
    printf("%s %llu %016llx", NAMES[function], (unsigned long long)all.n, (unsigned long long)all.hash);
    if (measure)
        printf(" worst %.4f at %a (%.9g) below_normal %llu not_zero %llu lost %llu wrong %llu", all.worst,
               (double)all.where, (double)all.where, (unsigned long long)all.below_normal,
               (unsigned long long)all.not_zero, (unsigned long long)all.lost, (unsigned long long)all.wrong);
    printf("\n");
    fflush(stdout);
    return all.wrong + all.not_zero + all.lost != 0;
}

int main(int argc, char **argv)
{
    const sg_packed_table *t = argc == 4 ? sg_packed_named(argv[1]) : NULL;
    const uint64_t stride = t ? strtoull(argv[3], NULL, 10) : 0;
    int wrong = 0;
    if (!stride) {
        fprintf(stderr, "usage: exhaustive ISA measure|hash STRIDE\n");
        return 2;
    }
    for (int function = 0; function < N_FUNCTIONS; function++)
        wrong |= try_function(t, function, strcmp(argv[2], "measure") == 0, stride);
    return wrong;
}
