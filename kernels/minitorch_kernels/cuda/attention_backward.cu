// Attention backward: the weights are computed again from q, k and lse, tile by tile (Dao et al. 2022, Dao 2023).
//
//     p = exp(scores - lse)      ds = p (dy vᵀ - delta), delta the sum of dy y for each query
//     dv = pᵀ dy                 dk = scale dsᵀ q               dq = scale ds k
//
// One kernel has queries in a block and sums over keys, the other keys and sums over queries. Scores are computed
// twice so, seven products instead of five, but no two blocks write to one place: the same bits every time.
#include "attention.cuh"

// What a query needs besides its row: lse, as a base 2 logarithm, and delta.
using Level = vector<float, 2>;

// Eight lanes take a row, 16 bytes each at a time; `rows`: of all matrices.
template <class E> __global__
void attention_levels(const E* dy, const E* y, const float* lse, Level* levels, long long rows, Problem p) {
    constexpr int CHUNK = 16 / sizeof(E);
    long long at = blockIdx.x * (blockDim.x / 8ll) + threadIdx.x / 8, matrix = at / p.queries, row = at % p.queries;
    long long batch = matrix / p.heads, head = matrix % p.heads;
    dy += batch * p.dy.batch + head * p.dy.head + row * p.dy.row;
    y += batch * p.y.batch + head * p.y.head + row * p.y.row;
    float sum = 0;
    for (int c = threadIdx.x % 8 * CHUNK; at < rows && c < p.width; c += 8 * CHUNK) {
        vector<E, CHUNK> a = load<CHUNK>(dy + c), b = load<CHUNK>(y + c);
        for (int i = 0; i < CHUNK; i++) sum += float(a[i]) * float(b[i]);
    }
    for (int d = 4; d > 0; d >>= 1) sum += __shfl_xor_sync(ALL, sum, d);
    if (at < rows && threadIdx.x % 8 == 0) levels[at] = {{lse[at] * LOG2E, sum}};
}

// A block's rows meet tile after tile of others: in shared memory two operands of each, the next tile under way.
template <class P, int D> struct Walk {
    using E = typename P::Element;
    static constexpr int WARPS = D * sizeof(E) <= 128 ? 8 : 4, ROWS = 16 * WARPS;
    static constexpr int SUMS = D * sizeof(E) > 256 ? D / 2 : D;  // columns of dk and dv for which there are registers
    using T = Tile<P, D>;
    E* rows = reinterpret_cast<E*>(dynamic_shared);  // the block's own: of the first operand, then of the second
    E* tiles = rows + 2 * ROWS * T::PITCH;

    __device__ __forceinline__ E* tile(int at) { return tiles + at / T::COLUMNS % 2 * 2 * T::SIZE; }
};

// The weights of a query that is not there are 0.
__device__ __forceinline__ Level level_of(const Level* levels, int query, const Problem& p) {
    return query < p.queries ? levels[query] : Level{{infinity<float>(), 0}};
}

template <class P, int D> __global__ __launch_bounds__(32 * Walk<P, D>::WARPS, 1)
void attention_dq(const typename P::Element* dy, const typename P::Element* q, const typename P::Element* k,
                  const typename P::Element* v, const void* mask, const Level* levels,
                  typename P::Element* dq, Problem p) {
    using E = typename P::Element;
    using T = Tile<P, D>;
    constexpr int ROWS = Walk<P, D>::ROWS;
    Walk<P, D> walk;
    int blocks = (p.queries + ROWS - 1) / ROWS, matrix = blockIdx.x / blocks;
    int batch = matrix / p.heads, head = matrix % p.heads;
    int first = (blocks - 1 - int(blockIdx.x % blocks)) * ROWS;  // where causal, those with the most keys begin
    q += batch * p.q.batch + head * p.q.head;
    k += batch * p.k.batch + head * p.k.head;
    v += batch * p.v.batch + head * p.v.head;
    dy += batch * p.dy.batch + head * p.dy.head;
    dq += batch * p.dq.batch + head * p.dq.head;
    levels += (long long)matrix * p.queries;
    mask = static_cast<const char*>(mask) + (batch * p.mask.batch + head * p.mask.head) * (p.masked == 2 ? 4 : 1);
    int end = p.causal ? min(p.keys, first + ROWS) : p.keys;

    auto fetch_tile = [&](int key) {
        if (key < end) {
            fetch<P, D>(walk.tile(key), k, p.k.row, T::COLUMNS, key, p.keys, p.depth);
            fetch<P, D>(walk.tile(key) + T::SIZE, v, p.v.row, T::COLUMNS, key, p.keys, p.width);
        }
        cp_async_commit();
    };
    fetch<P, D>(walk.rows, q, p.q.row, ROWS, first, p.queries, p.depth);
    fetch<P, D>(walk.rows + ROWS * T::PITCH, dy, p.dy.row, ROWS, first, p.queries, p.width);
    fetch_tile(0);

    int own = threadIdx.x / 32 * 16, lane = threadIdx.x % 32;
    Level level[2];
    for (int h = 0; h < 2; h++) level[h] = level_of(levels, first + own + 8 * h + lane / 4, p);
    float sum[1][D / 8][4] = {};
    for (int key = 0; key < end; key += T::COLUMNS) {
        cp_async_wait<0>();
        __syncthreads();  // this tile has come, and all are done with that before it
        fetch_tile(key + T::COLUMNS);
        float s[1][T::PARTS][4] = {}, ds[1][T::PARTS][4] = {};
        rows_by_rows<P, D>(s, walk.rows + own * T::PITCH, walk.tile(key));
        rows_by_rows<P, D>(ds, walk.rows + (ROWS + own) * T::PITCH, walk.tile(key) + T::SIZE);
        float factor = scores<false>(s, first + own, key, mask, p);
#pragma unroll
        for (int n = 0; n < T::PARTS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                ds[0][n][i] = exp2_fast(fmaf(s[0][n][i], factor, -level[i / 2][0])) * (ds[0][n][i] - level[i / 2][1]);
        weights_by_rows<P, D>(sum, ds, walk.tile(key));
    }
    float factor[1][2] = {{p.scale, p.scale}};
    put(dq, p.dq.row, first + own, p.queries, p.depth, sum, factor);
}

template <class P, int D> __global__ __launch_bounds__(32 * Walk<P, D>::WARPS)
void attention_dkdv(const typename P::Element* dy, const typename P::Element* q, const typename P::Element* k,
                    const typename P::Element* v, const void* mask, const Level* levels,
                    typename P::Element* dk, typename P::Element* dv, Problem p) {
    using E = typename P::Element;
    using T = Tile<P, D>;
    constexpr int ROWS = Walk<P, D>::ROWS, SUMS = Walk<P, D>::SUMS;
    Walk<P, D> walk;
    int blocks = (p.keys + ROWS - 1) / ROWS, matrix = blockIdx.x / blocks;
    int batch = matrix / p.heads, head = matrix % p.heads, first = blockIdx.x % blocks * ROWS;
    q += batch * p.q.batch + head * p.q.head;
    k += batch * p.k.batch + head * p.k.head;
    v += batch * p.v.batch + head * p.v.head;
    dy += batch * p.dy.batch + head * p.dy.head;
    dk += batch * p.dk.batch + head * p.dk.head;
    dv += batch * p.dv.batch + head * p.dv.head;
    levels += (long long)matrix * p.queries;
    mask = static_cast<const char*>(mask) + (batch * p.mask.batch + head * p.mask.head) * (p.masked == 2 ? 4 : 1);
    int start = p.causal ? first : 0;

    auto fetch_tile = [&](int query) {
        if (query < p.queries) {
            fetch<P, D>(walk.tile(query), q, p.q.row, T::COLUMNS, query, p.queries, p.depth);
            fetch<P, D>(walk.tile(query) + T::SIZE, dy, p.dy.row, T::COLUMNS, query, p.queries, p.width);
        }
        cp_async_commit();
    };
    fetch<P, D>(walk.rows, k, p.k.row, ROWS, first, p.keys, p.depth);
    fetch<P, D>(walk.rows + ROWS * T::PITCH, v, p.v.row, ROWS, first, p.keys, p.width);
    fetch_tile(start);

    int own = threadIdx.x / 32 * 16, lane = threadIdx.x % 32, column = blockIdx.y * SUMS;
    float sum_k[1][SUMS / 8][4] = {}, sum_v[1][SUMS / 8][4] = {};
    for (int query = start; query < p.queries; query += T::COLUMNS) {
        cp_async_wait<0>();
        __syncthreads();  // this tile has come, and all are done with that before it
        fetch_tile(query + T::COLUMNS);
        float s[1][T::PARTS][4] = {}, ds[1][T::PARTS][4] = {};
        rows_by_rows<P, D>(s, walk.rows + own * T::PITCH, walk.tile(query));
        float factor = scores<true>(s, first + own, query, mask, p);
        rows_by_rows<P, D>(ds, walk.rows + (ROWS + own) * T::PITCH, walk.tile(query) + T::SIZE);
#pragma unroll
        for (int n = 0; n < T::PARTS; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                Level level = level_of(levels, query + 8 * n + lane % 4 * 2 + j, p);
#pragma unroll
                for (int i = j; i < 4; i += 2) {
                    s[0][n][i] = exp2_fast(fmaf(s[0][n][i], factor, -level[0]));
                    ds[0][n][i] = s[0][n][i] * (ds[0][n][i] - level[1]);
                }
            }
        weights_by_rows<P, D>(sum_v, s, walk.tile(query) + T::SIZE + column);
        weights_by_rows<P, D>(sum_k, ds, walk.tile(query) + column);
    }
    cp_async_wait<0>();  // of keys that no query sees nothing has been waited for
    float factor[1][2] = {{p.scale, p.scale}}, one[1][2] = {{1, 1}};
    put(dk + column, p.dk.row, first + own, p.keys, p.depth - column, sum_k, factor);
    put(dv + column, p.dv.row, first + own, p.keys, p.width - column, sum_v, one);
}
