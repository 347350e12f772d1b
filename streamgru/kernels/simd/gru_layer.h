/* One timestep of a GRU for one stream or many; the equations stand in streamgru/layers/gru.pyx.
 *
 * Included once per type of weights, after its products; NAME(f) is set there. A panel of 16 hidden
 * units is carried from its products through its gates to its new state before the next one is begun, so
 * that the weights are the only thing that memory has to bring.
 */

/* Panels n_panels at a time, from *panel on, as long as there are so many. */
#define SG_PANELS(count, n_panels, panel) for (; (panel) + (count) <= (n_panels); (panel) += (count))

/* All products but that with r * h, and the gates r and z; n_gates of the state's product, which are r, z and c. */
SG_INLINE void NAME(gates_of_panels)(
    const int count, const int n_gates, const sg_gru *g, const int plain, ptrdiff_t panel, const sg_step *s, vf *sums)
{
    SG_UNROLL for (int p = 0; p < count; p++)
        start_sums(g, panel + p, s->projected, sums + p * 4 * NV);
    if (!s->projected)
        NAME(one)(count, 3, &g->input, panel, s->x, sums, 4 * NV);
    NAME(one)(count, n_gates, &g->recurrent, panel, s->qh, sums + NV, 4 * NV);
    SG_UNROLL for (int p = 0; p < count; p++)
        open_gates(g, plain, sums + p * 4 * NV + NV);
}

SG_INLINE void NAME(after_panels)(
    const int count, const sg_gru *g, const int plain, ptrdiff_t panel, const sg_step *s)
{
    vf sums[2 * 4 * NV]; /* (count, 4, NV): n, r, z, c */
    NAME(gates_of_panels)(count, 3, g, plain, panel, s, sums);
    SG_UNROLL for (int p = 0; p < count; p++)
        finish_after(g, plain, panel + p, sums + p * 4 * NV, s->h, s->h_next, s->gates);
}

SG_INLINE void NAME(after_one)(const sg_gru *g, const int plain, const sg_step *s)
{
    ptrdiff_t panel = 0;
    SG_PANELS(2, g->n_panels, panel)
        NAME(after_panels)(2, g, plain, panel, s);
    SG_PANELS(1, g->n_panels, panel)
        NAME(after_panels)(1, g, plain, panel, s);
}

SG_INLINE void NAME(before_panels)(
    const int count, const sg_gru *g, const int plain, ptrdiff_t panel, const sg_step *s)
{
    vf sums[2 * 4 * NV]; /* (count, 4, NV): n, r, z, and nothing */
    NAME(gates_of_panels)(count, 2, g, plain, panel, s, sums);
    SG_UNROLL for (int p = 0; p < count; p++)
        reset_state(g, panel + p, sums + p * 4 * NV, s->h, s->rh, s->gates);
}

SG_INLINE void NAME(candidate_panels)(
    const int count, const sg_gru *g, const int plain, ptrdiff_t panel, const float *rh, const sg_step *s)
{
    vf sums[4 * NV]; /* (count, NV): n */
    SG_UNROLL for (int p = 0; p < count; p++)
        load_sums(1, gate_of(g, s->gates, 2, panel + p), sums + p * NV);
    NAME(one)(count, 1, &g->reset, panel, rh, sums, NV);
    SG_UNROLL for (int p = 0; p < count; p++)
        finish_before(g, plain, panel + p, sums + p * NV, s->h, s->h_next, s->gates);
}

SG_INLINE void NAME(before_one)(const sg_gru *g, const int plain, const sg_step *s, float *room)
{
    ptrdiff_t panel = 0;
    SG_PANELS(2, g->n_panels, panel)
        NAME(before_panels)(2, g, plain, panel, s);
    SG_PANELS(1, g->n_panels, panel)
        NAME(before_panels)(1, g, plain, panel, s);
    const float *rh = NAME(prepared)(g->n_hid, s->rh, room);
    panel = 0;
    SG_PANELS(4, g->n_panels, panel)
        NAME(candidate_panels)(4, g, plain, panel, rh, s);
    SG_PANELS(1, g->n_panels, panel)
        NAME(candidate_panels)(1, g, plain, panel, rh, s);
}

static void NAME(gru_one)(const sg_gru *g, const sg_gru_rows *rows)
{
    sg_step s;
    float *room = row(rows->scratch, 0) + g->n_panels * SG_PANEL;
    s.projected = rows->projected.base ? row(rows->projected, 0) : 0;
    s.h = row(rows->h, 0), s.h_next = row(rows->h_next, 0);
    s.gates = row(rows->gates, 0), s.rh = row(rows->scratch, 0);
    s.qh = NAME(prepared)(g->n_hid, s.h, room);
    s.x = 0;
    if (!s.projected)
        s.x = NAME(prepared)(g->input.n_cols, row(rows->x, 0), room + sg_quantised_floats(g->n_hid));
    if (g->before && is_plain(g))
        NAME(before_one)(g, 1, &s, room);
    else if (g->before)
        NAME(before_one)(g, 0, &s, room);
    else if (is_plain(g))
        NAME(after_one)(g, 1, &s);
    else
        NAME(after_one)(g, 0, &s);
}

/* n <= SG_LANES streams */
static void NAME(gru_many)(const sg_gru *g, ptrdiff_t n, sg_gru_rows rows)
{
    SG_ALIGNED float sums[SG_LANES * 4 * SG_PANEL]; /* (n, 4, 16): n, r, z, c */
    const ptrdiff_t apart = 4 * SG_PANEL;
    const sg_rows rh = rows.scratch, room = behind(rh, g->n_panels * SG_PANEL);
    const sg_rows room_x = behind(room, sg_quantised_floats(g->n_hid));
    const sg_rows qh = NAME(prepared_rows)(n, g->n_hid, rows.h, room);
    sg_rows x = rows.x;
    if (!rows.projected.base)
        x = NAME(prepared_rows)(n, g->input.n_cols, x, room_x);
    for (ptrdiff_t panel = 0; panel < g->n_panels; panel++) {
        for (ptrdiff_t i = 0; i < n; i++)
            start_row(g, panel, rows.projected, i, sums + i * apart);
        if (!rows.projected.base)
            NAME(many)(3, &g->input, panel, n, x, sums, apart);
        if (g->before)
            NAME(many)(2, &g->recurrent, panel, n, qh, sums + SG_PANEL, apart);
        else
            NAME(many)(3, &g->recurrent, panel, n, qh, sums + SG_PANEL, apart);
        open_rows(g, n, sums);
        finish_rows(g, panel, n, sums, &rows);
    }
    if (!g->before)
        return;
    const sg_rows qrh = NAME(prepared_rows)(n, g->n_hid, rh, room);
    for (ptrdiff_t panel = 0; panel < g->n_panels; panel++) {
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(sums + i * SG_PANEL, gate_of(g, row(rows.gates, i), 2, panel), SG_PANEL * sizeof(float));
        NAME(many)(1, &g->reset, panel, n, qrh, sums, SG_PANEL);
        for (ptrdiff_t i = 0; i < n; i++) {
            vf sum[NV];
            load_sums(1, sums + i * SG_PANEL, sum);
            if (is_plain(g))
                finish_before(g, 1, panel, sum, row(rows.h, i), row(rows.h_next, i), row(rows.gates, i));
            else
                finish_before(g, 0, panel, sum, row(rows.h, i), row(rows.h_next, i), row(rows.gates, i));
        }
    }
}

/* n <= SG_LANES rows of x: what a step adds up before it comes to the state. */
static void NAME(project_many)(const sg_gru *g, ptrdiff_t n, sg_rows x, sg_rows scratch, sg_rows projected)
{
    SG_ALIGNED float sums[SG_LANES * 4 * SG_PANEL];
    const sg_rows room = behind(scratch, g->n_panels * SG_PANEL + sg_quantised_floats(g->n_hid));
    x = NAME(prepared_rows)(n, g->input.n_cols, x, room);
    for (ptrdiff_t panel = 0; panel < g->n_panels; panel++) {
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(sums + i * 4 * SG_PANEL, g->bias + panel * 4 * SG_PANEL, 3 * SG_PANEL * sizeof(float));
        NAME(many)(3, &g->input, panel, n, x, sums, 4 * SG_PANEL);
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(row(projected, i) + panel * 3 * SG_PANEL, sums + i * 4 * SG_PANEL, 3 * SG_PANEL * sizeof(float));
    }
}
