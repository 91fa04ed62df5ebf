// What attention's kernels share: tiles in shared memory, and products of them on tensor cores in three precisions.
//
// A warp computes M times 16 rows of a product, 8 columns at a time. Of such a tile a lane holds c[0], c[1]: row g,
// columns 2t and 2t + 1, and c[2], c[3]: row g + 8, the same columns, where g = lane / 4 and t = lane % 4. As left
// operand of the next product the tensor core wants these very numbers in these lanes, so that weights go from one
// product to the next without leaving their warp (Dao 2023).
#include "warp.cuh"

constexpr float LOG2E = 1.44269504f, LN2 = 0.69314718f;  // e^x = 2^(x LOG2E), and 2^x is one instruction

// Distances, in elements, from one matrix or row to the next; 0 for what is broadcast.
struct Steps { long long batch, head, row; };

struct Problem {  // as in attention.py
    Steps q, k, v, y, dy, dq, dk, dv, mask;
    long long mask_column;
    float scale;
    int heads, queries, keys, depth, width;  // depth: columns of q and k; width: of v and y
    int causal, masked;                      // masked: 0 no mask, 1 bytes (0: hidden), 2 floats that are added
};

// float16 and bfloat16: products are exact, sums are float32.
template <class T> struct Sixteen {
    using Element = T;
    static constexpr int K = 16;  // columns of the left operand, rows of the right one, that an instruction takes
    struct Left { unsigned at[4]; };
    struct Right { unsigned at[2]; };

    static __device__ __forceinline__ Left left(unsigned a, unsigned b, unsigned c, unsigned d) {
        return {{a, b, c, d}};
    }
    static __device__ __forceinline__ Right right(unsigned a, unsigned b) { return {{a, b}}; }
    static __device__ __forceinline__ void multiply(float (&c)[4], const Left& a, const Right& b) {
        mma<T>(c, a.at, b.at[0], b.at[1]);
    }
};

// float32 of which products take the first 11 bits, for those who allow TF32.
struct Tf32 {
    using Element = float;
    static constexpr int K = 8;
    struct Left { unsigned at[4]; };
    struct Right { unsigned at[2]; };

    static __device__ __forceinline__ unsigned round(unsigned x) { return tf32_bits(__uint_as_float(x)); }
    static __device__ __forceinline__ Left left(unsigned a, unsigned b, unsigned c, unsigned d) {
        return {{round(a), round(b), round(c), round(d)}};
    }
    static __device__ __forceinline__ Right right(unsigned a, unsigned b) { return {{round(a), round(b)}}; }
    static __device__ __forceinline__ void multiply(float (&c)[4], const Left& a, const Right& b) {
        mma<float>(c, a.at, b.at[0], b.at[1]);
    }
};

// float32 in full: each number is the sum of two TF32 numbers, ab = big big + big small + small big, and what is left
// out is 2^-22 of it. Three products on tensor cores take less time than one without. Tensor cores cut their sums off,
// so each begins at zero and is added by an ordinary, rounding, addition (Ootomo and Yokota 2022). inf gives NaN.
struct Float32 {
    using Element = float;
    static constexpr int K = 8;
    struct Left { unsigned big[4], small[4]; };
    struct Right { unsigned big[2], small[2]; };

    static __device__ __forceinline__ void split(unsigned x, unsigned& big, unsigned& small) {
        big = Tf32::round(x);
        small = Tf32::round(__float_as_uint(__uint_as_float(x) - __uint_as_float(big)));
    }
    static __device__ __forceinline__ Left left(unsigned a, unsigned b, unsigned c, unsigned d) {
        Left x;
        split(a, x.big[0], x.small[0]), split(b, x.big[1], x.small[1]);
        split(c, x.big[2], x.small[2]), split(d, x.big[3], x.small[3]);
        return x;
    }
    static __device__ __forceinline__ Right right(unsigned a, unsigned b) {
        Right x;
        split(a, x.big[0], x.small[0]), split(b, x.big[1], x.small[1]);
        return x;
    }
    static __device__ __forceinline__ void multiply(float (&c)[4], const Left& a, const Right& b) {
        float sum[4] = {0, 0, 0, 0};
        mma<float>(sum, a.big, b.small[0], b.small[1]);
        mma<float>(sum, a.small, b.big[0], b.big[1]);
        mma<float>(sum, a.big, b.big[0], b.big[1]);
#pragma unroll
        for (int i = 0; i < 4; i++) c[i] += sum[i];
    }
};

// Tiles of D columns. Rows lie 16 bytes further apart than they are long, so that eight of them begin in different
// banks; COLUMNS is how many keys (or queries) meet a block's rows at a time, as many as registers can hold.
template <class P, int D> struct Tile {
    using E = typename P::Element;
    static constexpr int CHUNK = 16 / sizeof(E), PITCH = D + CHUNK;
    static constexpr int COLUMNS = (D > 64 ? 64 : 128) / sizeof(E), PARTS = COLUMNS / 8, SIZE = COLUMNS * PITCH;
};

// `count` rows of a matrix from row `first` on, on their way into shared memory; zeros for those beyond its edges.
template <class P, int D>
__device__ __forceinline__ void fetch(typename P::Element* to, const typename P::Element* from, long long step,
                                      int count, int first, int rows, int columns) {
    constexpr int CHUNK = Tile<P, D>::CHUNK, CHUNKS = D / CHUNK;
    for (int i = threadIdx.x; i < count * CHUNKS; i += blockDim.x) {
        int row = i / CHUNKS, column = i % CHUNKS * CHUNK;
        bool there = first + row < rows && column < columns;
        cp_async<16>(to + row * Tile<P, D>::PITCH + column, there ? from + (first + row) * step + column : from, there);
    }
}

// c += a bᵀ, each row of tile a times each row of tile b.
template <class P, int D, int M, int N>
__device__ __forceinline__ void rows_by_rows(float (&c)[M][N][4], const typename P::Element* a,
                                             const typename P::Element* b) {
    constexpr int PITCH = Tile<P, D>::PITCH, CHUNK = Tile<P, D>::CHUNK;
    int lane = threadIdx.x % 32;
    a += lane % 16 * PITCH + lane / 16 * CHUNK;
    b += (lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * CHUNK;
#pragma unroll (P::K / 4)
    for (int k = 0; k < D / P::K; k++) {
        typename P::Left left[M];
#pragma unroll
        for (int m = 0; m < M; m++) {
            unsigned r[4];
            ldmatrix<4>(r, a + 16 * m * PITCH + k * P::K);
            left[m] = P::left(r[0], r[1], r[2], r[3]);
        }
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            unsigned r[4];
            ldmatrix<4>(r, b + 8 * n * PITCH + k * P::K);
            typename P::Right first = P::right(r[0], r[1]), second = P::right(r[2], r[3]);
#pragma unroll
            for (int m = 0; m < M; m++) P::multiply(c[m][n], left[m], first), P::multiply(c[m][n + 1], left[m], second);
        }
    }
}

template <class T> __device__ __forceinline__ unsigned pair_of(float first, float second);
template <> __device__ __forceinline__ unsigned pair_of<half>(float first, float second) {
    return half_pair(first, second);
}
template <> __device__ __forceinline__ unsigned pair_of<bfloat16>(float first, float second) {
    return bfloat16_pair(first, second);
}

// Step k of weights as they came out of a product, as left operand of the next.
template <class P> __device__ __forceinline__ typename P::Left weights(const float (*w)[4], int k) {
    if constexpr (P::K == 16) {
        using T = typename P::Element;
        const float *even = w[2 * k], *odd = w[2 * k + 1];
        return P::left(pair_of<T>(even[0], even[1]), pair_of<T>(even[2], even[3]), pair_of<T>(odd[0], odd[1]),
                       pair_of<T>(odd[2], odd[3]));
    } else {
        const float* c = w[k];
        return P::left(__float_as_uint(c[0]), __float_as_uint(c[2]), __float_as_uint(c[1]), __float_as_uint(c[3]));
    }
}

// c += w b, for weights w in registers and rows of tile b, or 8 W of its columns.
template <class P, int D, int M, int N, int W>
__device__ __forceinline__ void weights_by_rows(float (&c)[M][W][4], const float (&w)[M][N][4],
                                                const typename P::Element* b) {
    constexpr int PITCH = Tile<P, D>::PITCH;
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    typename P::Left left[8 * N / P::K][M];
#pragma unroll
    for (int k = 0; k < 8 * N / P::K; k++)
#pragma unroll
        for (int m = 0; m < M; m++) left[k][m] = weights<P>(w[m], k);
#pragma unroll
    for (int n = 0; n < W; n += 2)
#pragma unroll
        for (int k = 0; k < 8 * N / P::K; k++) {
            const typename P::Element* corner = b + P::K * k * PITCH + 8 * n;
            unsigned r[4];
            if constexpr (P::K == 16) {
                ldmatrix_transposed<4>(r, corner + lane % 16 * PITCH + lane / 16 * 8);
            } else {  // a sum takes its terms in any order: here 2t and 2t + 1 where others have t and t + 4
                const unsigned* row = reinterpret_cast<const unsigned*>(corner) + 2 * t * PITCH + g;
                r[0] = row[0], r[1] = row[PITCH], r[2] = row[8], r[3] = row[PITCH + 8];
            }
            typename P::Right first = P::right(r[0], r[1]), second = P::right(r[2], r[3]);
#pragma unroll
            for (int m = 0; m < M; m++) {
                P::multiply(c[m][n], left[k][m], first);
                P::multiply(c[m][n + 1], left[k][m], second);
            }
        }
}

// Scores, from products: s * factor are their base 2 logarithms, with the mask in them and -inf where a key is hidden.
// The first row is `row`, the first column `column`; TURNED: rows are keys and columns queries. Gives the factor.
template <bool TURNED, int M, int N>
__device__ __forceinline__ float scores(float (&s)[M][N][4], int row, int column, const void* mask, const Problem& p) {
    float factor = p.scale * LOG2E;
    bool apart = p.masked || factor <= 0;  // else scale and maximum go into one multiply-add
    int query = TURNED ? column : row, key = TURNED ? row : column;
    bool edge = key + (TURNED ? 16 * M : 8 * N) > p.keys || (p.causal && key + (TURNED ? 16 * M : 8 * N) > query + 1);
    if (!apart && !edge) return factor;
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int r = row + 16 * m + i / 2 * 8 + lane / 4, c = column + 8 * n + i % 2 + lane % 4 * 2;
                int query = TURNED ? c : r, key = TURNED ? r : c;
                bool hidden = key >= p.keys || (p.causal && key > query);
                float& score = s[m][n][i];
                if (apart) score *= factor;
                if (p.masked && !hidden && query < p.queries) {
                    long long at = query * p.mask.row + key * p.mask_column;
                    if (p.masked == 2) score += static_cast<const float*>(mask)[at] * LOG2E;
                    else hidden = !static_cast<const unsigned char*>(mask)[at];
                }
                if (hidden) score = -infinity<float>();
            }
    return apart ? 1 : factor;
}

// Rows of a result from registers to memory, each times its factor.
template <int M, int N, class E>
__device__ __forceinline__ void put(E* to, long long step, int row, int rows, int columns, const float (&c)[M][N][4],
                                    const float (&factor)[M][2]) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int r = row + 16 * m + 8 * h + lane / 4;
            if (r >= rows) continue;
#pragma unroll
            for (int n = 0; n < N; n++) {
                int column = 8 * n + lane % 4 * 2;
                vector<E, 2> pair = {{E(c[m][n][2 * h] * factor[m][h]), E(c[m][n][2 * h + 1] * factor[m][h])}};
                if (column < columns) store(to + r * step + column, pair);
            }
        }
}
