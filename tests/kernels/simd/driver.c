/* The kernels of one instruction set, without Python.
 *
 *   driver list             the instruction sets that this CPU can run, the best first
 *   driver hash ISA [quick] a line for each case: its name and a hash of all bits of its answers
 *   driver check ISA [quick] the same cases against a reference in double, and against themselves: alone, in batches of
 *                           many sizes, in other lanes, with x projected beforehand
 */
#include "cases.h"
#include "reference.h"

#define HASH_BASIS 0xcbf29ce484222325u

static int failures;
static double worst_float, worst_q8;

static void fail(const char *name, const char *what, double number)
{
    printf("%s: %s %g\n", name, what, number);
    failures++;
}

static void hash_gru(const sg_packed_table *t, const gru_net *net, ptrdiff_t n)
{
    outputs o = new_outputs(net->n_hid);
    int streams[ALL_STREAMS];
    uint64_t hash = HASH_BASIS;
    order(n, 1, streams);
    run_gru(t, net, n, streams, n % 2, &o);
    for (ptrdiff_t step = 0; step < N_STEPS; step++) {
        hash = hashed(hash, h_of(net, &o, step, 0), n * net->n_hid);
        hash = hashed(hash, gates_of(net, &o, step, 0), n * 3 * net->n_hid);
    }
    printf("%s: %016llx\n", net->name, (unsigned long long)hash);
    free_outputs(&o);
}

static void hash_dense(const sg_packed_table *t, const dense_net *net, ptrdiff_t n)
{
    float *y = room_for(ALL_STREAMS * net->n_out, sizeof(float));
    int streams[ALL_STREAMS];
    order(n, 1, streams);
    run_dense(t, net, n, streams, y);
    printf("%s: %016llx\n", net->name, (unsigned long long)hashed(HASH_BASIS, y, n * net->n_out));
    free(y);
}

/* Numbers where the functions change, and all over the place. */
#define N_NUMBERS 1237
static void some_numbers(float *x)
{
    const float edges[] = {0, 0x1p-149f, 0x1p-126f, 0x1p-24f, 0.5f, 1, 2.5f, 3, 9, 10, 17, 87.33654f, 87.33655f, -0x1.5d589ep6f, 88, 104, 1e9f,
                           0x1.fffffep127f, INFINITY, NAN};
    rng r = seeded("numbers");
    for (int i = 0; i < N_NUMBERS; i++)
        x[i] = random_float(&r, i % 8);
    for (int i = 0; i < (int)(sizeof edges / sizeof *edges); i++)
        x[40 * i] = edges[i], x[40 * i + 7] = -edges[i];
}

static void hash_functions(const sg_packed_table *t)
{
    float x[N_NUMBERS];
    for (int i = 0; i < N_DENSE_FUNCTIONS; i++) {
        some_numbers(x);
        t->activate(&DENSE_FUNCTIONS[i].function, N_NUMBERS, x);
        printf("function %s: %016llx\n", DENSE_FUNCTIONS[i].name, (unsigned long long)hashed(HASH_BASIS, x, N_NUMBERS));
    }
    some_numbers(x);
    for (int i = 0; i < N_NUMBERS; i++)
        x[i] = -fabsf(x[i]);
    t->exp_negative(N_NUMBERS, x);
    printf("function exp: %016llx\n", (unsigned long long)hashed(HASH_BASIS, x, N_NUMBERS));
}

static double tolerance(int weights, int exact)
{
    return weights == SG_Q8 && exact ? Q8_ATOL : ATOL;
}

static void compare(const char *name, int weights, int exact, ptrdiff_t n, const float *actual, const double *expected)
{
    const double error = worst_error(n, actual, expected);
    double *worst = weights == SG_Q8 && exact ? &worst_q8 : &worst_float;
    *worst = error > *worst ? error : *worst;
    if (!(error <= tolerance(weights, exact)))
        fail(name, exact && weights == SG_Q8 ? "from the dequantised weights" : "from the reference", error);
}

static void against_reference(const gru_net *net, const outputs *o, ptrdiff_t n)
{
    float *x = room_for(net->n_in, sizeof(float)), *h = room_for(net->n_hid, sizeof(float));
    double *h_next = room_for(net->n_hid, sizeof(double)), *gates = room_for(3 * net->n_hid, sizeof(double));
    for (ptrdiff_t stream = 0; stream < n && stream < 12; stream++)
        for (ptrdiff_t step = 0; step < N_STEPS; step++)
            for (int exact = 0; exact < (net->packed.weights == SG_Q8 ? 2 : 1); exact++) {
                random_input(net->name, stream, step, net->n_in, x);
                first_state(net, stream, h);
                if (step)
                    memcpy(h, h_of(net, o, step - 1, stream), (size_t)net->n_hid * sizeof(float));
                reference_gru(net, exact, x, h, gates_of(net, o, step, stream), h_next, gates);
                compare(net->name, net->packed.weights, exact, net->n_hid, h_of(net, o, step, stream), h_next);
                compare(net->name, net->packed.weights, exact, 3 * net->n_hid, gates_of(net, o, step, stream), gates);
            }
    free(x), free(h), free(h_next), free(gates);
}

static const ptrdiff_t BATCHES[] = {2, 3, 5, 6, 8, 9, 13, 96, 97, 193, 257};
#define N_BATCHES ((int)(sizeof BATCHES / sizeof *BATCHES))

static int same(const float *a, const float *b, ptrdiff_t n) { return memcmp(a, b, (size_t)n * sizeof(float)) == 0; }

static void check_gru(const sg_packed_table *t, const gru_net *net, ptrdiff_t n)
{
    outputs alone = new_outputs(net->n_hid), together = new_outputs(net->n_hid);
    int streams[ALL_STREAMS];
    for (int stream = 0; stream < n; stream++)
        run_gru(t, net, 1, &stream, 0, &alone);
    against_reference(net, &alone, n);
    for (int i = -1; i < 4 * N_BATCHES; i++) {
        const ptrdiff_t batch = i < 0 ? 1 : BATCHES[i / 4];
        if (batch > n)
            break;
        order(batch, i % 2, streams);
        run_gru(t, net, batch, streams, i < 0 || i / 2 % 2, &together);
        for (ptrdiff_t step = 0; step < N_STEPS; step++)
            if (!same(h_of(net, &alone, step, 0), h_of(net, &together, step, 0), batch * net->n_hid) ||
                !same(gates_of(net, &alone, step, 0), gates_of(net, &together, step, 0), batch * 3 * net->n_hid))
                fail(net->name, i / 2 % 2 ? "alone is not projected, in a batch of" : "alone is not in a batch of",
                     (double)batch);
    }
    free_outputs(&alone), free_outputs(&together);
}

static void check_dense(const sg_packed_table *t, const dense_net *net, ptrdiff_t n)
{
    float *alone = room_for(ALL_STREAMS * net->n_out, sizeof(float)), *x = room_for(net->n_in, sizeof(float));
    float *together = room_for(ALL_STREAMS * net->n_out, sizeof(float));
    double *expected = room_for(net->n_out, sizeof(double));
    int streams[ALL_STREAMS];
    for (int stream = 0; stream < n; stream++) {
        run_dense(t, net, 1, &stream, alone);
        random_input(net->name, stream, 0, net->n_in, x);
        for (int exact = 0; exact < (net->packed.weights == SG_Q8 ? 2 : 1); exact++) {
            reference_dense(net, exact, x, expected);
            compare(net->name, net->packed.weights, exact, net->n_out, alone + stream * net->n_out, expected);
        }
    }
    for (int i = 0; i < 2 * N_BATCHES && BATCHES[i / 2] <= n; i++) {
        order(BATCHES[i / 2], i % 2, streams);
        run_dense(t, net, BATCHES[i / 2], streams, together);
        if (!same(alone, together, BATCHES[i / 2] * net->n_out))
            fail(net->name, "alone is not in a batch of", (double)BATCHES[i / 2]);
    }
    free(alone), free(together), free(expected), free(x);
}

/* A number is found wherever it stands, and the first of two; each array ends where its memory does. */
static void check_first_nonfinite(const sg_packed_table *t)
{
    const float bad[] = {INFINITY, -INFINITY, NAN};
    for (ptrdiff_t n = 0; n < 50; n++) {
        float *x = room_for(n, sizeof(float));
        for (ptrdiff_t i = 0; i < n; i++)
            x[i] = i % 2 ? 0x1.fffffep127f : -0x1.fffffep127f;
        if (t->first_nonfinite(n, x) != -1)
            fail("first_nonfinite", "all are finite, of", (double)n);
        for (ptrdiff_t i = n - 1; i >= 0; i--) {
            x[i] = bad[i % 3];
            if (t->first_nonfinite(n, x) != i)
                fail("first_nonfinite", "missed", (double)i);
        }
        free(x);
    }
}

/* One number of a vector that is not finite makes every output so, whatever the weights are. */
static void check_nonfinite_vector(const sg_packed_table *t)
{
    const float bad[] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 9; i++) {
        dense_net net = {.name = "nonfinite"};
        const int weights[] = {SG_F32, SG_F16, SG_Q8};
        fill_dense(&net, 21, 19, weights[i / 3], &DENSE_FUNCTIONS[0].function);
        for (ptrdiff_t n = 1; n < 10; n += 8) {
            lanes x = new_lanes(n, 21), y = new_lanes(n, 2 * SG_PANEL), room = new_lanes(n, sg_quantised_floats(21));
            for (ptrdiff_t lane = 0; lane < n; lane++)
                random_input(net.name, lane, 0, 21, x.base[lane] + AT);
            x.base[n / 2][AT + 20] = bad[i % 3];
            t->dense(&net.packed, n, rows_from(&x, 0), rows_from(&room, 0), rows_from(&y, 0));
            for (ptrdiff_t k = 0; k < n * 19; k++)
                if ((isfinite(y.base[k / 19][AT + k % 19]) != 0) != (k / 19 != n / 2))
                    fail("nonfinite", "went wrong in output", (double)k);
            free_lanes(&x), free_lanes(&y), free_lanes(&room);
        }
        free_matrix(&net.weight), free(net.bias);
    }
}

/* A state that halves at each step becomes 0 below 2^-100, not before. */
static void check_fading(const sg_packed_table *t)
{
    gru_net net = {.name = "fading"};
    fill_gru(&net, 1, 3, 0, SG_F32, &FUNCTIONS[0]);
    memset(net.input.data, 0, 3 * SG_PANEL * sizeof(float)); /* (1, 1, 3, 16) */
    memset(net.recurrent.data, 0, 3 * 3 * SG_PANEL * sizeof(float));
    memset(net.bias, 0, 4 * SG_PANEL * sizeof(float));
    lanes x = new_lanes(1, 1), h = new_lanes(1, SG_PANEL), h_next = new_lanes(1, SG_PANEL);
    lanes gates = new_lanes(1, 3 * SG_PANEL), scratch = new_lanes(1, sg_scratch_floats(1, 1));
    float *in = h.base[0] + AT, *out = h_next.base[0] + AT;
    const sg_gru_rows rows = {rows_from(&x, 0), {0}, rows_from(&h, 0), rows_from(&h_next, 0), rows_from(&gates, 0),
                              rows_from(&scratch, 0)};
    in[0] = 0x1p-99f, in[1] = -0x1p-99f, in[2] = 0x1.fffffep-100f;
    t->gru(&net.packed, 1, &rows);
    if (out[0] != 0x1p-100f || out[1] != -0x1p-100f || out[2] != 0 || signbit(out[2]))
        fail("fading", "went wrong with", (double)out[2]);
    free_lanes(&x), free_lanes(&h), free_lanes(&h_next), free_lanes(&gates), free_lanes(&scratch), free_gru(&net);
}

int main(int argc, char **argv)
{
    const int quick = argc > 3 && strcmp(argv[3], "quick") == 0;
    const sg_packed_table *t = argc > 2 ? sg_packed_named(argv[2]) : NULL;
    if (argc > 1 && strcmp(argv[1], "list") == 0) {
        for (int i = 0; sg_packed_at(i); i++)
            printf("%s\n", sg_packed_at(i)->isa);
        return sg_packed_named("no such thing");
    }
    if (!t) {
        fprintf(stderr, "usage: driver list | hash ISA [quick] | check ISA [quick]\n");
        return 2;
    }
    if (strcmp(argv[1], "hash") == 0) {
        each_gru(t, quick, hash_gru);
        each_dense(t, quick, hash_dense);
        hash_functions(t);
        return 0;
    }
    each_gru(t, quick, check_gru);
    each_dense(t, quick, check_dense);
    check_first_nonfinite(t);
    check_nonfinite_vector(t);
    check_fading(t);
    printf("%s: %d failures; worst error %.3g, of 8-bit vectors %.3g\n", t->isa, failures, worst_float, worst_q8);
    return failures != 0;
}
