// Convolution's gradient dw by implicit GEMM over all places: dy^T (rows) times what the windows see (columns).
//
// The sum is as long as the result is small, so it is split among blocks; their parts are added in a second kernel,
// always in the same order.
#include "conv.cuh"

// n / d = n magic >> shift for n < 2^31: Granlund and Montgomery, "Division by invariant integers" (1994).
struct Divisor {
    unsigned magic; int shift;
    __device__ __forceinline__ int quotient(int n) const { return int((unsigned long long)n * magic >> shift); }
};

// `outputs` rows a group; dy has dy_chunks at each place, x has `chunks` at each pixel.
struct ConvDw { Axis axes[3]; Divisor by[3]; int images, groups, outputs, dy_chunks, chunks, splits; };

// parts: (splits, groups, outputs, window and channels as packed), in which tiles are whole.
template <class M>
__global__ void __launch_bounds__(M::THREADS, M::RESIDENT)
conv_dw(const typename M::T* dy, const typename M::T* x, float* parts, ConvDw c) {
    using T = typename M::T;
    constexpr int BM = M::BM, BN = M::BN, THREADS = M::THREADS, STAGE = (BM + BN) * DEPTH, N = CHUNK / sizeof(T);
    constexpr int ROWS = DEPTH / sizeof(T), WIDE_A = BM / N, WIDE_B = BN / N;  // of a tile, and their chunks
    constexpr int PER_A = THREADS / WIDE_A, PER_B = THREADS / WIDE_B;
    __shared__ uint2 place_at[STAGES][ROWS];  // where in dy and x the places of a tile lie
    const Axis &a0 = c.axes[0], &a1 = c.axes[1], &a2 = c.axes[2];
    int taps = a0.window * a1.window * a2.window, columns = taps * c.chunks * N;
    int row_tiles = (c.outputs + BM - 1) / BM, row = blockIdx.x % row_tiles * BM, column = blockIdx.x / row_tiles * BN;
    int split = blockIdx.y, group = blockIdx.z, all = a0.out * a1.out * a2.out, places = c.images * all;
    int tiles = (places + ROWS - 1) / ROWS, share = (tiles + c.splits - 1) / c.splits;
    int first = split * share;
    tiles = max(min(tiles - first, share), 0);

    auto locate = [&](int tile, int k) {
        int m = min((first + tile) * ROWS + k, places - 1);
        int i = c.by[2].quotient(m), plane = c.by[1].quotient(i), n = c.by[0].quotient(plane);
        unsigned image = n * c.groups + group;
        unsigned at = (image * a0.size + (plane - n * a0.out) * a0.stride) * a1.size + (i - plane * a1.out) * a1.stride;
        at = (at * a2.size + (m - i * a2.out) * a2.stride) * c.chunks;
        place_at[tile % STAGES][k] = {(image * all + (m - n * all)) * c.dy_chunks, at};
    };

    // Each thread copies the same columns of several rows.
    int a_chunk = threadIdx.x % WIDE_A, b_chunk = threadIdx.x % WIDE_B;
    int a_from = row / N + a_chunk, b_from = column / N + b_chunk, tap = b_from / c.chunks;
    bool a_there = a_from < c.dy_chunks, b_there = tap < taps;
    int r2 = tap % a2.window, r1 = tap / a2.window % a1.window, r0 = tap / (a2.window * a1.window);
    int tap_at = (r0 * a0.dilation * a1.size + r1 * a1.dilation) * a2.size + r2 * a2.dilation;
    b_from = tap_at * c.chunks + b_from % c.chunks;
    auto fetch = [&](int tile) {
        unsigned char* to = dynamic_shared + tile % STAGES * STAGE;
        const uint2* at = place_at[tile % STAGES];
        int left = places - (first + tile) * ROWS;
#pragma unroll
        for (int i = 0; i < ROWS / PER_A; i++) {
            int k = threadIdx.x / WIDE_A + i * PER_A;
            cp_async<16>(to + across<T>(k, a_chunk, BM), reinterpret_cast<const uint4*>(dy) + (at[k].x + a_from),
                         a_there && k < left);
        }
#pragma unroll
        for (int i = 0; i < ROWS / PER_B; i++) {
            int k = threadIdx.x / WIDE_B + i * PER_B;
            cp_async<16, true>(to + BM * DEPTH + across<T>(k, b_chunk, BN),
                               reinterpret_cast<const uint4*>(x) + (at[k].y + b_from), b_there && k < left);
        }
    };

    for (int i = threadIdx.x; i < STAGES * ROWS; i += THREADS) locate(i / ROWS, i % ROWS);
    __syncthreads();
    for (int tile = 0; tile < STAGES - 1; tile++) {
        if (tile < tiles) fetch(tile);
        cp_async_commit();
    }
    M product;
    for (int tile = 0; tile < tiles; tile++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();
        if (tile + STAGES - 1 < tiles) fetch(tile + STAGES - 1);
        cp_async_commit();
        if (threadIdx.x < ROWS) locate(tile + STAGES, threadIdx.x);  // in place of this tile's, which has been fetched
        const unsigned char* a = dynamic_shared + tile % STAGES * STAGE;
        product.add_across(a, a + BM * DEPTH);
    }
    cp_async_wait<0>();
    int pitch = gridDim.x / row_tiles * BN;
    parts += (((long long)split * c.groups + group) * row_tiles * BM + row) * pitch + column;
    product.each([&](int i, int j, auto sums) { store(parts + (long long)i * pitch + j, sums); });
}

// Where a sum lies in the parts: group and output, tap and channel. Of the window's last axis `window` taps count, in
// lines of `pitch`; a row of parts has `columns` numbers, a group `rows` of them.
struct Parts { int splits, outputs, rows, channels, taps, window, pitch, packed, columns; };

// dw (outputs of all groups, channels, taps); `stride` goes from a part to the next.
template <class T> __global__ void sum_parts(const float* parts, T* dw, long long count, long long stride, Parts p) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    int tap = i % p.taps;
    long long line = i / p.taps;
    int o = int(line / p.channels), channel = int(line - (long long)o * p.channels), group = o / p.outputs;
    parts += ((long long)group * p.rows + o - group * p.outputs) * p.columns +
             (tap / p.window * p.pitch + tap % p.window) * p.packed + channel;
    float sum = 0;
#pragma unroll 8
    for (int split = 0; split < p.splits; split++) sum += parts[split * stride];
    dw[i] = T(sum);
}
