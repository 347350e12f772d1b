/* Which layers are tried. */
#ifndef TEST_CASES_H
#define TEST_CASES_H

#include "run.h"

typedef struct {
    ptrdiff_t n_in, n_out; /* or n_hid */
    ptrdiff_t n_streams;
    int quick; /* also where the CPU is emulated */
} size_of_case;

static const size_of_case GRU_SIZES[] = {
    {1, 1, 9, 1},    {3, 16, 13, 1},   {16, 17, 5, 1},  {33, 1, 97, 0},   {17, 33, 257, 0}, {64, 64, 13, 0},
    {65, 64, 3, 1},  {100, 33, 6, 1},  {7, 129, 4, 0},  {129, 100, 5, 0}, {100, 129, 8, 0}, {33, 96, 7, 0},
    {260, 33, 3, 1}, {7, 272, 3, 0},
};
#define N_GRU_SIZES ((int)(sizeof GRU_SIZES / sizeof *GRU_SIZES))

static const size_of_case DENSE_SIZES[] = {
    {1, 1, 9, 1}, {3, 16, 13, 1}, {33, 17, 257, 0}, {64, 3, 8, 1}, {100, 70, 7, 1}, {129, 65, 98, 0},
    {258, 18, 7, 1}, {513, 80, 5, 0}, {20, 150, 3, 0},
};
#define N_DENSE_SIZES ((int)(sizeof DENSE_SIZES / sizeof *DENSE_SIZES))

static const struct {
    const char *name;
    sg_activation function;
} DENSE_FUNCTIONS[] = {
    {"linear", LINEAR}, {"sigmoid", SIGMOID}, {"tanh", TANH}, {"relu", RELU}, {"hard", HARD}, {"keras3", KERAS3},
};
#define N_DENSE_FUNCTIONS ((int)(sizeof DENSE_FUNCTIONS / sizeof *DENSE_FUNCTIONS))

typedef void (*gru_case)(const sg_packed_table *, const gru_net *, ptrdiff_t n_streams);
typedef void (*dense_case)(const sg_packed_table *, const dense_net *, ptrdiff_t n_streams);

/* Every size with the usual functions; the sizes 3x16 and 16x17 with all of them. */
static inline void each_gru(const sg_packed_table *t, int quick, gru_case with)
{
    for (int i = 0; i < N_GRU_SIZES * 2 * 3 * N_FUNCTIONS; i++) {
        const size_of_case *size = &GRU_SIZES[i / (2 * 3 * N_FUNCTIONS)];
        const functions *f = &FUNCTIONS[i % N_FUNCTIONS];
        const int before = i / N_FUNCTIONS / 3 % 2, weights = i / N_FUNCTIONS % 3;
        if ((quick && !size->quick) || (f != FUNCTIONS && size->n_out != 16 && size->n_out != 17))
            continue;
        gru_net net = {0};
        snprintf(net.name, sizeof net.name, "gru %dx%d %s %s %s", (int)size->n_in, (int)size->n_out,
                 before ? "before" : "after", WEIGHTS[weights], f->name);
        fill_gru(&net, size->n_in, size->n_out, before, weights, f);
        with(t, &net, size->n_streams);
        free_gru(&net);
    }
}

static inline void each_dense(const sg_packed_table *t, int quick, dense_case with)
{
    for (int i = 0; i < N_DENSE_SIZES * 3 * N_DENSE_FUNCTIONS; i++) {
        const size_of_case *size = &DENSE_SIZES[i / (3 * N_DENSE_FUNCTIONS)];
        const int f = i % N_DENSE_FUNCTIONS, weights = i / N_DENSE_FUNCTIONS % 3;
        if (quick && !size->quick)
            continue;
        dense_net net = {0};
        snprintf(net.name, sizeof net.name, "dense %dx%d %s %s", (int)size->n_in, (int)size->n_out, WEIGHTS[weights],
                 DENSE_FUNCTIONS[f].name);
        fill_dense(&net, size->n_in, size->n_out, weights, &DENSE_FUNCTIONS[f].function);
        with(t, &net, size->n_streams);
        free_matrix(&net.weight), free(net.bias);
    }
}

#endif
