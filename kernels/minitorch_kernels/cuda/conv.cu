// Convolution forward and its gradient dx by implicit GEMM: weights (rows) times what the windows see (columns).
#include "conv.cuh"

// `rows` results a group, each from `chunks` of every pixel of a window. `turned`: dx, in which the result's places
// fall into stride phases with windows of their own. It is written by `width` elements, which never lie in two images.
struct Conv { Axis axes[3]; int images, groups, rows, chunks, turned, relu, width; };

// What a phase sees of an axis: source = first + place step + tap reach, weight = w_first + tap w_skip.
struct View { int out, step, taps, first, reach, w_first, w_skip, y_first, y_step; };

// dx[h] sums dy[p] w[r] over p stride + r dilation - padding = h. For all h = stride i + phase the same r have a whole
// p: every skip-th from r0 on, and p goes down by reach from one to the next. `shift` is the padding, and stride times
// what dy was padded with in front.
__device__ __forceinline__ View view(const Axis& a, bool turned, int phase) {
    if (!turned) return {a.out, a.stride, a.window, 0, a.dilation, 0, 1, 0, 1};
    int r = 0;
    while (r < a.window && (phase + a.shift - r * a.dilation) % a.stride) r++;
    int taps = (a.window - r + a.skip - 1) / a.skip, first = (phase + a.shift - r * a.dilation) / a.stride;
    return {(a.out - phase + a.stride - 1) / a.stride, 1, taps, first, -a.reach, r, a.skip, phase, a.stride};
}

// Which image and place column m of the product is.
struct Place { int n, i0, i1, i2; };
__device__ __forceinline__ Place place(int m, const View (&v)[3]) {
    int row = m / v[2].out, plane = row / v[1].out, n = plane / v[0].out;
    return {n, plane - n * v[0].out, row - plane * v[1].out, m - row * v[2].out};
}

template <class M>
__global__ void __launch_bounds__(M::THREADS, M::RESIDENT)
conv(const typename M::T* x, const typename M::T* w, const typename M::T* bias, typename M::T* y, Conv c) {
    using T = typename M::T;
    constexpr int BM = M::BM, BN = M::BN, THREADS = M::THREADS, STAGE = (BM + BN) * DEPTH, PER = THREADS / 4;
    int group = blockIdx.z % c.groups, phase = blockIdx.z / c.groups;
    const Axis &a0 = c.axes[0], &a1 = c.axes[1], &a2 = c.axes[2];
    int s1 = c.turned ? a1.stride : 1, s2 = c.turned ? a2.stride : 1;
    View v[3] = {view(a0, c.turned, phase / (s1 * s2)), view(a1, c.turned, phase / s2 % s1),
                 view(a2, c.turned, phase % s2)};
    int places = c.images * v[0].out * v[1].out * v[2].out;
    int row_tiles = (c.rows + BM - 1) / BM, row = blockIdx.x % row_tiles * BM, column = blockIdx.x / row_tiles * BN;
    if (column >= places) return;  // this phase has fewer than another

    // Where in x and w the taps lie, and in x the windows.
    int taps = v[0].taps * v[1].taps * v[2].taps;
    int2* tap_at = reinterpret_cast<int2*>(dynamic_shared + STAGES * STAGE);
    for (int i = threadIdx.x; i < taps; i += THREADS) {
        int i2 = i % v[2].taps, i1 = i / v[2].taps % v[1].taps, i0 = i / (v[2].taps * v[1].taps);
        tap_at[i].x = ((i0 * v[0].reach * a1.size + i1 * v[1].reach) * a2.size + i2 * v[2].reach) * c.chunks;
        tap_at[i].y = (((v[0].w_first + i0 * v[0].w_skip) * a1.window + v[1].w_first + i1 * v[1].w_skip) * a2.window +
                       v[2].w_first + i2 * v[2].w_skip) * c.chunks;
    }
    unsigned* window_at = reinterpret_cast<unsigned*>(dynamic_shared);  // read before the first tile arrives there
    for (int i = threadIdx.x; i < BN; i += THREADS) {
        Place p = place(min(column + i, places - 1), v);
        unsigned at = (p.n * c.groups + group) * unsigned(a0.size) + v[0].first + p.i0 * v[0].step;
        at = (at * a1.size + v[1].first + p.i1 * v[1].step) * a2.size + v[2].first + p.i2 * v[2].step;
        window_at[i] = at * c.chunks;
    }
    __syncthreads();
    unsigned from_w[BM / PER], from_x[BN / PER];
    int chunk = threadIdx.x % 4;
    int of_tile = along(threadIdx.x / 4, chunk);  // rows PER apart have the same order of chunks
    for (int i = 0; i < BM / PER; i++)
        from_w[i] = (group * c.rows + min(row + int(threadIdx.x) / 4 + i * PER, c.rows - 1)) *
                    unsigned(a0.window * a1.window * a2.window * c.chunks);
    for (int i = 0; i < BN / PER; i++) from_x[i] = window_at[threadIdx.x / 4 + i * PER];
    __syncthreads();

    // Each thread copies the same chunk of several rows, and goes four chunks on from tile to tile.
    int tap = chunk / c.chunks, tap_step = 4 / c.chunks, chunk_step = 4 % c.chunks;
    chunk %= c.chunks;
    auto fetch = [&](int tile) {
        unsigned char* to = dynamic_shared + tile % STAGES * STAGE + of_tile;
        bool there = tap < taps;
        int2 at = there ? tap_at[tap] : int2{0, 0};
        for (int i = 0; i < BM / PER; i++)
            cp_async<16>(to + i * PER * DEPTH, reinterpret_cast<const uint4*>(w) + (from_w[i] + at.y + chunk), there);
        for (int i = 0; i < BN / PER; i++)  // nearly the same for the next tap: from L1
            cp_async<16, true>(to + (BM + i * PER) * DEPTH,
                               reinterpret_cast<const uint4*>(x) + (from_x[i] + at.x + chunk), there);
        tap += tap_step, chunk += chunk_step;
        if (chunk >= c.chunks) chunk -= c.chunks, tap++;
    };
    int tiles = (taps * c.chunks + 3) / 4;
    for (int tile = 0; tile < STAGES - 1; tile++) {
        if (tile < tiles) fetch(tile);
        cp_async_commit();
    }
    M product;
    for (int tile = 0; tile < tiles; tile++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();  // the tile is there, and the one before it has been read
        if (tile + STAGES - 1 < tiles) fetch(tile + STAGES - 1);
        cp_async_commit();
        const unsigned char* a = dynamic_shared + tile % STAGES * STAGE;
        product.add_along(a, a + BM * DEPTH);
    }
    cp_async_wait<0>();
    __syncthreads();

    // By way of shared memory, so that neighbouring threads write neighbouring places of y.
    constexpr int PITCH = BN + 8;  // a fragment's eight rows on different banks
    T* staged = reinterpret_cast<T*>(dynamic_shared);
    long long* to = reinterpret_cast<long long*>(staged + BM * PITCH);
    float* bias_of = reinterpret_cast<float*>(to + BN);
    long long all = (long long)a0.out * a1.out * a2.out;
    for (int i = threadIdx.x; i < BN; i += THREADS) {
        Place p = place(min(column + i, places - 1), v);
        int y0 = v[0].y_first + p.i0 * v[0].y_step, y1 = v[1].y_first + p.i1 * v[1].y_step;
        long long first = ((long long)p.n * c.groups + group) * c.rows * all;
        to[i] = column + i < places ? first + (y0 * a1.out + y1) * a2.out + v[2].y_first + p.i2 * v[2].y_step : -1;
    }
    for (int i = threadIdx.x; i < BM; i += THREADS)
        bias_of[i] = bias && row + i < c.rows ? float(bias[group * c.rows + row + i]) : 0.f;
    __syncthreads();
    product.each([&](int i, int j, auto sums) {
        constexpr int N = sizeof(sums) / sizeof(float);
        vector<T, N> results;
        for (int e = 0; e < N; e++) {
            float result = sums[e] + bias_of[i];
            results[e] = c.relu && result < 0 ? 0.f : result;
        }
        store(staged + i * PITCH + j, results);
    });
    __syncthreads();
    auto write = [&](auto count) {
        constexpr int N = sizeof(count);
        for (int i = threadIdx.x; i < BM * BN / N; i += THREADS) {
            int r = i / (BN / N), j = i % (BN / N) * N;
            if (row + r < c.rows && to[j] >= 0) store(y + to[j] + (row + r) * all, load<N>(staged + r * PITCH + j));
        }
    };
    if (c.width == 16 / sizeof(T)) write(vector<char, 16 / sizeof(T)>());
    else if (c.width == 8 / sizeof(T)) write(vector<char, 8 / sizeof(T)>());
    else write(char());
}
