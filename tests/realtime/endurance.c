/* A long life of one stream: the step, reached as a function of C, and beside it the same GRU in double.
 *
 * The GRU in double is written here from the equations (reset after, rows r | z | n) and shares nothing with
 * what it is compared with. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { N_IN = 2, MOST = 64 /* the largest n_hid */ };

typedef struct {
    int (*step)(void *stream, const void *x, void *y);
    void *stream;
    long n_hid;
    const double *weight_ih, *weight_hh; /* (3 * n_hid, N_IN), (3 * n_hid, n_hid) */
    const double *bias_ih, *bias_hh;     /* (3 * n_hid,) */
    double h[MOST];
    uint64_t random, hash; /* random: not 0 */
    double largest, squares; /* of the errors since the caller set them to 0 */
    long n_bad;              /* steps that were refused, or whose output is not finite */
} life;

/* xorshift64 (Marsaglia 2003); numbers in [-1, 1) that float and double both hold. */
static double next(uint64_t *random)
{
    *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
    return (double)(int32_t)(*random >> 40) * 0x1p-23 - 1.0;
}

static double row(const double *weight, const double *x, long n, double sum)
{
    for (long k = 0; k < n; k++)
        sum += weight[k] * x[k];
    return sum;
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static void step_double(life *l, const double *x)
{
    double h_next[MOST];
    for (long i = 0; i < l->n_hid; i++) {
        double in[3], hid[3];
        for (long gate = 0; gate < 3; gate++) {
            const long at = gate * l->n_hid + i;
            in[gate] = row(l->weight_ih + at * N_IN, x, N_IN, l->bias_ih[at]);
            hid[gate] = row(l->weight_hh + at * l->n_hid, l->h, l->n_hid, l->bias_hh[at]);
        }
        const double r = sigmoid(in[0] + hid[0]), z = sigmoid(in[1] + hid[1]), n = tanh(in[2] + r * hid[2]);
        h_next[i] = (1.0 - z) * n + z * l->h[i];
    }
    memcpy(l->h, h_next, sizeof(double) * (size_t)l->n_hid);
}

void live(life *l, long n_steps, int compare)
{
    for (long i = 0; i < n_steps; i++) {
        double x[N_IN], worst = 0;
        float x_float[N_IN], y[MOST];
        for (int k = 0; k < N_IN; k++)
            x[k] = next(&l->random), x_float[k] = (float)x[k];
        int bad = l->step(l->stream, x_float, y) != 0;
        for (long k = 0; k < l->n_hid; k++) {
            uint32_t bits;
            memcpy(&bits, &y[k], sizeof bits);
            l->hash = (l->hash ^ bits) * 0x9e3779b97f4a7c15u;
            l->hash ^= l->hash >> 29;
            bad |= !isfinite(y[k]);
        }
        l->n_bad += bad;
        if (!compare)
            continue;
        step_double(l, x);
        for (long k = 0; k < l->n_hid; k++)
            worst = fmax(worst, fabs(y[k] - l->h[k]));
        l->largest = fmax(l->largest, worst);
        l->squares += worst * worst;
    }
}
