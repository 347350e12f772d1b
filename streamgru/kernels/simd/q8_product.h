/* Products with int8 weights. The same functions as in float_product.h, over quantised rows.
 *
 * Each row of the weights has a scale of its own, each vector one for all its numbers. A number becomes an integer
 * of 14 bits, u = round(x * 8064 / max |x|) + 8256, in two halves of 7 bits: u = 128 * high + low. Products of the
 * halves are all that a byte times a byte can be without saturation, and x is kept to 1 part in 8064: with 7 bits
 * alone, the rounding of x costs as much accuracy as that of the weights. 8256 is 64 in either half; it is taken off
 * as 64 times the sum of the row's weights. A vector with a number that is not finite has the scale NaN.
 *
 * Sums of products are integers and exact, so their order does not matter. What is rounded, once per product and in
 * this order: scale * scale, the integer of the low halves as a float, its product with the output added, and
 * the same two of the high halves with 128 times the scale.
 */

#define SG_LEVELS 8064.0f    /* 63 * 128 */
#define SG_ZERO 8256         /* 64 * 128 + 64 */
#define SG_Q8_TILE (SG_TILE / 2) /* two sums for each output: half as many outputs in the registers */

/* A quantised vector: [0] the scale; from [16] on, in bytes, the high halves of whole fours, then the low ones. */
SG_INLINE const uint8_t *q8_bytes(const float *q) { return (const uint8_t *)(q + SG_PANEL); }

static const float *q8_prepared(ptrdiff_t n_cols, const float *x /* (n_cols,) */, float *room)
{
    const int32_t magic = 0x4b400000; /* the bits of 1.5 * 2^23: adding it rounds to an integer */
    uint8_t *__restrict high = (uint8_t *)(room + SG_PANEL), *__restrict low = high + (n_cols + 3) / 4 * 4;
    int32_t most = 0; /* the bits of max |x|: in the order of the numbers */
    for (ptrdiff_t k = 0; k < n_cols; k++) {
        const int32_t bits = bits_of_float(x[k]) & 0x7fffffff;
        most = bits > most ? bits : most;
    }
    if (most >= 0x7f800000) { /* infinite or NaN: then so is the product, as with weights that are floats */
        room[0] = float_of_bits(0x7fc00000);
        memset(high, 64, (size_t)(n_cols + 3) / 4 * 8);
        return room;
    }
    const float largest = float_of_bits(most), least = 0x1p-100f;
    const float up = largest > least ? SG_LEVELS / largest : 0.0f;
    room[0] = largest > least ? largest / SG_LEVELS : 0.0f;
    for (ptrdiff_t k = 0; k < n_cols; k++) {
        const int32_t u = bits_of_float(x[k] * up + 12582912.0f) - magic + SG_ZERO;
        high[k] = (uint8_t)(u >> 7);
        low[k] = (uint8_t)(u & 127);
    }
    for (ptrdiff_t k = n_cols; k % 4; k++)
        high[k] = low[k] = 64;
    return room;
}

static sg_rows q8_prepared_rows(ptrdiff_t n, ptrdiff_t n_cols, sg_rows x, sg_rows room)
{
    for (ptrdiff_t i = 0; i < n; i++)
        q8_prepared(n_cols, x.base[i] + x.at, room.base[i] + room.at);
    return room;
}

/* The k-th four of halves, in every lane. */
SG_INLINE vi q8_four(const uint8_t *halves, ptrdiff_t k)
{
    int32_t four;
    memcpy(&four, halves + 4 * k, sizeof four);
    return v_set1_int(four);
}

/* sum + (integers - offsets) * (scale of the rows * scale of the vector), the low halves first */
SG_INLINE vf q8_scaled(vi high, vi low, const int32_t *offset, const float *scale, vf x_scale, vf sum)
{
    const vf unit = v_load(scale) * x_scale;
    vi offsets;
    memcpy(&offsets, offset, sizeof offsets);
    sum = v_fma(v_from_int(v_add_int(low, offsets)), unit, sum);
    return v_fma(v_from_int(v_add_int(high, offsets)), unit * v_set1(128.0f), sum);
}

/* Some panels of q8_one, as many as the registers have room for. */
SG_INLINE void q8_panels(
    const int n_panels, const int n_gates, const sg_matrix *m, ptrdiff_t panel,
    const float *q, vf *sums /* n_panels of (n_gates, NV) */, const int apart)
{
    const int width = n_gates * NV;
    const ptrdiff_t n_fours = (m->n_cols + 3) / 4, size = n_fours * n_gates * SG_PANEL * 4;
    const int8_t *w = (const int8_t *)m->data + panel * size; /* (n_panels, n_fours, n_gates, 16, 4) */
    vi high[SG_MOST], low[SG_MOST];
    SG_UNROLL for (int i = 0; i < n_panels * width; i++)
        high[i] = low[i] = v_set1_int(0);
    for (ptrdiff_t k = 0; k < n_fours; k++) {
        const vi four_high = q8_four(q8_bytes(q), k), four_low = q8_four(q8_bytes(q), n_fours + k);
        const int8_t *column = w + k * n_gates * SG_PANEL * 4;
        SG_UNROLL for (int p = 0; p < n_panels; p++)
            SG_UNROLL for (int i = 0; i < width; i++) {
                const vi bytes = v_bytes(column + p * size + i * VW * 4);
                high[p * width + i] = v_dot4(high[p * width + i], four_high, bytes);
                low[p * width + i] = v_dot4(low[p * width + i], four_low, bytes);
            }
    }
    SG_UNROLL for (int p = 0; p < n_panels; p++)
        SG_UNROLL for (int i = 0; i < width; i++) {
            const ptrdiff_t row = (panel + p) * n_gates * SG_PANEL + i * VW;
            vf *sum = sums + p * apart + i;
            *sum = q8_scaled(high[p * width + i], low[p * width + i], m->offset + row, m->scale + row, v_set1(q[0]),
                             *sum);
        }
}

SG_INLINE void q8_one(
    const int n_panels, const int n_gates, const sg_matrix *m, ptrdiff_t panel,
    const float *q, vf *sums /* n_panels of (n_gates, NV) */, const int apart)
{
    const int width = n_gates * NV;
    const int together = n_panels * width <= 6 ? n_panels : n_panels > 1 && 2 * width <= 6 ? 2 : 1;
    SG_UNROLL for (int p = 0; p < n_panels; p += together)
        q8_panels(together, n_gates, m, panel + p, q, sums + p * apart, apart);
}

SG_INLINE void q8_tile(
    const int n_gates, const int n_rows, const sg_matrix *m, ptrdiff_t panel, int gate, const int all_gates,
    float *const *q, ptrdiff_t at, float *sums, const ptrdiff_t apart)
{
    const int width = n_gates * NV;
    const ptrdiff_t n_fours = (m->n_cols + 3) / 4, stride = all_gates * SG_PANEL * 4;
    const ptrdiff_t row = (panel * all_gates + gate) * SG_PANEL;
    const int8_t *w = (const int8_t *)m->data + panel * n_fours * stride + gate * SG_PANEL * 4;
    vi high[SG_Q8_TILE * SG_PASS * NV], low[SG_Q8_TILE * SG_PASS * NV];
    SG_UNROLL for (int i = 0; i < n_rows * width; i++)
        high[i] = low[i] = v_set1_int(0);
    for (ptrdiff_t k = 0; k < n_fours; k++) {
        vi column[SG_PASS * NV];
        SG_UNROLL for (int j = 0; j < width; j++)
            column[j] = v_bytes(w + k * stride + j * VW * 4);
        SG_UNROLL for (int i = 0; i < n_rows; i++) {
            const uint8_t *bytes = q8_bytes(q[i] + at);
            const vi four_high = q8_four(bytes, k), four_low = q8_four(bytes, n_fours + k);
            SG_UNROLL for (int j = 0; j < width; j++) {
                high[i * width + j] = v_dot4(high[i * width + j], four_high, column[j]);
                low[i * width + j] = v_dot4(low[i * width + j], four_low, column[j]);
            }
        }
    }
    SG_UNROLL for (int i = 0; i < n_rows; i++)
        SG_UNROLL for (int j = 0; j < width; j++) {
            float *sum = sums + i * apart + j * VW;
            const vf scale = v_set1(q[i][at]);
            v_store(sum, q8_scaled(high[i * width + j], low[i * width + j], m->offset + row + j * VW,
                                   m->scale + row + j * VW, scale, v_load(sum)));
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
        for (; i + SG_Q8_TILE <= n; i += SG_Q8_TILE)
            q8_tile(pass, SG_Q8_TILE, m, panel, gate, n_gates, q.base + i, q.at, out + i * apart, apart);
        for (; i < n; i++)
            q8_tile(pass, 1, m, panel, gate, n_gates, q.base + i, q.at, out + i * apart, apart);
    }
}
