/* function(W x + b) for one stream or many. Included once per type of weights; NAME(f) is set there. */

SG_INLINE void NAME(dense_panels)(const int count, const sg_dense *d, ptrdiff_t panel, const float *x, float *y)
{
    vf sums[4 * NV];
    load_sums(count, d->bias + panel * SG_PANEL, sums);
    NAME(one)(count, 1, &d->matrix, panel, x, sums, NV);
    SG_UNROLL for (int i = 0; i < count * NV; i++)
        v_store(y + panel * SG_PANEL + i * VW, v_activate(&d->function, sums[i]));
}

static void NAME(dense_one)(const sg_dense *d, const float *x, float *room, float *y)
{
    ptrdiff_t panel = 0;
    x = NAME(prepared)(d->matrix.n_cols, x, room);
    SG_PANELS(4, d->n_panels, panel)
        NAME(dense_panels)(4, d, panel, x, y);
    SG_PANELS(1, d->n_panels, panel)
        NAME(dense_panels)(1, d, panel, x, y);
}

/* n <= SG_LANES streams */
static void NAME(dense_many)(const sg_dense *d, ptrdiff_t n, sg_rows x, sg_rows room, sg_rows y)
{
    SG_ALIGNED float sums[SG_LANES * SG_PANEL]; /* (n, 16) */
    x = NAME(prepared_rows)(n, d->matrix.n_cols, x, room);
    for (ptrdiff_t panel = 0; panel < d->n_panels; panel++) {
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(sums + i * SG_PANEL, d->bias + panel * SG_PANEL, SG_PANEL * sizeof(float));
        NAME(many)(1, &d->matrix, panel, n, x, sums, SG_PANEL);
        for (ptrdiff_t i = 0; i < n; i++)
            SG_UNROLL for (int v = 0; v < NV; v++)
                v_store(row(y, i) + panel * SG_PANEL + v * VW,
                        v_activate(&d->function, v_load(sums + i * SG_PANEL + v * VW)));
    }
}
