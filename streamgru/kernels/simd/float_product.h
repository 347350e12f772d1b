/* Products with float weights. Included once per type: WEIGHT, W_LOAD and NAME(f) are set there.
 *
 * The order of additions, `bits: 1`: the columns are cut into blocks of block_of(n_cols); the products of a
 * block are summed from 0 on by fused multiply-adds, in order of their columns, and the sum of the
 * block is then added to the output. That is all that decides the bits: how many panels, streams
 * and lanes go through the registers together does not.
 */

/* sums[p] += W x for n_panels panels from `panel` on: one stream, all the registers. */
SG_INLINE void NAME(one)(
    const int n_panels, const int n_gates, const sg_matrix *m, ptrdiff_t panel,
    const float *x /* (n_cols,) */, vf *sums /* n_panels of (n_gates, NV) */, const int apart)
{
    const int width = n_gates * NV; /* vf of one column of a panel */
    const ptrdiff_t n_cols = m->n_cols, size = n_cols * n_gates * SG_PANEL, length = block_of(n_cols);
    const WEIGHT *w = (const WEIGHT *)m->data + panel * size; /* (n_panels, n_cols, n_gates, 16) */
    for (ptrdiff_t from = 0; from < n_cols; from += length) {
        const ptrdiff_t to = n_cols - from < length ? n_cols : from + length;
        vf block[SG_MOST];
        SG_UNROLL for (int i = 0; i < n_panels * width; i++)
            block[i] = v_set1(0.0f);
        for (ptrdiff_t k = from; k < to; k++) {
            const vf x_k = v_set1(x[k]);
            const WEIGHT *column = w + k * n_gates * SG_PANEL;
            SG_UNROLL for (int p = 0; p < n_panels; p++)
                SG_UNROLL for (int i = 0; i < width; i++)
                    block[p * width + i] = v_fma(W_LOAD(column + p * size + i * VW), x_k, block[p * width + i]);
        }
        SG_UNROLL for (int p = 0; p < n_panels; p++)
            SG_UNROLL for (int i = 0; i < width; i++)
                sums[p * apart + i] = sums[p * apart + i] + block[p * width + i];
    }
}

/* sums[i] += W x[i] for some gates of one panel and n_rows streams, over one block of columns. */
SG_INLINE void NAME(tile)(
    const int n_gates, const int n_rows, const WEIGHT *w, ptrdiff_t stride /* from column to column */,
    ptrdiff_t n_cols, float *const *x, ptrdiff_t at, /* n_rows of (n_cols,) */
    float *sums, const ptrdiff_t apart)              /* n_rows of (n_gates, 16), so far apart */
{
    const int width = n_gates * NV;
    const float *rows[SG_TILE];
    vf block[SG_TILE * SG_PASS * NV];
    SG_UNROLL for (int i = 0; i < n_rows; i++)
        rows[i] = x[i] + at;
    SG_UNROLL for (int i = 0; i < n_rows * width; i++)
        block[i] = v_set1(0.0f);
    for (ptrdiff_t k = 0; k < n_cols; k++) {
        vf column[SG_PASS * NV];
        SG_UNROLL for (int j = 0; j < width; j++)
            column[j] = W_LOAD(w + k * stride + j * VW);
        SG_UNROLL for (int i = 0; i < n_rows; i++) {
            const vf x_k = v_set1(rows[i][k]);
            SG_UNROLL for (int j = 0; j < width; j++)
                block[i * width + j] = v_fma(column[j], x_k, block[i * width + j]);
        }
    }
    SG_UNROLL for (int i = 0; i < n_rows; i++)
        SG_UNROLL for (int j = 0; j < width; j++)
            v_store(sums + i * apart + j * VW, v_load(sums + i * apart + j * VW) + block[i * width + j]);
}

/* sums[i] += W x[i] for one panel and n streams. */
SG_INLINE void NAME(many)(
    const int n_gates, const sg_matrix *m, ptrdiff_t panel, ptrdiff_t n, sg_rows x /* n of (n_cols,) */,
    float *sums /* n of (n_gates, 16) */, const ptrdiff_t apart)
{
    const int pass = n_gates < SG_PASS ? n_gates : SG_PASS;
    const ptrdiff_t n_cols = m->n_cols, stride = n_gates * SG_PANEL, length = block_of(n_cols);
    const WEIGHT *w = (const WEIGHT *)m->data + panel * n_cols * stride; /* (n_cols, n_gates, 16) */
    for (ptrdiff_t from = 0; from < n_cols; from += length) {
        const ptrdiff_t size = n_cols - from < length ? n_cols - from : length;
        for (int gate = 0; gate < n_gates; gate += pass) {
            const WEIGHT *part = w + from * stride + gate * SG_PANEL;
            float *out = sums + gate * SG_PANEL;
            ptrdiff_t i = 0;
            for (; i + SG_TILE <= n; i += SG_TILE)
                NAME(tile)(pass, SG_TILE, part, stride, size, x.base + i, x.at + from, out + i * apart, apart);
            for (; i + SG_TILE / 2 <= n; i += SG_TILE / 2)
                NAME(tile)(pass, SG_TILE / 2, part, stride, size, x.base + i, x.at + from, out + i * apart, apart);
            for (; i < n; i++)
                NAME(tile)(pass, 1, part, stride, size, x.base + i, x.at + from, out + i * apart, apart);
        }
    }
}

/* What the products read is x itself. */
SG_INLINE const float *NAME(prepared)(ptrdiff_t n_cols, const float *x, float *room)
{
    (void)n_cols, (void)room;
    return x;
}

SG_INLINE sg_rows NAME(prepared_rows)(ptrdiff_t n, ptrdiff_t n_cols, sg_rows x, sg_rows room)
{
    (void)n, (void)n_cols, (void)room;
    return x;
}
