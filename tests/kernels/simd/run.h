/* Layers stepped through the kernels, for streams in any lanes. Every row is a piece of memory of its own, no longer
 * than the kernels may ask for, and begins in the middle of it, so that sanitizers see each step beyond. */
#ifndef TEST_RUN_H
#define TEST_RUN_H

#include <stdio.h>

#include "network.h"

#define N_STEPS 3
#define ALL_STREAMS 257
#define AT 5 /* where rows begin */

typedef struct {
    float **base;
    ptrdiff_t n;
} lanes;

static inline lanes new_lanes(ptrdiff_t n, ptrdiff_t size)
{
    lanes l = {room_for(n, sizeof(float *)), n};
    for (ptrdiff_t i = 0; i < n; i++)
        l.base[i] = room_for(AT + size, sizeof(float));
    return l;
}

static inline void free_lanes(lanes *l)
{
    for (ptrdiff_t i = 0; i < l->n; i++)
        free(l->base[i]);
    free(l->base);
}

static inline sg_rows rows_from(const lanes *l, ptrdiff_t first) { return (sg_rows){l->base + first, AT}; }

/* What each stream has come to at each step. */
typedef struct {
    float *h;     /* (N_STEPS, ALL_STREAMS, n_hid) */
    float *gates; /* (N_STEPS, ALL_STREAMS, 3 * n_hid): r, z, n */
} outputs;

static inline outputs new_outputs(ptrdiff_t n_hid)
{
    const ptrdiff_t n = N_STEPS * ALL_STREAMS * n_hid;
    return (outputs){room_for(n, sizeof(float)), room_for(3 * n, sizeof(float))};
}

static inline void free_outputs(outputs *o) { free(o->h), free(o->gates); }

static inline float *h_of(const gru_net *net, const outputs *o, ptrdiff_t step, ptrdiff_t stream)
{
    return o->h + (step * ALL_STREAMS + stream) * net->n_hid;
}

static inline float *gates_of(const gru_net *net, const outputs *o, ptrdiff_t step, ptrdiff_t stream)
{
    return o->gates + (step * ALL_STREAMS + stream) * 3 * net->n_hid;
}

/* Stream 0 begins with zeros, stream 4 with next to nothing. */
static inline void first_state(const gru_net *net, ptrdiff_t stream, float *h)
{
    rng r = seeded(net->name);
    r.state ^= (uint64_t)(stream + 1) * 0xaef17502108ef2d9u;
    for (ptrdiff_t i = 0; i < net->n_hid; i++)
        h[i] = stream == 0 ? 0.0f : random_float(&r, stream == 4 ? -90 : 0);
}

static inline void keep(const gru_net *net, const lanes *h, const lanes *gates, ptrdiff_t step, const int *streams,
                        ptrdiff_t n, outputs *o)
{
    const size_t size = (size_t)net->n_hid * sizeof(float);
    const ptrdiff_t width = PANELS(net->n_hid) * SG_PANEL;
    for (ptrdiff_t i = 0; i < n; i++) {
        memcpy(h_of(net, o, step, streams[i]), h->base[i] + AT, size);
        for (int gate = 0; gate < 3; gate++)
            memcpy(gates_of(net, o, step, streams[i]) + gate * net->n_hid, gates->base[i] + AT + gate * width, size);
    }
}

/* N_STEPS steps of some streams, stream streams[i] in lane i. Projected: W x of all steps at once, before the first. */
static inline void run_gru(const sg_packed_table *t, const gru_net *net, ptrdiff_t n, const int *streams, int projected,
                           outputs *o)
{
    const ptrdiff_t n_panels = PANELS(net->n_hid), whole = n_panels * SG_PANEL;
#ifdef PLANT_SHORT_ROW
    const ptrdiff_t room = net->n_hid;
#else
    const ptrdiff_t room = whole;
#endif
    lanes x = new_lanes(N_STEPS * n, net->n_in), sums = new_lanes(projected ? N_STEPS * n : 0, 3 * whole);
    lanes scratch = new_lanes(N_STEPS * n, sg_scratch_floats(net->n_in, n_panels));
    lanes h = new_lanes(n, whole), h_next = new_lanes(n, room), gates = new_lanes(n, 3 * whole);
#ifdef PLANT_MISALIGNED
    for (ptrdiff_t i = 0; i < x.n; i++)
        x.base[i] = (float *)((char *)x.base[i] - 1);
#endif
    for (ptrdiff_t i = 0; i < n; i++) {
        first_state(net, streams[i], h.base[i] + AT);
        for (ptrdiff_t step = 0; step < N_STEPS; step++) {
            float *row = room_for(net->n_in, sizeof(float));
            random_input(net->name, streams[i], step, net->n_in, row);
            memcpy((char *)x.base[step * n + i] + AT * sizeof(float), row, (size_t)net->n_in * sizeof(float));
            free(row);
        }
    }
    if (projected)
        t->project(&net->packed, N_STEPS * n, rows_from(&x, 0), rows_from(&scratch, 0), rows_from(&sums, 0));
    for (ptrdiff_t step = 0; step < N_STEPS; step++) {
        const sg_rows none = {0};
        const sg_gru_rows rows = {
            projected ? none : rows_from(&x, step * n), projected ? rows_from(&sums, step * n) : none,
            rows_from(&h, 0), rows_from(&h_next, 0), rows_from(&gates, 0), rows_from(&scratch, 0),
        };
        t->gru(&net->packed, n, &rows);
        keep(net, &h_next, &gates, step, streams, n, o);
        const lanes swapped = h;
        h = h_next, h_next = swapped;
    }
    free_lanes(&x), free_lanes(&sums), free_lanes(&scratch), free_lanes(&h), free_lanes(&h_next), free_lanes(&gates);
}

/* y (ALL_STREAMS, n_out) of some streams, stream streams[i] in lane i */
static inline void run_dense(const sg_packed_table *t, const dense_net *net, ptrdiff_t n, const int *streams, float *y)
{
    lanes x = new_lanes(n, net->n_in), out = new_lanes(n, PANELS(net->n_out) * SG_PANEL);
    lanes scratch = new_lanes(n, sg_quantised_floats(net->n_in));
    const sg_rows none = {0}, room = net->packed.weights == SG_Q8 ? rows_from(&scratch, 0) : none;
    for (ptrdiff_t i = 0; i < n; i++)
        random_input(net->name, streams[i], 0, net->n_in, x.base[i] + AT);
    t->dense(&net->packed, n, rows_from(&x, 0), room, rows_from(&out, 0));
    for (ptrdiff_t i = 0; i < n; i++)
        memcpy(y + streams[i] * net->n_out, out.base[i] + AT, (size_t)net->n_out * sizeof(float));
    free_lanes(&x), free_lanes(&out), free_lanes(&scratch);
}

/* n streams of which lane i has stream (stride * i) mod n: stride 1 in order, otherwise all over the place. */
static inline void order(ptrdiff_t n, int permuted, int *streams)
{
    const ptrdiff_t strides[] = {7, 11, 13, 5, 3, 2, 1};
    ptrdiff_t stride = 1;
    for (int i = 0; permuted && stride == 1 && i < 7; i++)
        if (n % strides[i])
            stride = strides[i];
    for (ptrdiff_t i = 0; i < n; i++)
        streams[i] = (int)((i * stride + (permuted ? n / 2 : 0)) % n);
}

#endif
