/* Random layers as the kernels want them, and as plain numbers for the reference. */
#ifndef TEST_NETWORK_H
#define TEST_NETWORK_H

#include "packed.h"
#include "random.h"

#define PANELS(n) (((n) + SG_PANEL - 1) / SG_PANEL)

typedef struct {
    sg_matrix packed;
    ptrdiff_t n_rows;
    int n_gates;
    double *value; /* (n_gates, n_rows, n_cols) what the weights are worth */
    void *data;    /* what `packed` points to */
    float *scale;
    int32_t *offset;
} matrix;

static const char *const WEIGHTS[] = {"f32", "f16", "q8"};

/* About 1 / sqrt(n), as a power of two. */
static inline int exponent_for(ptrdiff_t n)
{
    int bits = 0;
    for (; n > 1; n /= 2)
        bits++;
    return -(bits + 1) / 2;
}

/* Rows 0 and 1 of small integers are all 127 and all -127: whatever can saturate does. */
static inline int8_t random_q8(rng *r, ptrdiff_t row)
{
    const int q = random_int(r, 127);
    return (int8_t)(row == 0 ? 127 : row == 1 ? -127 : q);
}

static inline void pack_row(rng *r, matrix *m, int weights, int gate, ptrdiff_t row)
{
    const ptrdiff_t n_cols = m->packed.n_cols, panel = row / SG_PANEL, lane = row % SG_PANEL, fours = (n_cols + 3) / 4;
    const ptrdiff_t of_row = (panel * m->n_gates + gate) * SG_PANEL + lane;
    const int exponent = exponent_for(n_cols);
    double *value = m->value + (gate * m->n_rows + row) * n_cols;
    if (weights == SG_Q8)
        m->scale[of_row] = ldexpf((float)(random_int(r, 1 << 20) + (1 << 21)), exponent - 21 - 7);
    for (ptrdiff_t k = 0; k < n_cols; k++) {
        const ptrdiff_t at = ((panel * n_cols + k) * m->n_gates + gate) * SG_PANEL + lane;
        const ptrdiff_t at_four = ((panel * fours + k / 4) * m->n_gates + gate) * SG_PANEL + lane;
        if (weights == SG_F32) {
            value[k] = ((float *)m->data)[at] = random_float(r, exponent);
        } else if (weights == SG_F16) {
            value[k] = half_value(((uint16_t *)m->data)[at] = random_half(r, exponent));
        } else {
            const int8_t q = random_q8(r, row);
            ((int8_t *)m->data)[at_four * 4 + k % 4] = q;
            m->offset[of_row] -= 64 * q;
            value[k] = (double)m->scale[of_row] * q;
        }
    }
}

static inline matrix random_matrix(rng *r, int weights, int n_gates, ptrdiff_t n_rows, ptrdiff_t n_cols)
{
    const ptrdiff_t rows = PANELS(n_rows) * SG_PANEL * n_gates;
    const size_t sizes[] = {sizeof(float), sizeof(uint16_t), sizeof(int8_t)};
    matrix m = {.n_rows = n_rows, .n_gates = n_gates, .packed = {.n_cols = n_cols}};
    m.value = room_for(n_gates * n_rows * n_cols, sizeof(double));
    m.data = room_for(rows * (weights == SG_Q8 ? (n_cols + 3) / 4 * 4 : n_cols), sizes[weights]);
    if (weights == SG_Q8) {
        m.scale = room_for(rows, sizeof(float));
        m.offset = room_for(rows, sizeof(int32_t));
    }
    for (int gate = 0; gate < n_gates; gate++)
        for (ptrdiff_t row = 0; row < n_rows; row++)
            pack_row(r, &m, weights, gate, row);
    m.packed.data = m.data, m.packed.scale = m.scale, m.packed.offset = m.offset;
    return m;
}

static inline void free_matrix(matrix *m)
{
    free(m->value), free(m->data), free(m->scale), free(m->offset);
}

/* (n_panels, n_gates, 16), zero beyond n_rows */
static inline float *random_bias(rng *r, int n_gates, ptrdiff_t n_rows)
{
    float *bias = room_for(PANELS(n_rows) * n_gates * SG_PANEL, sizeof(float));
    for (ptrdiff_t row = 0; row < n_rows; row++)
        for (int gate = 0; gate < n_gates; gate++)
            bias[(row / SG_PANEL * n_gates + gate) * SG_PANEL + row % SG_PANEL] = random_float(r, -1);
    return bias;
}

typedef struct {
    const char *name;
    sg_activation gate, candidate;
    float clip;
} functions;

#define LINEAR {SG_LINEAR, 0, 0}
#define SIGMOID {SG_SIGMOID, 0, 0}
#define TANH {SG_TANH, 0, 0}
#define RELU {SG_RELU, 0, 0}
#define HARD {SG_HARD_SIGMOID, 0.2, 0.5}
#define KERAS3 {SG_HARD_SIGMOID, 1.0 / 6, 0.5}

static const functions FUNCTIONS[] = {
    {"sigmoid-tanh", SIGMOID, TANH, 0},      {"hard-tanh-clip", HARD, TANH, 0.75f},
    {"sigmoid-relu", SIGMOID, RELU, 0},      {"keras3-linear-clip", KERAS3, LINEAR, 1.5f},
    {"tanh-sigmoid", TANH, SIGMOID, 0},      {"hard-hard", HARD, HARD, 0},
    {"sigmoid-tanh-clip", SIGMOID, TANH, 1},
};
#define N_FUNCTIONS ((int)(sizeof FUNCTIONS / sizeof *FUNCTIONS))

typedef struct {
    char name[64];
    ptrdiff_t n_in, n_hid;
    sg_gru packed;
    matrix input, recurrent, reset;
    float *bias;
} gru_net;

typedef struct {
    char name[64];
    ptrdiff_t n_in, n_out;
    sg_dense packed;
    matrix weight;
    float *bias;
} dense_net;

static inline void free_gru(gru_net *net)
{
    free_matrix(&net->input), free_matrix(&net->recurrent), free_matrix(&net->reset), free(net->bias);
}

/* net->name seeds it. */
static inline void fill_gru(gru_net *net, ptrdiff_t n_in, ptrdiff_t n_hid, int before, int weights, const functions *f)
{
    rng r = seeded(net->name);
    net->n_in = n_in, net->n_hid = n_hid;
    net->input = random_matrix(&r, weights, 3, n_hid, n_in);
    net->recurrent = random_matrix(&r, weights, before ? 2 : 3, n_hid, n_hid);
    net->reset = before ? random_matrix(&r, weights, 1, n_hid, n_hid) : (matrix){0};
    net->bias = random_bias(&r, 4, n_hid);
    net->packed = (sg_gru){
        .n_hid = n_hid, .n_panels = PANELS(n_hid), .weights = weights, .before = before,
        .gate = f->gate, .candidate = f->candidate, .clip = f->clip,
        .input = net->input.packed, .recurrent = net->recurrent.packed, .reset = net->reset.packed, .bias = net->bias,
    };
}

static inline void fill_dense(dense_net *net, ptrdiff_t n_in, ptrdiff_t n_out, int weights, const sg_activation *f)
{
    rng r = seeded(net->name);
    net->n_in = n_in, net->n_out = n_out;
    net->weight = random_matrix(&r, weights, 1, n_out, n_in);
    net->bias = random_bias(&r, 1, n_out);
    net->packed = (sg_dense){PANELS(n_out), weights, *f, net->weight.packed, net->bias};
}

/* The input of stream s at step t: some streams are constant, zero or nearly so, for the sake of small integers. */
static inline void random_input(const char *name, ptrdiff_t stream, ptrdiff_t step, ptrdiff_t n, float *x)
{
    rng r = seeded(name);
    r.state ^= (uint64_t)(stream * 1000 + step + 1) * 0xd1342543de82ef95u;
    const int tiny = stream == 4 ? -110 : 1;
    for (ptrdiff_t k = 0; k < n; k++) {
        const float value = random_float(&r, tiny);
        x[k] = stream == 1 ? 1.0f : stream == 2 ? -1.0f : stream == 3 ? 0.0f : value;
    }
}

#endif
