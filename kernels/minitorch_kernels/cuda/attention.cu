// Attention forward, y = softmax(scale q kᵀ + mask) v, without the matrix of scores: FlashAttention-2 (Dao 2023).
//
// A block has some queries in shared memory and lets tiles of keys and values come by, the next one under way
// (cp.async) while one is computed with. Scores stay in registers; a row's maximum, its sum of exponentials and its
// weighted sum of values are corrected whenever the maximum rises (Milakov and Gimelshein 2018).
#include "attention.cuh"

constexpr int WARPS = 4;

template <class P, int D> __global__ __launch_bounds__(32 * WARPS)
void attention(const typename P::Element* q, const typename P::Element* k, const typename P::Element* v,
               const void* mask, typename P::Element* y, float* lse, Problem p) {
    using E = typename P::Element;
    using T = Tile<P, D>;
    constexpr int M = sizeof(E) == 2 ? 2 : 1, ROWS = 16 * M * WARPS;  // twice the rows: half the reads of shared memory
    E* queries = reinterpret_cast<E*>(dynamic_shared);
    E* tiles = queries + ROWS * T::PITCH;  // keys and values of one tile, then of the next

    int blocks = (p.queries + ROWS - 1) / ROWS, matrix = blockIdx.x / blocks;
    int batch = matrix / p.heads, head = matrix % p.heads;
    int first = (blocks - 1 - int(blockIdx.x % blocks)) * ROWS;  // where causal, those with the most keys begin
    q += batch * p.q.batch + head * p.q.head;
    k += batch * p.k.batch + head * p.k.head;
    v += batch * p.v.batch + head * p.v.head;
    y += batch * p.y.batch + head * p.y.head;
    lse += (long long)matrix * p.queries;
    mask = static_cast<const char*>(mask) + (batch * p.mask.batch + head * p.mask.head) * (p.masked == 2 ? 4 : 1);
    int end = p.causal ? min(p.keys, first + ROWS) : p.keys;

    auto fetch_tile = [&](int key) {
        E* to = tiles + key / T::COLUMNS % 2 * 2 * T::SIZE;
        if (key < end) {
            fetch<P, D>(to, k, p.k.row, T::COLUMNS, key, p.keys, p.depth);
            fetch<P, D>(to + T::SIZE, v, p.v.row, T::COLUMNS, key, p.keys, p.width);
        }
        cp_async_commit();
    };
    fetch<P, D>(queries, q, p.q.row, ROWS, first, p.queries, p.depth);
    fetch_tile(0);

    int own = threadIdx.x / 32 * 16 * M, lane = threadIdx.x % 32;
    float sum[M][D / 8][4] = {}, top[M][2], total[M][2] = {};
    float factor = 1;
    for (int m = 0; m < M; m++) top[m][0] = top[m][1] = -infinity<float>();

    for (int key = 0; key < end; key += T::COLUMNS) {
        cp_async_wait<0>();
        __syncthreads();  // this tile has come, and all are done with that before it
        fetch_tile(key + T::COLUMNS);
        const E* tile = tiles + key / T::COLUMNS % 2 * 2 * T::SIZE;
        float s[M][T::PARTS][4] = {};
        rows_by_rows<P, D>(s, queries + own * T::PITCH, tile);
        factor = scores<false>(s, first + own, key, mask, p);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float high = top[m][h];
#pragma unroll
                for (int n = 0; n < T::PARTS; n++) high = fmaxf(high, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
                high = fmaxf(high, __shfl_xor_sync(ALL, high, 1));  // four lanes have the columns of a row
                high = fmaxf(high, __shfl_xor_sync(ALL, high, 2));
                float base = high == -infinity<float>() ? 0 : high * factor;
                float shrink = exp2_fast(top[m][h] * factor - base);
                top[m][h] = high;
                total[m][h] *= shrink;
#pragma unroll
                for (int n = 0; n < D / 8; n++) sum[m][n][2 * h] *= shrink, sum[m][n][2 * h + 1] *= shrink;
#pragma unroll
                for (int n = 0; n < T::PARTS; n++)
#pragma unroll
                    for (int i = 2 * h; i < 2 * h + 2; i++)
                        total[m][h] += s[m][n][i] = exp2_fast(fmaf(s[m][n][i], factor, -base));
            }
        weights_by_rows<P, D>(sum, s, tile + T::SIZE);
    }

#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float all = total[m][h];
            all += __shfl_xor_sync(ALL, all, 1);
            all += __shfl_xor_sync(ALL, all, 2);
            int row = first + own + 16 * m + 8 * h + lane / 4;
            if (lane % 4 == 0 && row < p.queries)
                lse[row] = all == 0 ? infinity<float>() : top[m][h] * factor * LN2 + logf(all);
            total[m][h] = all == 0 ? 0 : 1 / all;
        }
    put(y, p.y.row, first + own, p.queries, p.width, sum, total);
}
