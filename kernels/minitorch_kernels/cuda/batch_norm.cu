// Batch norm: sums over parts of every channel, and a pass that adds them up and applies them; small channels in one.
#include "norm.cuh"

constexpr int PLANES = 0, WIDE_PLANES = 1, COLUMNS = 2;  // layouts
constexpr int SUM = 1, APPLY = 2;  // stages; a launch has one of them, or both where a channel is a single part

// The vectors of one channel of x[items][channels][plane], and the threads that share them: those of a block. Where
// plane = 1 they are a column of (32, n) threads instead, so that a warp reads neighbours. Vectors of 16-bit elements
// have 8 bytes: planes of 14 x 14 consist of them.
template <class T, int LAYOUT> struct Channel {
    static constexpr int N = LAYOUT != WIDE_PLANES ? 1 : sizeof(T) == 8 ? 2 : 4;
    unsigned channels, plane, count, number, thread, threads;

    __device__ __forceinline__ Channel(int items, int channels, int size)
        : channels(channels), plane(LAYOUT == COLUMNS ? 1 : size / N), count(items * plane) {
        number = LAYOUT == COLUMNS ? blockIdx.x * 32 + threadIdx.x : blockIdx.x;
        thread = LAYOUT == COLUMNS ? threadIdx.y : threadIdx.x;
        threads = LAYOUT == COLUMNS ? blockDim.y : blockDim.x;
        if (number >= channels) count = 0;  // beyond the last channel: takes part in the sums
    }

    // Where vector v begins.
    __device__ __forceinline__ long long at(unsigned v) const {
        unsigned item = v / plane;
        return ((item * (long long)channels + number) * plane + (v - item * plane)) * N;
    }

    // f(where a vector begins, those of the M arrays) for the thread's vectors of part blockIdx.y of gridDim.y, several
    // being loaded at once. A second pass goes BACK: what the first one read last is still in the caches.
    template <bool BACK, int M, class F> __device__ __forceinline__ void each(const T* const (&from)[M], F f) const {
        constexpr int U = (N == 1 && sizeof(T) < 8 ? 8 : 4) / M;
        unsigned length = (count + gridDim.y - 1) / gridDim.y, begin = min(blockIdx.y * length, count);
        unsigned end = min(begin + length, count);
        if (thread >= end - begin) return;
        Walk walk(*this, BACK ? end - 1 - thread : begin + thread);
        for (int left = (end - begin - thread - 1) / threads + 1; left > 0; left -= U) {
            long long places[U];
            vector<T, N> values[U][M];
#pragma unroll
            for (int u = 0; u < U; u++)
                if (u < left) {
                    places[u] = walk.template next<BACK>();
                    for (int m = 0; m < M; m++) values[u][m] = load<N>(from[m] + places[u]);
                }
#pragma unroll
            for (int u = 0; u < U; u++)
                if (u < left) f(places[u], values[u]);
        }
    }

    // Goes from a vector to the thread's next one without a division.
    struct Walk {
        long long line, lines, item;  // the plane's beginning; what a step adds to it, and one item more
        int column, columns, plane;

        __device__ __forceinline__ Walk(const Channel& c, unsigned v)
            : item((long long)c.channels * c.plane), column(v % c.plane), columns(c.threads % c.plane), plane(c.plane) {
            line = v / c.plane * item + (long long)c.number * plane, lines = c.threads / c.plane * item;
        }

        template <bool BACK> __device__ __forceinline__ long long next() {
            long long found = (line + column) * N;
            line += BACK ? -lines : lines, column += BACK ? -columns : columns;
            if (BACK && column < 0) column += plane, line -= item;
            if (!BACK && column >= plane) column -= plane, line += item;
            return found;
        }
    };

    template <int M, class A> static __device__ __forceinline__ void sums(A (&a)[M]) {
        if (LAYOUT == COLUMNS) column_sums(a);
        else row_sums(a);
    }

    // M sums of a part are left in `parts`[parts][M][channels], and added up.
    template <int M, class A> __device__ __forceinline__ void leave(const A (&a)[M], A* parts) const {
        for (int m = 0; m < M; m++)
            if (count && thread == 0) parts[(blockIdx.y * M + m) * (long long)channels + number] = a[m];
    }

    template <int M, class A> __device__ __forceinline__ void collect(A (&a)[M], const A* parts, int n) const {
        for (int m = 0; m < M; m++) a[m] = 0;
        for (int i = thread; count && i < n; i += threads)
            for (int m = 0; m < M; m++) a[m] += parts[(i * M + m) * (long long)channels + number];
        sums(a);
    }
};

// y, and the mean and the biased variance of each channel, which are read where `given`. All parts measure from the
// mean of the same few elements, so that their sums can be added. Running statistics, where there are any, move by
// `momentum` towards the mean and the unbiased variance.
template <class T, int LAYOUT, class A = accumulator<T>>
__global__ void __launch_bounds__(512, 2)
batch_norm(const T* __restrict__ x, const void* w, const void* b, bool full, T* __restrict__ y, A* mean, A* var,
           A* running_mean, A* running_var, A momentum, A* parts, int stages, int parted, bool given, int items,
           int channels, int plane, A eps) {
    constexpr int N = Channel<T, LAYOUT>::N;
    Channel<T, LAYOUT> channel(items, channels, plane);
    Moments<A> found = {};
    A count = A(items) * plane;
    if (!given) {
        A first[1] = {}, sums[2] = {}, shift = 0;
        A* shifts = parts + 2LL * parted * channels;
        if (stages & SUM) {
            if (channel.thread < channel.count) {
                auto values = load<N>(x + channel.at(channel.thread));
                for (int j = 0; j < N; j++) first[0] += A(values[j]);
            }
            channel.sums(first);
            shift = first[0] / min(A(channel.threads * N), count);
            channel.template each<false>({x}, [&](long long at, vector<T, N>* loaded) {
                for (int j = 0; j < N; j++) {
                    A d = A(loaded[0][j]) - shift;
                    sums[0] += d, sums[1] += d * d;
                }
            });
            channel.sums(sums);
            if (!(stages & APPLY)) {
                if (channel.count && channel.thread == 0 && blockIdx.y == 0) shifts[channel.number] = shift;
                return channel.leave(sums, parts);
            }
        } else {
            if (channel.count) shift = shifts[channel.number];
            channel.collect(sums, parts, parted);
        }
        found = moments(shift, sums[0], sums[1], count);
    }
    if (!channel.count) return;
    int c = channel.number;
    if (given) {
        found = {mean[c], 0, var[c]};
    } else if (blockIdx.y == 0 && channel.thread == 0) {
        mean[c] = found.mean(), var[c] = found.var;
        if (running_mean) {
            A unbiased = found.var * (count / max(count - 1, A(1)));
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * found.mean();
            running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased;
        }
    }
    A scale = found.rstd(eps) * (w ? weight<T>(w, full, c) : A(1)), offset = b ? weight<T>(b, full, c) : A(0);
    channel.template each<true>({x}, [&](long long at, vector<T, N>* loaded) {
        auto values = loaded[0];
        for (int j = 0; j < N; j++) values[j] = T((A(values[j]) - found.shift - found.apart) * scale + offset);
        store(y + at, values);
    });
}

// dx, dw and db. `spread` is 1 / sqrt(var + eps), or, where `constant`, the variance of given statistics: then dx needs
// no sums, and is made in the pass that takes those for dw and db.
template <class T, int LAYOUT, class A = accumulator<T>>
__global__ void __launch_bounds__(512, 2)
batch_norm_dx(const T* __restrict__ dy, const T* __restrict__ x, const void* w, bool full, const A* mean,
              const A* spread, T* __restrict__ dx, void* dw, void* db, A* parts, int stages, int parted, bool constant,
              int items, int channels, int plane, A eps) {
    constexpr int N = Channel<T, LAYOUT>::N;
    Channel<T, LAYOUT> channel(items, channels, plane);
    bool any = channel.count;
    A centre = any ? mean[channel.number] : A(0), scale = any ? spread[channel.number] : A(0), sums[3] = {};
    if (constant) scale = 1 / sqrt(scale + eps);
    A scaled = any && w ? weight<T>(w, full, channel.number) : A(1), count = A(items) * plane;
    if (stages & SUM) {
        channel.template each<false>({x, dy}, [&](long long at, vector<T, N>* loaded) {
            auto xs = loaded[0], dys = loaded[1];
            for (int j = 0; j < N; j++) {
                A xhat = (A(xs[j]) - centre) * scale, d = dys[j];
                sums[0] += d, sums[1] += d * xhat, sums[2] += xhat;
                if (constant) dys[j] = T(d * scaled * scale);
            }
            if (constant) store(dx + at, dys);
        });
        channel.sums(sums);
        if (!(stages & APPLY)) return channel.leave(sums, parts);
    } else {
        channel.collect(sums, parts, parted);
    }
    if (!any) return;
    A rest = constant ? A(0) : sums[2] / count;  // what rounding took from the mean
    A products = sums[1] - rest * sums[0], level = sums[0] / count, along = products / count;
    if (blockIdx.y == 0 && channel.thread == 0) {
        put_weight<T>(dw, full, channel.number, products);
        put_weight<T>(db, full, channel.number, sums[0]);
    }
    if (constant) return;
    channel.template each<true>({x, dy}, [&](long long at, vector<T, N>* loaded) {
        auto xs = loaded[0], dys = loaded[1];
        for (int j = 0; j < N; j++)
            dys[j] = T(scale * scaled * (A(dys[j]) - level - ((A(xs[j]) - centre) * scale - rest) * along));
        store(dx + at, dys);
    });
}
