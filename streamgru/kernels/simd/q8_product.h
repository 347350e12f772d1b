/* Products with int8 weights. The same functions as in float_product.h, over quantised rows.
 *
 * Each row of the weights has a scale of its own, each vector one for all its numbers: q = round(x * 63 / max |x|) + 64,
 * which is in [1, 127]. Sums of products are integers and exact, so their order does not matter; the
 * offset of 64 is taken off as 64 times the sum of the row's weights. What is rounded, once per product
 * and in this order: scale * scale, the integer as a float, and their product with the output added.
 */

#define SG_LEVELS 63.0f

/* A quantised vector: [0] the scale; from [16] on, bytes, in fours. */
SG_INLINE const uint8_t *q8_bytes(const float *q) { return (const uint8_t *)(q + SG_PANEL); }

static const float *q8_prepared(ptrdiff_t n_cols, const float *x /* (n_cols,) */, float *room)
{
    const int32_t magic = 0x4b400000; /* the bits of 1.5 * 2^23: adding it rounds to an integer */
    uint8_t *bytes = (uint8_t *)(room + SG_PANEL);
    int32_t most = 0; /* the bits of max |x|: in the order of the numbers */
    for (ptrdiff_t k = 0; k < n_cols; k++) {
        const int32_t bits = bits_of_float(x[k]) & 0x7fffffff;
        most = bits > most ? bits : most;
    }
    const float largest = float_of_bits(most), least = 0x1p-100f;
    const float up = largest > least ? SG_LEVELS / largest : 0.0f;
    room[0] = largest > least ? largest / SG_LEVELS : 0.0f;
    for (ptrdiff_t k = 0; k < n_cols; k++)
        bytes[k] = (uint8_t)(bits_of_float(x[k] * up + 12582912.0f) - magic + 64);
    for (ptrdiff_t k = n_cols; k % 4; k++)
        bytes[k] = 64;
    return room;
}

static sg_rows q8_prepared_rows(ptrdiff_t n, ptrdiff_t n_cols, sg_rows x, sg_rows room)
{
    for (ptrdiff_t i = 0; i < n; i++)
        q8_prepared(n_cols, x.base[i] + x.at, room.base[i] + room.at);
    return room;
}

SG_INLINE vi q8_four(const float *q, ptrdiff_t k4)
{
    int32_t four;
    memcpy(&four, q8_bytes(q) + 4 * k4, sizeof four);
    return v_set1_int(four);
}

/* sum + (integers - offsets) * (scale of the rows * scale of the vector) */
SG_INLINE vf q8_scaled(vi dots, const int32_t *offset, const float *scale, vf x_scale, vf sum)
{
    vi offsets;
    memcpy(&offsets, offset, sizeof offsets);
    return v_fma(v_from_int(v_add_int(dots, offsets)), v_load(scale) * x_scale, sum);
}

SG_INLINE void q8_one(
    const int n_panels, const int n_gates, const sg_matrix *m, ptrdiff_t panel,
    const float *q, vf *sums /* n_panels of (n_gates, NV) */, const int apart)
{
    const int width = n_gates * NV;
    const ptrdiff_t n_fours = (m->n_cols + 3) / 4, size = n_fours * n_gates * SG_PANEL * 4;
    const int8_t *w = (const int8_t *)m->data + panel * size; /* (n_panels, n_fours, n_gates, 16, 4) */
    vi dots[SG_MOST];
    SG_UNROLL for (int i = 0; i < n_panels * width; i++)
        dots[i] = v_set1_int(0);
    for (ptrdiff_t k = 0; k < n_fours; k++) {
        const vi four = q8_four(q, k);
        const int8_t *column = w + k * n_gates * SG_PANEL * 4;
        SG_UNROLL for (int p = 0; p < n_panels; p++)
            SG_UNROLL for (int i = 0; i < width; i++)
                dots[p * width + i] = v_dot4(dots[p * width + i], four, column + p * size + i * VW * 4);
    }
    SG_UNROLL for (int p = 0; p < n_panels; p++)
        SG_UNROLL for (int i = 0; i < width; i++) {
            const ptrdiff_t row = (panel + p) * n_gates * SG_PANEL + i * VW;
            vf *sum = sums + p * apart + i;
            *sum = q8_scaled(dots[p * width + i], m->offset + row, m->scale + row, v_set1(q[0]), *sum);
        }
}

SG_INLINE void q8_tile(
    const int n_gates, const int n_rows, const sg_matrix *m, ptrdiff_t panel, int gate, const int all_gates,
    float *const *q, ptrdiff_t at, float *sums, const ptrdiff_t apart)
{
    const int width = n_gates * NV;
    const ptrdiff_t n_fours = (m->n_cols + 3) / 4, stride = all_gates * SG_PANEL * 4;
    const ptrdiff_t row = (panel * all_gates + gate) * SG_PANEL;
    const int8_t *w = (const int8_t *)m->data + panel * n_fours * stride + gate * SG_PANEL * 4;
    vi dots[SG_TILE * SG_PASS * NV];
    SG_UNROLL for (int i = 0; i < n_rows * width; i++)
        dots[i] = v_set1_int(0);
    for (ptrdiff_t k = 0; k < n_fours; k++)
        SG_UNROLL for (int i = 0; i < n_rows; i++) {
            const vi four = q8_four(q[i] + at, k);
            SG_UNROLL for (int j = 0; j < width; j++)
                dots[i * width + j] = v_dot4(dots[i * width + j], four, w + k * stride + j * VW * 4);
        }
    SG_UNROLL for (int i = 0; i < n_rows; i++)
        SG_UNROLL for (int j = 0; j < width; j++) {
            float *sum = sums + i * apart + j * VW;
            const vf scale = v_set1(q[i][at]);
            v_store(sum, q8_scaled(dots[i * width + j], m->offset + row + j * VW, m->scale + row + j * VW, scale,
                                   v_load(sum)));
        }
}

SG_INLINE void q8_many(
    const int n_gates, const sg_matrix *m, ptrdiff_t panel, ptrdiff_t n, sg_rows q,
    float *sums /* n of (n_gates, 16) */, const ptrdiff_t apart)
{
    const int pass = n_gates < SG_PASS ? n_gates : SG_PASS;
    for (int gate = 0; gate < n_gates; gate += pass) {
        float *out = sums + gate * SG_PANEL;
        ptrdiff_t i = 0;
        for (; i + SG_TILE <= n; i += SG_TILE)
            q8_tile(pass, SG_TILE, m, panel, gate, n_gates, q.base + i, q.at, out + i * apart, apart);
        for (; i < n; i++)
            q8_tile(pass, 1, m, panel, gate, n_gates, q.base + i, q.at, out + i * apart, apart);
    }
}
