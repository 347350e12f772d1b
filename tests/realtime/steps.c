/* GRU steps on the packed kernels for AVX2 and nothing else: what test_instructions.py counts.
 *
 *     steps N_HID N_STREAMS N_STEPS
 */
#include <stdio.h>
#include <stdlib.h>

#include "simd/packed.h"

extern const sg_packed_table sg_packed_avx2;

static unsigned seed = 1;

static float *numbers(ptrdiff_t n)
{
    float *x = aligned_alloc(64, (size_t)(n + 15) / 16 * 64);
    if (!x)
        exit(1);
    for (ptrdiff_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) / (1 << 24) - 0.5f) * 0.2f;
    }
    return x;
}

static sg_rows rows(ptrdiff_t n, ptrdiff_t size)
{
    float **base = malloc((size_t)n * sizeof *base);
    if (!base)
        exit(1);
    for (ptrdiff_t i = 0; i < n; i++)
        base[i] = numbers(size);
    return (sg_rows){base, 0};
}

/* The function that callgrind counts in. */
__attribute__((noinline)) void counted(const sg_gru *g, ptrdiff_t n, sg_gru_rows *r)
{
    sg_packed_avx2.gru(g, n, r);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const ptrdiff_t n_hid = atoi(argv[1]), n = atoi(argv[2]), n_in = n_hid / 4, n_panels = n_hid / SG_PANEL;
    const sg_gru g = {
        .n_hid = n_hid,
        .n_panels = n_panels,
        .weights = SG_F32,
        .gate = {SG_SIGMOID, 0, 0},
        .candidate = {SG_TANH, 0, 0},
        .input = {numbers(3 * n_hid * n_in), 0, 0, n_in},
        .recurrent = {numbers(3 * n_hid * n_hid), 0, 0, n_hid},
        .bias = numbers(4 * n_hid),
    };
    sg_gru_rows r = {
        .x = rows(n, n_in), .h = rows(n, n_hid), .h_next = rows(n, n_hid), .gates = rows(n, 3 * n_hid),
        .scratch = rows(n, sg_scratch_floats(n_in, n_panels)),
    };
    for (int i = atoi(argv[3]); i > 0; i--) {
        counted(&g, n, &r);
        const sg_rows h = r.h;
        r.h = r.h_next, r.h_next = h;
    }
    printf("%.9g\n", r.h.base[0][0]);
    return 0;
}
