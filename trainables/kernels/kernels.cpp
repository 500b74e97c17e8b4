// Fused arithmetic of a training step on the CPU, single precision; `ops.py` says what each is for.
//
// Legend: K models, N nodes, E edges, L distinct bond lengths, F and A features. Arrays are dense,
// in the order of their letters. Model by model, so that one model's rows stay in the cache; inner
// loops run over features and are written for the compiler to vectorise.

#include <bit>
#include <cstdint>
#include <vector>

namespace {

// e^x to 2e-7 (coefficients of Cephes' expf, Moshier 1989); NaN stays NaN.
inline float exp_(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float n = __builtin_rintf(x * 1.44269504088896341f);
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

// ln(1 + e) for e in [0, 1] (coefficients of Cephes' logf); a division would cost more than all of it.
inline float log1p_(float e) {
    const bool large = e > 0.41421356f;
    const float x = large ? 0.5f * (e - 1.0f) : e, z = x * x;
    float p = 7.0376836292e-2f;
    p = p * x - 1.1514610310e-1f;
    p = p * x + 1.1676998740e-1f;
    p = p * x - 1.2420140846e-1f;
    p = p * x + 1.4249322787e-1f;
    p = p * x - 1.6668057665e-1f;
    p = p * x + 2.0000714765e-1f;
    p = p * x - 2.4999993993e-1f;
    p = p * x + 3.3333331174e-1f;
    return x + (p * x * z - 0.5f * z) + (large ? 0.693147180559945f : 0.0f);
}

inline float positive(float x) { return x > 0.0f ? x : 0.0f; }

inline float softplus(float x) { return positive(x) + log1p_(exp_(-__builtin_fabsf(x))); }

// Of the softplus whose value is y: σ(x) = 1 − e^−y.
inline float softplus_slope(float y) { return 1.0f - exp_(-y); }

inline float sigmoid(float x) {
    const float e = exp_(-__builtin_fabsf(x)), r = 1.0f / (1.0f + e);
    return x > 0.0f ? r : e * r;
}

inline void add_row(float* __restrict to, const float* __restrict row, float weight, int64_t F) {
#pragma omp simd
    for (int64_t f = 0; f < F; ++f) to[f] += weight * row[f];
}

inline float dot(const float* __restrict a, const float* __restrict b, int64_t F) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t f = 0; f < F; ++f) sum += a[f] * b[f];
    return sum;
}

// One model's gated convolution: the pre-activations of its edges, never stored.
struct Edges {
    int64_t E, A;
    const float *own, *other, *length;  // [N, 2A], [N, 2A], [L, 2A]
    const int64_t *dst, *src, *kind;    // [E]

    void sum(int64_t e, float* __restrict z) const {
        const float* __restrict a = own + dst[e] * 2 * A;
        const float* __restrict b = other + src[e] * 2 * A;
        const float* __restrict c = length + kind[e] * 2 * A;
#pragma omp simd
        for (int64_t f = 0; f < 2 * A; ++f) z[f] = a[f] + b[f] + c[f];
    }

    // Weighted mean and variance of each channel; partial sums a dst keep the rounding small.
    void statistics(const float* weight, float total, float* mean, float* var) const {
        std::vector<float> z(2 * A), part(2 * A);
        for (int pass = 0; pass < 2; ++pass) {
            float* result = pass ? var : mean;
            for (int64_t f = 0; f < 2 * A; ++f) result[f] = part[f] = 0.0f;
            for (int64_t e = 0; e < E; ++e) {
                sum(e, z.data());
                const float w = weight[e];
                float* __restrict p = part.data();
                const float* __restrict x = z.data();
                if (pass) {
#pragma omp simd
                    for (int64_t f = 0; f < 2 * A; ++f) {
                        const float d = x[f] - mean[f];
                        p[f] += w * d * d;
                    }
                } else {
                    add_row(p, x, w, 2 * A);
                }
                if (e + 1 == E || dst[e + 1] != dst[e]) {
                    add_row(result, p, 1.0f / total, 2 * A);
                    for (int64_t f = 0; f < 2 * A; ++f) p[f] = 0.0f;
                }
            }
        }
    }
};

}  // namespace

extern "C" {

// y = softplus(x + bias) − shift, x and y [K, N, F], bias [K, F]
void softplus_forward(int64_t K, int64_t N, int64_t F, const float* x, const float* bias, float* y,
                      float shift) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t n = 0; n < N; ++n) {
            const float* __restrict b = bias + k * F;
            const float* __restrict row = x + (k * N + n) * F;
            float* __restrict to = y + (k * N + n) * F;
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) to[f] = softplus(row[f] + b[f]) - shift;
        }
}

// dbias starts as zeros.
void softplus_backward(int64_t K, int64_t N, int64_t F, const float* y, const float* dy, float* dx,
                       float* dbias, float shift) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t n = 0; n < N; ++n) {
            const float* __restrict value = y + (k * N + n) * F;
            const float* __restrict up = dy + (k * N + n) * F;
            float* __restrict to = dx + (k * N + n) * F;
            float* __restrict sum = dbias + k * F;
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) {
                to[f] = up[f] * softplus_slope(value[f] + shift);
                sum[f] += to[f];
            }
        }
}

// y[k, index[e]] += weight[e] · x[k, e]; y [K, N, F] starts as zeros.
void scatter_rows(int64_t K, int64_t N, int64_t E, int64_t F, const float* x, const int64_t* index,
                  const float* weight, float* y) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e)
            add_row(y + (k * N + index[e]) * F, x + (k * E + e) * F, weight ? weight[e] : 1.0f, F);
}

// y[k, e] = weight[e] · x[k, index[e]]
void gather_rows(int64_t K, int64_t N, int64_t E, int64_t F, const float* x, const int64_t* index,
                 const float* weight, float* y) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict row = x + (k * N + index[e]) * F;
            float* __restrict to = y + (k * E + e) * F;
            const float w = weight ? weight[e] : 1.0f;
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) to[f] = w * row[f];
        }
}

// y[k, e] = softplus(a[k, dst[e]] + b[k, src[e]] + c[k, kind[e]]) − shift; c is [K, M, F].
void edge_forward(int64_t K, int64_t N, int64_t M, int64_t E, int64_t F, const float* a,
                  const float* b, const float* c, const int64_t* dst, const int64_t* src,
                  const int64_t* kind, float* y, float shift) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict p = a + (k * N + dst[e]) * F;
            const float* __restrict q = b + (k * N + src[e]) * F;
            const float* __restrict r = c + (k * M + (kind ? kind[e] : e)) * F;
            float* __restrict to = y + (k * E + e) * F;
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) to[f] = softplus(p[f] + q[f] + r[f]) - shift;
        }
}

// da and db [K, N, F] start as zeros, and dc [K, M, F] too where `kind` is given.
void edge_backward(int64_t K, int64_t N, int64_t M, int64_t E, int64_t F, const float* y,
                   const float* dy, const int64_t* dst, const int64_t* src, const int64_t* kind,
                   float* da, float* db, float* dc, float shift) {
    std::vector<float> row(F);
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict value = y + (k * E + e) * F;
            const float* __restrict up = dy + (k * E + e) * F;
            float* __restrict d = row.data();
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) d[f] = up[f] * softplus_slope(value[f] + shift);
            add_row(da + (k * N + dst[e]) * F, d, 1.0f, F);
            add_row(db + (k * N + src[e]) * F, d, 1.0f, F);
            float* __restrict to = dc + (k * M + (kind ? kind[e] : e)) * F;
            if (kind)
                add_row(to, d, 1.0f, F);
            else
                for (int64_t f = 0; f < F; ++f) to[f] = d[f];
        }
}

// y[k, b] = Σ_e share[k, e] · x[k, e] over the rows e of crystal b, share = softmax over them of
// x·query + ln weight; y [K, B, F] starts as zeros. Legend: B crystals.
void attention_forward(int64_t K, int64_t B, int64_t E, int64_t F, const float* x,
                       const float* query, const float* weight, const int64_t* crystal,
                       float* share, float* y) {
    std::vector<float> top(B), total(B);
    for (int64_t k = 0; k < K; ++k) {
        const float* rows = x + k * E * F;
        float* s = share + k * E;
        for (int64_t b = 0; b < B; ++b) top[b] = -__builtin_huge_valf(), total[b] = 0.0f;
        for (int64_t e = 0; e < E; ++e) {
            const int64_t b = crystal[e];
            s[e] = dot(rows + e * F, query + (k * B + b) * F, F);
            top[b] = s[e] > top[b] ? s[e] : top[b];
        }
        for (int64_t e = 0; e < E; ++e) {
            s[e] = weight[e] * exp_(s[e] - top[crystal[e]]);
            total[crystal[e]] += s[e];
        }
        for (int64_t e = 0; e < E; ++e) {
            s[e] /= total[crystal[e]];
            add_row(y + (k * B + crystal[e]) * F, rows + e * F, s[e], F);
        }
    }
}

// dquery [K, B, F] starts as zeros.
void attention_backward(int64_t K, int64_t B, int64_t E, int64_t F, const float* x,
                        const float* query, const float* share, const int64_t* crystal,
                        const float* y, const float* dy, float* dx, float* dquery) {
    std::vector<float> mean(B);
    for (int64_t k = 0; k < K; ++k) {
        for (int64_t b = 0; b < B; ++b)
            mean[b] = dot(y + (k * B + b) * F, dy + (k * B + b) * F, F);
        for (int64_t e = 0; e < E; ++e) {
            const int64_t b = k * B + crystal[e], row = (k * E + e) * F;
            const float s = share[k * E + e];
            const float energy = s * (dot(x + row, dy + b * F, F) - mean[crystal[e]]);
            const float* __restrict up = dy + b * F;
            const float* __restrict q = query + b * F;
            float* __restrict to = dx + row;
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) to[f] = s * up[f] + energy * q[f];
            add_row(dquery + b * F, x + row, energy, F);
        }
    }
}

// mean and var [K, 2A] of own[dst] + other[src] + length[kind], edges weighted by weight [E].
void gated_statistics(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* own,
                      const float* other, const float* length, const int64_t* dst,
                      const int64_t* src, const int64_t* kind, const float* weight, float total,
                      float* mean, float* var) {
    for (int64_t k = 0; k < K; ++k) {
        const Edges edges{E,   A,   own + k * N * 2 * A, other + k * N * 2 * A,
                          length + k * L * 2 * A, dst, src, kind};
        edges.statistics(weight, total, mean + k * 2 * A, var + k * 2 * A);
    }
}

// y[k, i] = Σ_e count[e] σ(gate_e) softplus(core_e) over the edges of dst i; y starts as zeros.
// [gate, core] = z · scale + offset, z the sum above; scale and offset [K, 2A].
void gated_forward(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* own,
                   const float* other, const float* length, const int64_t* dst, const int64_t* src,
                   const int64_t* kind, const float* count, const float* scale,
                   const float* offset, float* y) {
    std::vector<float> row(2 * A);
    for (int64_t k = 0; k < K; ++k) {
        const Edges edges{E,   A,   own + k * N * 2 * A, other + k * N * 2 * A,
                          length + k * L * 2 * A, dst, src, kind};
        const float* __restrict m = scale + k * 2 * A;
        const float* __restrict o = offset + k * 2 * A;
        for (int64_t e = 0; e < E; ++e) {
            float* __restrict z = row.data();
            edges.sum(e, z);
            float* __restrict to = y + (k * N + dst[e]) * A;
            const float n = count[e];
#pragma omp simd
            for (int64_t f = 0; f < A; ++f)
                to[f] += n * sigmoid(z[f] * m[f] + o[f]) *
                         softplus(z[f + A] * m[f + A] + o[f + A]);
        }
    }
}

// Gradients through message, batch norm and sum. hat = (z − mean) · rstd; [gate, core] = hat · gain
// + bias. dgain and dbias [K, 2A] and the three gradients of z's parts start as zeros.
void gated_backward(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* own,
                    const float* other, const float* length, const int64_t* dst,
                    const int64_t* src, const int64_t* kind, const float* count,
                    const float* weight, float total, const float* mean, const float* rstd,
                    const float* gain, const float* bias, const float* dy, float* down,
                    float* dother, float* dlength, float* dgain, float* dbias) {
    const int64_t W = 2 * A;
    std::vector<float> slopes(E * W), row(W);
    for (int64_t k = 0; k < K; ++k) {
        const Edges edges{E, A, own + k * N * W, other + k * N * W, length + k * L * W, dst, src,
                          kind};
        const float* __restrict mu = mean + k * W;
        const float* __restrict rs = rstd + k * W;
        const float* __restrict g = gain + k * W;
        const float* __restrict b = bias + k * W;
        float* __restrict dg = dgain + k * W;
        float* __restrict db = dbias + k * W;
        float* __restrict hat = row.data();
        for (int64_t e = 0; e < E; ++e) {
            float* __restrict d = slopes.data() + e * W;
            const float* __restrict up = dy + (k * N + dst[e]) * A;
            const float n = count[e];
            edges.sum(e, hat);
#pragma omp simd
            for (int64_t f = 0; f < W; ++f) hat[f] = (hat[f] - mu[f]) * rs[f];
#pragma omp simd
            for (int64_t f = 0; f < A; ++f) {
                const float gate = hat[f] * g[f] + b[f], core = hat[f + A] * g[f + A] + b[f + A];
                const float p = exp_(-__builtin_fabsf(gate)), q = exp_(-__builtin_fabsf(core));
                const float both = 1.0f / ((1.0f + p) * (1.0f + q));  // one division for two
                const float low = both * (1.0f + q), slope = both * (1.0f + p);
                const float open = gate > 0.0f ? low : p * low, shut = gate > 0.0f ? p * low : low;
                const float flow = n * up[f] * open;
                d[f] = flow * shut * (positive(core) + log1p_(q));
                d[f + A] = flow * (core > 0.0f ? slope : q * slope);
            }
#pragma omp simd
            for (int64_t f = 0; f < W; ++f) {
                db[f] += d[f];
                dg[f] += d[f] * hat[f];
            }
        }
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict d = slopes.data() + e * W;
            float* __restrict to = down + (k * N + dst[e]) * W;
            float* __restrict from = dother + (k * N + src[e]) * W;
            float* __restrict of = dlength + (k * L + kind[e]) * W;
            const float share = weight[e] / total;
            edges.sum(e, hat);
#pragma omp simd
            for (int64_t f = 0; f < W; ++f) {
                const float back = db[f] + (hat[f] - mu[f]) * rs[f] * dg[f];
                const float dz = g[f] * rs[f] * (d[f] - share * back);
                to[f] += dz;
                from[f] += dz;
                of[f] += dz;
            }
        }
    }
}

}  // extern "C"
