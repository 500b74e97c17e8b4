// Fused arithmetic of a training step on the CPU, single precision; the Python beside it says for what.
//
// Legend: K models, N nodes, E edges, L distinct bond lengths, D, F and A features. Arrays are dense,
// in the order of their letters. Model by model, so that one model's rows stay in the cache; inner
// loops run over features and are written for the compiler to vectorise.

#include <bit>
#include <cstdint>
#include <vector>

namespace {

// e^x for x <= 0, to 2e-7 + |x| 2e-8 of itself; NaN stays NaN. 2^f by the best polynomial of its
// degree (Lawson's iteration), in Estrin's order, as of `log1p_`: a chain as short as this keeps the
// processor's units busy.
inline float exp_(float x) {
    x = x < -87.0f ? -87.0f : x;
    // Numbers of this size have no fraction bits: n + 127 is what is left, the exponent of 2^n.
    constexpr float shifter = 12582912.0f + 127.0f;
    const float shifted = x * 1.44269504088896341f + shifter, n = shifted - shifter;
    const float f = x * 1.44269504088896341f - n, g = f * f;
    const float low = 6.9314720574e-1f * f + 1.0f, middle = 5.5503287770e-2f * f + 2.4022646891e-1f;
    const float high = 1.3399931218e-3f * f + 9.6184889578e-3f;
    const float p = ((1.5345811830e-4f * g + high) * g + middle) * g + low;
    return p * std::bit_cast<float>(std::bit_cast<std::uint32_t>(shifted) << 23);
}

// ln(1 + e) for e in [0, 1], to 2e-7 of itself.
inline float log1p_(float e) {
    const float e2 = e * e, e4 = e2 * e2;
    const float a = -4.9999493139e-1f * e + 9.9999996988e-1f;
    const float b = -2.4842982027e-1f * e + 3.3319096784e-1f;
    const float c = -1.3663244240e-1f * e + 1.9106006030e-1f;
    const float d = -2.9505227527e-2f * e + 7.8225933556e-2f;
    return e * ((5.2326914567e-3f * e4 + (d * e2 + c)) * e4 + (b * e2 + a));
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


// ---- small matrix products: a tile of rows goes through all layers while it is in the cache

#ifdef __AVX512F__
constexpr int64_t LANES = 16, BLOCK = 8;  // BLOCK x 2 vectors of sums are as many as registers hold
#else
constexpr int64_t LANES = 8, BLOCK = 4;
#endif
typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
constexpr int64_t T = 32;  // rows of a tile

inline Lanes* lanes(float* x) { return reinterpret_cast<Lanes*>(x); }
inline const Lanes* lanes(const float* x) { return reinterpret_cast<const Lanes*>(x); }

// to[r, f] += Σ_n from[r · row + n · step] · w[n, f], n < N, for BLOCK rows r of F features
template <int64_t N, int64_t F>
inline void add_block(const float* from, int64_t row, int64_t step, const float* w, float* to) {
    for (int64_t f = 0; f < F; f += 2 * LANES) {
        Lanes sum[BLOCK][2];
#pragma GCC unroll 8
        for (int64_t r = 0; r < BLOCK; ++r)
            sum[r][0] = *lanes(to + r * F + f), sum[r][1] = *lanes(to + r * F + f + LANES);
        for (int64_t n = 0; n < N; ++n) {
            const Lanes a = *lanes(w + n * F + f), b = *lanes(w + n * F + f + LANES);
#pragma GCC unroll 8
            for (int64_t r = 0; r < BLOCK; ++r) {
                const float x = from[r * row + n * step];
                sum[r][0] += x * a;
                sum[r][1] += x * b;
            }
        }
#pragma GCC unroll 8
        for (int64_t r = 0; r < BLOCK; ++r)
            *lanes(to + r * F + f) = sum[r][0], *lanes(to + r * F + f + LANES) = sum[r][1];
    }
}

// y [T, F] += x [T, D] · w [D, F]
template <int64_t D, int64_t F>
void add_product(const float* x, const float* w, float* y) {
    for (int64_t t = 0; t < T; t += BLOCK) add_block<D, F>(x + t * D, D, 1, w, y + t * F);
}

// w [D, F] += xᵀ [D, T] · y [T, F]
template <int64_t D, int64_t F>
void add_outer(const float* x, const float* y, float* w) {
    for (int64_t d = 0; d < D; d += BLOCK) add_block<T, F>(x + d, 1, D, y, w + d * F);
}

template <int64_t F>
void fill_rows(float* y, const float* row) {
    for (int64_t t = 0; t < T; ++t)
        for (int64_t f = 0; f < F; ++f) y[t * F + f] = row[f];
}

template <int64_t F>
void add_rows(const float* y, float* row) {
    for (int64_t t = 0; t < T; ++t)
        for (int64_t f = 0; f < F; ++f) row[f] += y[t * F + f];
}

template <int64_t F>
void activate(float* y, float shift) {
#pragma omp simd
    for (int64_t i = 0; i < T * F; ++i) y[i] = softplus(y[i]) - shift;
}

template <int64_t F>
void through_slope(const float* y, float* d, float shift) {
#pragma omp simd
    for (int64_t i = 0; i < T * F; ++i) d[i] *= softplus_slope(y[i] + shift);
}

template <int64_t D, int64_t F>
void transpose(const float* w, float* to) {
    for (int64_t d = 0; d < D; ++d)
        for (int64_t f = 0; f < F; ++f) to[f * D + d] = w[d * F + f];
}

// MEGNet's widths: features of a bond, and of the hidden layers.
constexpr int64_t W = 32, H = 64;

// Weights of the layers that a bond goes through, or their gradients. Where the kind of a bond says
// all, the first three layers are not there. That is a parameter of templates: a null pointer would
// not tell, as an empty tensor has one too.
template <typename Number>
struct BondLayers {
    Number *w1 = {}, *b1 = {}, *w2 = {}, *b2 = {}, *w3 = {}, *w4, *b4, *w5, *b5;

    template <bool BY_KIND>
    BondLayers of(int64_t k) const {
        BondLayers one{.w4 = w4 + k * H * H, .b4 = b4 + k * H, .w5 = w5 + k * H * W,
                       .b5 = b5 + k * W};
        if constexpr (!BY_KIND) {
            one.w1 = w1 + k * W * H, one.b1 = b1 + k * H;
            one.w2 = w2 + k * H * W, one.b2 = b2 + k * W;
            one.w3 = w3 + k * W * H;
        }
        return one;
    }
};

// Rows [·, W] into a tile, whose other rows become zeros, and back.
inline void load(float* to, const float* from, int64_t first, int64_t rows) {
    for (int64_t i = 0; i < T * W; ++i) to[i] = i < rows * W ? from[first * W + i] : 0.0f;
}

inline void store(const float* from, float* to, int64_t first, int64_t rows) {
    for (int64_t i = 0; i < rows * W; ++i) to[first * W + i] = from[i];
}

// The edges of one model, and one tile of them on its way through the layers.
template <bool BY_KIND>
struct BondTile {
    const BondLayers<const float>& layers;
    const float *own, *other, *bond;  // [N, H], [N, H], [M, W] or, by kind, [M, H]
    const int64_t *dst, *src, *kind;  // [E]
    float shift;
    alignas(64) float e[T * W], g1[T * H], g2[T * W], h1[T * H], h2[T * H];

    // The `rows` edges from `first` on; the tile's other rows are those of no edge.
    void pass(int64_t first, int64_t rows) {
        if constexpr (!BY_KIND) {
            load(e, bond, first, rows);
            fill_rows<H>(g1, layers.b1);
            add_product<W, H>(e, layers.w1, g1);
            activate<H>(g1, shift);
            fill_rows<W>(g2, layers.b2);
            add_product<H, W>(g1, layers.w2, g2);
            activate<W>(g2, shift);
        }
        for (int64_t t = 0; t < T; ++t) {
            float* __restrict to = h1 + t * H;
            if (t >= rows) {
                for (int64_t f = 0; f < H; ++f) to[f] = 0.0f;
                continue;
            }
            const float* __restrict p = own + dst[first + t] * H;
            const float* __restrict q = other + src[first + t] * H;
            for (int64_t f = 0; f < H; ++f) to[f] = p[f] + q[f];
            if constexpr (BY_KIND) add_row(to, bond + kind[first + t] * H, 1.0f, H);
        }
        if constexpr (!BY_KIND) add_product<W, H>(g2, layers.w3, h1);
        activate<H>(h1, shift);
        fill_rows<H>(h2, layers.b4);
        add_product<H, H>(h1, layers.w4, h2);
        activate<H>(h2, shift);
    }
};

// The two passes over bonds, for `bonds_…` below; M rows of `bond` a model.
template <bool BY_KIND>
void update_bonds(int64_t K, int64_t N, int64_t M, int64_t E, const float* own, const float* other,
                  const float* bond, const int64_t* dst, const int64_t* src, const int64_t* kind,
                  const BondLayers<const float>& all, float* y, float shift) {
    alignas(64) float out[T * W];
    for (int64_t k = 0; k < K; ++k) {
        const auto layers = all.template of<BY_KIND>(k);
        BondTile<BY_KIND> tile{layers, own + k * N * H, other + k * N * H,
                               bond + k * M * (BY_KIND ? H : W), dst, src, kind, shift};
        for (int64_t first = 0; first < E; first += T) {
            const int64_t rows = E - first < T ? E - first : T;
            tile.pass(first, rows);
            fill_rows<W>(out, layers.b5);
            add_product<H, W>(tile.h2, layers.w5, out);
            store(out, y + k * E * W, first, rows);
        }
    }
}

template <bool BY_KIND>
void update_bonds_back(int64_t K, int64_t N, int64_t M, int64_t E, const float* own,
                       const float* other, const float* bond, const int64_t* dst,
                       const int64_t* src, const int64_t* kind,
                       const BondLayers<const float>& all, const float* dy, float* down,
                       float* dother, float* dbond, const BondLayers<float>& all_grads,
                       float shift) {
    alignas(64) float back1[H * W], back2[W * H], back3[H * W], back4[H * H], back5[W * H];
    alignas(64) float d5[T * W], d4[T * H], d3[T * H], d2[T * W], d1[T * H], d0[T * W];
    const float zero[H] = {};
    for (int64_t k = 0; k < K; ++k) {
        const auto layers = all.template of<BY_KIND>(k);
        const auto grads = all_grads.template of<BY_KIND>(k);
        BondTile<BY_KIND> tile{layers, own + k * N * H, other + k * N * H,
                               bond + k * M * (BY_KIND ? H : W), dst, src, kind, shift};
        transpose<H, H>(layers.w4, back4);
        transpose<H, W>(layers.w5, back5);
        if constexpr (!BY_KIND) {
            transpose<W, H>(layers.w1, back1);
            transpose<H, W>(layers.w2, back2);
            transpose<W, H>(layers.w3, back3);
        }
        for (int64_t first = 0; first < E; first += T) {
            const int64_t rows = E - first < T ? E - first : T;
            tile.pass(first, rows);
            load(d5, dy + k * E * W, first, rows);
            add_outer<H, W>(tile.h2, d5, grads.w5);
            add_rows<W>(d5, grads.b5);
            fill_rows<H>(d4, zero);
            add_product<W, H>(d5, back5, d4);
            through_slope<H>(tile.h2, d4, shift);
            add_outer<H, H>(tile.h1, d4, grads.w4);
            add_rows<H>(d4, grads.b4);
            fill_rows<H>(d3, zero);
            add_product<H, H>(d4, back4, d3);
            through_slope<H>(tile.h1, d3, shift);
            for (int64_t t = 0; t < rows; ++t) {
                const float* d = d3 + t * H;
                add_row(down + (k * N + dst[first + t]) * H, d, 1.0f, H);
                add_row(dother + (k * N + src[first + t]) * H, d, 1.0f, H);
                if constexpr (BY_KIND) add_row(dbond + (k * M + kind[first + t]) * H, d, 1.0f, H);
            }
            if constexpr (!BY_KIND) {
                add_outer<W, H>(tile.g2, d3, grads.w3);
                fill_rows<W>(d2, zero);
                add_product<H, W>(d3, back3, d2);
                through_slope<W>(tile.g2, d2, shift);
                add_outer<H, W>(tile.g1, d2, grads.w2);
                add_rows<W>(d2, grads.b2);
                fill_rows<H>(d1, zero);
                add_product<W, H>(d2, back2, d1);
                through_slope<H>(tile.g1, d1, shift);
                add_outer<W, H>(tile.e, d1, grads.w1);
                add_rows<H>(d1, grads.b1);
                fill_rows<W>(d0, zero);
                add_product<H, W>(d1, back1, d0);
                store(d0, dbond + k * M * W, first, rows);
            }
        }
    }
}

template <typename Weight>
void scatter(int64_t K, int64_t N, int64_t E, int64_t F, const float* x, const int64_t* index,
             Weight weight, float* y) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e)
            add_row(y + (k * N + index[e]) * F, x + (k * E + e) * F, weight(e), F);
}

template <typename Weight>
void gather(int64_t K, int64_t N, int64_t E, int64_t F, const float* x, const int64_t* index,
            Weight weight, float* y) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict row = x + (k * N + index[e]) * F;
            float* __restrict to = y + (k * E + e) * F;
            const float w = weight(e);
#pragma omp simd
            for (int64_t f = 0; f < F; ++f) to[f] = w * row[f];
        }
}


// ---- spherical features in the frame of an edge: up to order L, (L + 1)² components of A channels,
// of which as many as a vector has are in registers at a time

constexpr int64_t components(int64_t l) { return (l + 1) * (l + 1); }

inline Lanes load(const float* from, int64_t count) {
    if (count >= LANES) return *lanes(from);
    Lanes x{};
    for (int64_t i = 0; i < count; ++i) x[i] = from[i];
    return x;
}

inline void store(float* to, Lanes x, int64_t count) {
    if (count >= LANES)
        *lanes(to) = x;
    else
        for (int64_t i = 0; i < count; ++i) to[i] = x[i];
}

// y = D x, or Dᵀ x, for the order L; d is row by row.
template <int64_t L, bool BACK>
inline void turn_order(const float* d, const Lanes* x, Lanes* y) {
    constexpr int64_t M = 2 * L + 1;
#pragma GCC unroll 7
    for (int64_t i = 0; i < M; ++i) {
        Lanes sum = x[L * L] * (BACK ? d[i] : d[i * M]);
#pragma GCC unroll 7
        for (int64_t j = 1; j < M; ++j) sum += x[L * L + j] * (BACK ? d[j * M + i] : d[i * M + j]);
        y[L * L + i] = sum;
    }
}

template <int64_t L, bool BACK>
inline void turn(const float* d, const Lanes* x, Lanes* y) {
    y[0] = x[0];
    if constexpr (L >= 1) turn_order<1, BACK>(d, x, y);
    if constexpr (L >= 2) turn_order<2, BACK>(d + 9, x, y);
    if constexpr (L >= 3) turn_order<3, BACK>(d + 34, x, y);
}

// Calls f(place, component of the source, of the result, again) for each product; the place is that
// of the coupling, which m and then, again, -m share.
template <int64_t LI, int64_t LO, typename F>
inline void couplings(F f) {
    int64_t place = 0;
#pragma GCC unroll 4
    for (int64_t m = 0; m <= (LI < LO ? LI : LO); ++m)
#pragma GCC unroll 4
        for (int64_t a = m; a <= LI; ++a)
#pragma GCC unroll 4
            for (int64_t b = m; b <= LO; ++b, ++place) {
                f(place, a * a + a + m, b * b + b + m, false);
                if (m) f(place, a * a + a - m, b * b + b - m, true);
            }
}

template <int64_t LI, int64_t LO>
void framed(int64_t K, int64_t N, int64_t E, int64_t A, int64_t P, int64_t W, const float* x,
            const float* gain, const int64_t* dst, const int64_t* src, const float* weight,
            const float* into, const float* out, float* y) {
    constexpr int64_t I = components(LI), O = components(LO);
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e)
            for (int64_t f = 0; f < A; f += LANES) {
                const int64_t left = A - f;
                const float* row = x + (k * I * N + src[e]) * A + f;
                const float* by = gain + (k * E + e) * P * A + f;
                float* to = y + (k * O * N + dst[e]) * A + f;
                Lanes given[I], seen[I], made[O] = {}, sent[O];
#pragma GCC unroll 16
                for (int64_t i = 0; i < I; ++i) given[i] = load(row + i * N * A, left);
                turn<LI, false>(into + e * W, given, seen);
                couplings<LI, LO>([&](int64_t p, int64_t a, int64_t b, bool) {
                    made[b] += load(by + p * A, left) * seen[a];
                });
                turn<LO, false>(out + e * W, made, sent);
#pragma GCC unroll 16
                for (int64_t o = 0; o < O; ++o)
                    store(to + o * N * A, load(to + o * N * A, left) + weight[e] * sent[o], left);
            }
}

template <int64_t LI, int64_t LO>
void framed_back(int64_t K, int64_t N, int64_t E, int64_t A, int64_t P, int64_t W, const float* x,
                 const float* gain, const int64_t* dst, const int64_t* src, const float* weight,
                 const float* into, const float* out, const float* dy, float* dx, float* dgain) {
    constexpr int64_t I = components(LI), O = components(LO);
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e)
            for (int64_t f = 0; f < A; f += LANES) {
                const int64_t left = A - f, from = (k * I * N + src[e]) * A + f;
                const int64_t of = (k * E + e) * P * A + f;
                const float* up = dy + (k * O * N + dst[e]) * A + f;
                Lanes given[I], seen[I], dseen[I] = {}, dgiven[I], dsent[O], dmade[O];
#pragma GCC unroll 16
                for (int64_t o = 0; o < O; ++o) dsent[o] = weight[e] * load(up + o * N * A, left);
                turn<LO, true>(out + e * W, dsent, dmade);
#pragma GCC unroll 16
                for (int64_t i = 0; i < I; ++i) given[i] = load(x + from + i * N * A, left);
                turn<LI, false>(into + e * W, given, seen);
                Lanes slope{};
                couplings<LI, LO>([&](int64_t p, int64_t a, int64_t b, bool again) {
                    dseen[a] += load(gain + of + p * A, left) * dmade[b];
                    slope = again ? slope + seen[a] * dmade[b] : seen[a] * dmade[b];
                    store(dgain + of + p * A, slope, left);
                });
                turn<LI, true>(into + e * W, dseen, dgiven);
#pragma GCC unroll 16
                for (int64_t i = 0; i < I; ++i) {
                    float* to = dx + from + i * N * A;
                    store(to, load(to, left) + dgiven[i], left);
                }
            }
}

// Calls f<LI, LO>() for numbers of components; nothing for others.
template <typename F>
void of_orders(int64_t I, int64_t O, F f) {
    const auto of_result = [&]<int64_t LI>() {
        if (O == 1) f.template operator()<LI, 0>();
        if (O == 4) f.template operator()<LI, 1>();
        if (O == 9) f.template operator()<LI, 2>();
        if (O == 16) f.template operator()<LI, 3>();
    };
    if (I == 1) of_result.template operator()<0>();
    if (I == 4) of_result.template operator()<1>();
    if (I == 9) of_result.template operator()<2>();
    if (I == 16) of_result.template operator()<3>();
}

}  // namespace

extern "C" {

// Whether one of the E numbers is none of 0 … below − 1.
int any_outside(int64_t E, int64_t below, const int64_t* index) {
    bool found = false;
    for (int64_t e = 0; e < E; ++e)
        found |= static_cast<std::uint64_t>(index[e]) >= static_cast<std::uint64_t>(below);
    return found;
}

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
                  float* y) {
    scatter(K, N, E, F, x, index, [](int64_t) { return 1.0f; }, y);
}

void scatter_weighted_rows(int64_t K, int64_t N, int64_t E, int64_t F, const float* x,
                           const int64_t* index, const float* weight, float* y) {
    scatter(K, N, E, F, x, index, [weight](int64_t e) { return weight[e]; }, y);
}

// y[k, e] = weight[e] · x[k, index[e]]
void gather_rows(int64_t K, int64_t N, int64_t E, int64_t F, const float* x, const int64_t* index,
                 float* y) {
    gather(K, N, E, F, x, index, [](int64_t) { return 1.0f; }, y);
}

void gather_weighted_rows(int64_t K, int64_t N, int64_t E, int64_t F, const float* x,
                          const int64_t* index, const float* weight, float* y) {
    gather(K, N, E, F, x, index, [weight](int64_t e) { return weight[e]; }, y);
}

// y[k, dst] += weight · filter[k, kind] ∘ x[k, src] over the edges; y [K, N, A] starts as zeros.
void filtered_forward(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* x,
                      const float* filter, const int64_t* dst, const int64_t* src,
                      const int64_t* kind, const float* weight, float* y) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const float* __restrict row = x + (k * N + src[e]) * A;
            const float* __restrict by = filter + (k * L + kind[e]) * A;
            float* __restrict to = y + (k * N + dst[e]) * A;
            const float w = weight[e];
#pragma omp simd
            for (int64_t f = 0; f < A; ++f) to[f] += w * by[f] * row[f];
        }
}

// Both gradients start as zeros.
void filtered_backward(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* x,
                       const float* filter, const int64_t* dst, const int64_t* src,
                       const int64_t* kind, const float* weight, const float* dy, float* dx,
                       float* dfilter) {
    for (int64_t k = 0; k < K; ++k)
        for (int64_t e = 0; e < E; ++e) {
            const int64_t from = (k * N + src[e]) * A, of = (k * L + kind[e]) * A;
            const float* __restrict up = dy + (k * N + dst[e]) * A;
            const float* __restrict row = x + from;
            const float* __restrict by = filter + of;
            float* __restrict to_row = dx + from;
            float* __restrict to_filter = dfilter + of;
            const float w = weight[e];
#pragma omp simd
            for (int64_t f = 0; f < A; ++f) {
                const float d = w * up[f];
                to_row[f] += d * by[f];
                to_filter[f] += d * row[f];
            }
        }
}

// y[k, :, i] [O, A] = Σ_e weight[e] · out[e] C(gain[e], into[e] x[:, src]) over the edges of dst i; y
// starts as zeros. I and O are the squares of 1 … 4, P is what follows from them.
void framed_forward(int64_t K, int64_t N, int64_t E, int64_t A, int64_t I, int64_t O, int64_t P,
                    int64_t W, const float* x, const float* gain, const int64_t* dst,
                    const int64_t* src, const float* weight, const float* into, const float* out,
                    float* y) {
    of_orders(I, O, [&]<int64_t LI, int64_t LO>() {
        framed<LI, LO>(K, N, E, A, P, W, x, gain, dst, src, weight, into, out, y);
    });
}

// dx starts as zeros.
void framed_backward(int64_t K, int64_t N, int64_t E, int64_t A, int64_t I, int64_t O, int64_t P,
                     int64_t W, const float* x, const float* gain, const int64_t* dst,
                     const int64_t* src, const float* weight, const float* into, const float* out,
                     const float* dy, float* dx, float* dgain) {
    of_orders(I, O, [&]<int64_t LI, int64_t LO>() {
        framed_back<LI, LO>(K, N, E, A, P, W, x, gain, dst, src, weight, into, out, dy, dx, dgain);
    });
}

// y[k, e] [W] = softplus(softplus(own[dst] + other[src] + c) w4 + b4) w5 + b5, every softplus less
// `shift`, with c = softplus(softplus(bond[e] w1 + b1) w2 + b2) w3.
void bonds_forward(int64_t K, int64_t N, int64_t E, const float* own, const float* other,
                   const float* bond, const int64_t* dst, const int64_t* src, const float* w1,
                   const float* b1, const float* w2, const float* b2, const float* w3,
                   const float* w4, const float* b4, const float* w5, const float* b5, float* y,
                   float shift) {
    update_bonds<false>(K, N, E, E, own, other, bond, dst, src, nullptr,
                        {w1, b1, w2, b2, w3, w4, b4, w5, b5}, y, shift);
}

// All gradients start as zeros.
void bonds_backward(int64_t K, int64_t N, int64_t E, const float* own, const float* other,
                    const float* bond, const int64_t* dst, const int64_t* src, const float* w1,
                    const float* b1, const float* w2, const float* b2, const float* w3,
                    const float* w4, const float* b4, const float* w5, const float* b5,
                    const float* dy, float* down, float* dother, float* dbond, float* dw1,
                    float* db1, float* dw2, float* db2, float* dw3, float* dw4, float* db4,
                    float* dw5, float* db5, float shift) {
    update_bonds_back<false>(K, N, E, E, own, other, bond, dst, src, nullptr,
                             {w1, b1, w2, b2, w3, w4, b4, w5, b5}, dy, down, dother, dbond,
                             {dw1, db1, dw2, db2, dw3, dw4, db4, dw5, db5}, shift);
}

// As `bonds_forward`, with c = bond[kind], of which there are L a model.
void bonds_by_kind_forward(int64_t K, int64_t N, int64_t L, int64_t E, const float* own,
                           const float* other, const float* bond, const int64_t* dst,
                           const int64_t* src, const int64_t* kind, const float* w4,
                           const float* b4, const float* w5, const float* b5, float* y,
                           float shift) {
    update_bonds<true>(K, N, L, E, own, other, bond, dst, src, kind,
                       {.w4 = w4, .b4 = b4, .w5 = w5, .b5 = b5}, y, shift);
}

// All gradients start as zeros.
void bonds_by_kind_backward(int64_t K, int64_t N, int64_t L, int64_t E, const float* own,
                            const float* other, const float* bond, const int64_t* dst,
                            const int64_t* src, const int64_t* kind, const float* w4,
                            const float* b4, const float* w5, const float* b5, const float* dy,
                            float* down, float* dother, float* dbond, float* dw4, float* db4,
                            float* dw5, float* db5, float shift) {
    update_bonds_back<true>(K, N, L, E, own, other, bond, dst, src, kind,
                            {.w4 = w4, .b4 = b4, .w5 = w5, .b5 = b5}, dy, down, dother, dbond,
                            {.w4 = dw4, .b4 = db4, .w5 = dw5, .b5 = db5}, shift);
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
                      const int64_t* src, const int64_t* kind, const float* weight, float* mean,
                      float* var, float total) {
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
// + bias. dgain and dbias [K, 2A] and the three gradients of z's parts start as zeros; slopes [E, 2A]
// is room to work in.
void gated_backward(int64_t K, int64_t N, int64_t L, int64_t E, int64_t A, const float* own,
                    const float* other, const float* length, const int64_t* dst,
                    const int64_t* src, const int64_t* kind, const float* count,
                    const float* weight, const float* mean, const float* rstd, const float* gain,
                    const float* bias, const float* dy, float* slopes, float* down, float* dother,
                    float* dlength, float* dgain, float* dbias, float total) {
    const int64_t W = 2 * A;
    std::vector<float> row(W);
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
            float* __restrict d = slopes + e * W;
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
            const float* __restrict d = slopes + e * W;
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
