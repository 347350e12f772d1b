/* What a GRU does with its sums: gates, candidate, blend. For one panel of 16 hidden units of one stream. */

/* Below this a state is taken as 0, so that its products with weights never become subnormal and slow. */
#define SG_FADED 0x1p-100f

/* One timestep of one stream: where things lie, with x and h as the products read them. */
typedef struct {
    const float *x;         /* (n_in,) or quantised */
    const float *projected; /* (n_panels, 3, 16) or NULL */
    const float *h;         /* (n_hid,) */
    const float *qh;        /* h, or quantised */
    float *h_next;          /* (n_hid,) */
    float *gates;           /* (3, 16 * n_panels) */
    float *rh;              /* (16 * n_panels,) r * h of a reset before the product */
} sg_step;

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

/* *plain* stands for sigmoid gates, a tanh candidate and no clip, which then cost no look at what they are. */
SG_INLINE vf gate(const sg_gru *g, const int plain, vf sum)
{
    if (plain)
        return v_sigmoid(sum);
    return v_activate(&g->gate, g->clip > 0 ? clamp(sum, -g->clip, g->clip) : sum);
}

SG_INLINE vf candidate(const sg_gru *g, const int plain, vf sum)
{
    if (plain)
        return v_tanh(sum);
    return v_activate(&g->candidate, g->clip > 0 ? clamp(sum, -g->clip, g->clip) : sum);
}

/* (1 - z) * n + z * h, each operation rounded on its own, so that a trace recombines bit for bit */
SG_INLINE vf blend(vf z, vf n, vf h)
{
    const vf mixed = (v_set1(1.0f) - z) * n + z * h;
    return v_gt(v_set1(SG_FADED), v_abs(mixed), v_set1(0.0f), mixed);
}

/* sums of r and z (2, NV) := the gates. The candidate waits for r, so the gates of several panels or streams
 * are best opened before the first candidate. */
SG_INLINE void open_gates(const sg_gru *g, const int plain, vf *r_and_z)
{
    SG_UNROLL for (int v = 0; v < 2 * NV; v++)
        r_and_z[v] = gate(g, plain, r_and_z[v]);
}

SG_INLINE void keep_gates(const sg_gru *g, ptrdiff_t panel, const vf *r_and_z, float *gates)
{
    SG_UNROLL for (int v = 0; v < NV; v++) {
        v_store(gate_of(g, gates, 0, panel) + v * VW, r_and_z[v]);
        v_store(gate_of(g, gates, 1, panel) + v * VW, r_and_z[NV + v]);
    }
}

/* From the sum of n, with open gates: candidate and new state. */
SG_INLINE void finish(const sg_gru *g, const int plain, ptrdiff_t panel, const int v, vf n_sum, vf z, const float *h,
                      float *h_next, float *gates)
{
    const vf n = candidate(g, plain, n_sum);
    v_store(gate_of(g, gates, 2, panel) + v * VW, n);
    v_store(h_next + panel * SG_PANEL + v * VW, blend(z, n, v_load(h + panel * SG_PANEL + v * VW)));
}

/* sums (4, NV) of n, r, z, c, with open gates */
SG_INLINE void finish_after(const sg_gru *g, const int plain, ptrdiff_t panel, const vf *sums, const float *h,
                            float *h_next, float *gates)
{
    keep_gates(g, panel, sums + NV, gates);
    SG_UNROLL for (int v = 0; v < NV; v++)
        finish(g, plain, panel, v, v_fma(sums[NV + v], sums[3 * NV + v], sums[v]), sums[2 * NV + v], h, h_next, gates);
}

/* A reset before the product, with open gates: r * h; the sum of n waits where n will be. */
SG_INLINE void reset_state(const sg_gru *g, ptrdiff_t panel, const vf *sums, const float *h, float *rh, float *gates)
{
    keep_gates(g, panel, sums + NV, gates);
    SG_UNROLL for (int v = 0; v < NV; v++) {
        v_store(gate_of(g, gates, 2, panel) + v * VW, sums[v]);
        v_store(rh + panel * SG_PANEL + v * VW, sums[NV + v] * v_load(h + panel * SG_PANEL + v * VW));
    }
}

SG_INLINE void finish_before(const sg_gru *g, const int plain, ptrdiff_t panel, const vf *n_sum, const float *h,
                             float *h_next, float *gates)
{
    SG_UNROLL for (int v = 0; v < NV; v++)
        finish(g, plain, panel, v, n_sum[v], v_load(gate_of(g, gates, 1, panel) + v * VW), h, h_next, gates);
}

SG_INLINE int is_plain(const sg_gru *g)
{
    return g->gate.kind == SG_SIGMOID && g->candidate.kind == SG_TANH && !(g->clip > 0);
}

/* The gates of n streams. */
static void open_rows(const sg_gru *g, ptrdiff_t n, float *sums /* n of (4, 16) */)
{
    const int plain = is_plain(g);
    for (ptrdiff_t i = 0; i < n; i++) {
        float *r_and_z = sums + i * 4 * SG_PANEL + SG_PANEL;
        SG_UNROLL for (int v = 0; v < 2 * NV; v++) {
            const vf sum = v_load(r_and_z + v * VW);
            v_store(r_and_z + v * VW, plain ? gate(g, 1, sum) : gate(g, 0, sum));
        }
    }
}

static void finish_rows(const sg_gru *g, ptrdiff_t panel, ptrdiff_t n, const float *sums /* n of (4, 16) */,
                        const sg_gru_rows *rows)
{
    const int plain = is_plain(g);
    for (ptrdiff_t i = 0; i < n; i++) {
        vf sum[4 * NV];
        load_sums(4, sums + i * 4 * SG_PANEL, sum);
        if (g->before)
            reset_state(g, panel, sum, row(rows->h, i), row(rows->scratch, i), row(rows->gates, i));
        else if (plain)
            finish_after(g, 1, panel, sum, row(rows->h, i), row(rows->h_next, i), row(rows->gates, i));
        else
            finish_after(g, 0, panel, sum, row(rows->h, i), row(rows->h_next, i), row(rows->gates, i));
    }
}
