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

// parts: (splits, groups, outputs, window, channels as packed)
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
    b_from = ((r0 * a0.dilation * a1.size + r1 * a1.dilation) * a2.size + r2 * a2.dilation) * c.chunks + b_from % c.chunks;
    auto copy = [&](int tile, auto within) {
        unsigned char* to = dynamic_shared + tile % STAGES * STAGE;
#pragma unroll
        for (int i = 0; i < ROWS / PER_A; i++) {
            int k = threadIdx.x / WIDE_A + i * PER_A;
            cp_async<16>(to + across<T>(k, a_chunk, BM),
                         reinterpret_cast<const uint4*>(dy) + (place_at[tile % STAGES][k].x + a_from), a_there && within(k));
        }
#pragma unroll
        for (int i = 0; i < ROWS / PER_B; i++) {
            int k = threadIdx.x / WIDE_B + i * PER_B;
            cp_async<16>(to + BM * DEPTH + across<T>(k, b_chunk, BN),
                         reinterpret_cast<const uint4*>(x) + (place_at[tile % STAGES][k].y + b_from), b_there && within(k));
        }
    };
    auto fetch = [&](int tile) {
        int left = places - (first + tile) * ROWS;
        if (left >= ROWS) copy(tile, [](int) { return true; });
        else copy(tile, [=](int k) { return k < left; });
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
    parts += ((long long)split * c.groups + group) * c.outputs * columns;
    product.each([&](int i, int j, auto sums) {
        if (row + i < c.outputs && column + j < columns) store(parts + (long long)(row + i) * columns + column + j, sums);
    });
}

// dw (outputs, channels, taps) from parts (splits, outputs, packed taps, packed channels). The last axis of the window
// has `window` taps, `pitch` as packed.
template <class T>
__global__ void sum_parts(const float* parts, T* dw, long long count, int splits, long long stride, int channels, int taps,
                          int window, int pitch, int packed_channels, int columns) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    int tap = i % taps;
    long long row = i / taps, o = row / channels;
    int c = row - o * channels, at = tap / window * pitch + tap % window;
    parts += o * columns + at * packed_channels + c;
    float sum = 0;
#pragma unroll 8
    for (int split = 0; split < splits; split++) sum += parts[split * stride];
    dw[i] = T(sum);
}
