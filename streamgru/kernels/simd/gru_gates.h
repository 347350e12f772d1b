/* What a GRU does with its sums: gates, candidate, blend. For one panel of 16 hidden units of one stream. */

/* Below this a state is taken as 0, so that its products with weights never become subnormal and slow. */
#define SG_FADED 0x1p-100f

SG_INLINE float *row(sg_rows rows, ptrdiff_t i) { return rows.base[i] + rows.at; }

SG_INLINE sg_rows behind(sg_rows rows, ptrdiff_t by)
{
    rows.at += by;
    return rows;
}

/* gates (3, 16 * n_panels): 0 is r, 1 is z, 2 is n */
SG_INLINE float *gate_of(const sg_gru *g, float *gates, int gate, ptrdiff_t panel)
{
    return gates + (gate * g->n_panels + panel) * SG_PANEL;
}

SG_INLINE void load_sums(const int n_gates, const float *from, vf *sums)
{
    SG_UNROLL for (int i = 0; i < n_gates * NV; i++)
        sums[i] = v_load(from + i * VW);
}

/* sums (4, NV) of n, r, z, c := the biases, or what the projection of x has left and c */
SG_INLINE void start_sums(const sg_gru *g, ptrdiff_t panel, const float *projected, vf *sums)
{
    const float *bias = g->bias + panel * 4 * SG_PANEL;
    load_sums(3, projected ? projected + panel * 3 * SG_PANEL : bias, sums);
    load_sums(1, bias + 3 * SG_PANEL, sums + 3 * NV);
}

SG_INLINE void start_row(const sg_gru *g, ptrdiff_t panel, sg_rows projected, ptrdiff_t i, float *sums)
{
    vf sum[4 * NV];
    start_sums(g, panel, projected.base ? row(projected, i) : 0, sum);
    SG_UNROLL for (int k = 0; k < 4 * NV; k++)
        v_store(sums + k * VW, sum[k]);
}

SG_INLINE vf gate(const sg_gru *g, const sg_activation *f, vf sum)
{
    if (g->clip > 0)
        sum = clamp(sum, -g->clip, g->clip);
    return v_activate(f, sum);
}

/* (1 - z) * n + z * h, each operation rounded on its own, so that a trace recombines bit for bit */
SG_INLINE vf blend(vf z, vf n, vf h)
{
    const vf mixed = (v_set1(1.0f) - z) * n + z * h;
    return v_gt(v_set1(SG_FADED), v_abs(mixed), v_set1(0.0f), mixed);
}

/* Beyond n_hid the new state is 0 by itself if candidate(0) is; where that is not, it is made so. */
SG_INLINE void clear_rest(const sg_gru *g, ptrdiff_t panel, float *h_next /* of this panel */)
{
    if (g->candidate.kind == SG_SIGMOID || g->candidate.kind == SG_HARD_SIGMOID)
        for (ptrdiff_t k = g->n_hid - panel * SG_PANEL; k < SG_PANEL; k++)
            h_next[k] = 0.0f;
}

SG_INLINE void finish_after(const sg_gru *g, ptrdiff_t panel, const vf *sums, const float *h, float *h_next,
                            float *gates)
{
    h += panel * SG_PANEL, h_next += panel * SG_PANEL;
    SG_UNROLL for (int v = 0; v < NV; v++) {
        const vf r = gate(g, &g->gate, sums[NV + v]), z = gate(g, &g->gate, sums[2 * NV + v]);
        const vf n = gate(g, &g->candidate, v_fma(r, sums[3 * NV + v], sums[v]));
        v_store(gate_of(g, gates, 0, panel) + v * VW, r);
        v_store(gate_of(g, gates, 1, panel) + v * VW, z);
        v_store(gate_of(g, gates, 2, panel) + v * VW, n);
        v_store(h_next + v * VW, blend(z, n, v_load(h + v * VW)));
    }
    clear_rest(g, panel, h_next);
}

/* The first half of a reset before the product: r, z and r * h; the sum of n waits where n will be. */
SG_INLINE void finish_reset(const sg_gru *g, ptrdiff_t panel, const vf *sums, const float *h, float *rh, float *gates)
{
    h += panel * SG_PANEL, rh += panel * SG_PANEL;
    SG_UNROLL for (int v = 0; v < NV; v++) {
        const vf r = gate(g, &g->gate, sums[NV + v]);
        v_store(gate_of(g, gates, 0, panel) + v * VW, r);
        v_store(gate_of(g, gates, 1, panel) + v * VW, gate(g, &g->gate, sums[2 * NV + v]));
        v_store(gate_of(g, gates, 2, panel) + v * VW, sums[v]);
        v_store(rh + v * VW, r * v_load(h + v * VW));
    }
}

SG_INLINE void finish_before(const sg_gru *g, ptrdiff_t panel, const vf *sums, const float *h, float *h_next,
                             float *gates)
{
    h += panel * SG_PANEL, h_next += panel * SG_PANEL;
    SG_UNROLL for (int v = 0; v < NV; v++) {
        const vf n = gate(g, &g->candidate, sums[v]), z = v_load(gate_of(g, gates, 1, panel) + v * VW);
        v_store(gate_of(g, gates, 2, panel) + v * VW, n);
        v_store(h_next + v * VW, blend(z, n, v_load(h + v * VW)));
    }
    clear_rest(g, panel, h_next);
}
