// Layer, RMS and group norm: every row is read once and kept in registers, as far as it fits.
#include "norm.cuh"

// The N weights that lie beside elements i, i + 1, ... of a row, as numbers to compute with.
template <class T, int N>
__device__ __forceinline__ vector<accumulator<T>, N> weights(const void* w, bool full, int i) {
    vector<accumulator<T>, N> found;
    if (full) {
        constexpr int M = N < 4 ? N : 4;  // 16 bytes, whose multiples addresses are
        for (int k = 0; k < N; k += M) {
            auto values = load<M>(static_cast<const float*>(w) + i + k);
            for (int j = 0; j < M; j++) found[k + j] = values[j];
        }
    } else {
        auto values = load<N>(static_cast<const T*>(w) + i);
        for (int j = 0; j < N; j++) found[j] = values[j];
    }
    return found;
}

template <class A, int N> __device__ __forceinline__ vector<A, N> all(A value) {
    vector<A, N> found;
    for (int j = 0; j < N; j++) found[j] = value;
    return found;
}

// y, mean and rstd of `count` rows of n elements; without `mean` they are not centred: RMS norm. A block is (threads a
// row, rows). Group norm: a row is a group, one of `groups` in an item, whose channels have `plane` elements.
template <class T, bool WIDE, class A = accumulator<T>>
__global__ void __launch_bounds__(512, 2) rows(const T* x, const void* w, const void* b, bool full, T* y, A* mean,
                                               A* rstd, long long count, int n, int plane, int groups, A eps) {
    constexpr int N = Tile<T, WIDE>::N;
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    int own = row < count ? n : 0;  // a row beyond the last is empty, yet takes part in the sums
    int channel = plane ? int(row % groups) * (n / plane) : 0, width = Tile<T, WIDE>::width(), from = 0;
    x += row * n, y += row * n;
    Tile<T, WIDE> tile;
    tile.load(x, 0, own);
    A first[1] = {}, sums[2] = {};
    if (mean) {
        tile.each(0, own, [&](int k, int i) {
            for (int j = 0; j < N; j++) first[0] += A(tile.at[k][j]);
        });
        row_sums(first);
    }
    tile.keep_packed();
    A shift = first[0] / min(n, width);
    for (;; tile.load(x, from, own)) {
        tile.each(from, own, [&](int k, int i) {
            for (int j = 0; j < N; j++) {
                A d = A(tile.at[k][j]) - shift;
                sums[0] += d, sums[1] += d * d;
            }
        });
        if (from + width >= n) break;
        from += width;
    }
    row_sums(sums);
    tile.keep_packed();
    Moments<A> found = moments<A>(shift, mean ? sums[0] : A(0), sums[1], n);
    A scale = found.rstd(eps);
    if (own && threadIdx.x == 0) {
        if (mean) mean[row] = found.mean();
        rstd[row] = scale;
    }
    for (;; tile.load(x, from, own)) {  // from the last piece, which is still here, to the first
        tile.each(from, own, [&](int k, int i) {
            auto ws = all<A, N>(1), bs = all<A, N>(0);
            int c = plane ? channel + i / plane : 0;
            if (w) ws = plane ? all<A, N>(weight<T>(w, full, c)) : weights<T, N>(w, full, i);
            if (b) bs = plane ? all<A, N>(weight<T>(b, full, c)) : weights<T, N>(b, full, i);
            vector<T, N> ys;
            for (int j = 0; j < N; j++)
                ys[j] = T((A(tile.at[k][j]) - shift - found.apart) * scale * ws[j] + bs[j]);
            store(y + i, ys);
        });
        if (from == 0) break;
        from -= width;
    }
}

// dx of layer and RMS norm (`mean` is null), and, where a row fits into the registers, dw and db in the same pass: each
// thread adds up its own columns over the rows of its block. The sums of the blocks go to `parts`[blocks][dw, db][n],
// or, of a single block, to dw and db. Dynamic shared memory: parts of the rows of a block. Two 16-bit rows are taken
// at a time: registers that hold sums leave fewer for loads.
//
// With g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)), g without what cannot change y.
template <class T, bool WIDE, class A = accumulator<T>>
__global__ void __launch_bounds__(512, 1)
rows_dx(const T* dy, const T* x, const void* w, bool full, const A* mean, const A* rstd, T* dx, void* dw, void* db,
        A* parts, long long count, int n) {
    constexpr int R = sizeof(T) == 2 ? 2 : 1;
    using Piece = Tile<T, WIDE, 4 / R>;
    constexpr int N = Piece::N, K = Piece::K;
    int width = Piece::width();
    bool fits = n <= width;
    A dws[K][N] = {}, dbs[K][N] = {};
    for (long long start = blockIdx.x * blockDim.y * R; start < count; start += gridDim.x * blockDim.y * R) {
        Piece xs[R], dys[R];
        int own[R], from = 0;
        A scale[R], centre[R], sums[3 * R] = {};
        auto load = [&] {
#pragma unroll
            for (int r = 0; r < R; r++) {
                long long row = start + r * blockDim.y + threadIdx.y;
                xs[r].load(x + row * n, from, own[r]), dys[r].load(dy + row * n, from, own[r]);
            }
        };
#pragma unroll
        for (int r = 0; r < R; r++) {
            long long row = start + r * blockDim.y + threadIdx.y;
            own[r] = row < count ? n : 0;
            scale[r] = own[r] ? rstd[row] : A(0), centre[r] = own[r] && mean ? mean[row] : A(0);
        }
        for (load();; from += width, load()) {
#pragma unroll
            for (int r = 0; r < R; r++)
                Piece::each(from, own[r], [&](int k, int i) {
                    auto ws = w ? weights<T, N>(w, full, i) : all<A, N>(1);
                    for (int j = 0; j < N; j++) {
                        A xhat = (A(xs[r].at[k][j]) - centre[r]) * scale[r], g = A(dys[r].at[k][j]) * ws[j];
                        sums[3 * r] += g, sums[3 * r + 1] += g * xhat, sums[3 * r + 2] += xhat;
                    }
                });
            if (from + width >= n) break;
        }
        row_sums(sums);
        for (int r = 0; r < R; r++) xs[r].keep_packed(), dys[r].keep_packed();
        for (;; from -= width, load()) {  // from the last pieces, which are still here, to the first
#pragma unroll
            for (int r = 0; r < R; r++) {
                A rest = mean ? sums[3 * r + 2] / n : A(0);  // what rounding took from the mean
                A level = mean ? sums[3 * r] / n : A(0), along = (sums[3 * r + 1] - rest * sums[3 * r]) / n;
                T* to = dx + (start + r * blockDim.y + threadIdx.y) * n;
                Piece::each(from, own[r], [&](int k, int i) {
                    auto ws = w ? weights<T, N>(w, full, i) : all<A, N>(1);
                    vector<T, N> dxs;
                    for (int j = 0; j < N; j++) {
                        A xhat = (A(xs[r].at[k][j]) - centre[r]) * scale[r] - rest, d = dys[r].at[k][j];
                        dxs[j] = T(scale[r] * (d * ws[j] - level - xhat * along));
                        dws[k][j] += d * xhat, dbs[k][j] += d;
                    }
                    if constexpr (WIDE) store_16(to + i, reinterpret_cast<const unsigned*>(&dxs));
                    else store(to + i, dxs);
                });
            }
            if (from == 0) break;
        }
    }
    if (!fits) return;
    int columns = mean ? 2 * n : n;
    A* shared = reinterpret_cast<A*>(dynamic_shared);
    auto put = [&](int column, A value) {
        if (gridDim.x > 1) parts[(long long)blockIdx.x * columns + column] = value;
        else put_weight<T>(column < n ? dw : db, full, column < n ? column : column - n, value);
    };
    auto keep = [&](int column, A value) {
        if (blockDim.y == 1) put(column, value);
        else shared[threadIdx.y * columns + column] = value;
    };
    Piece::each(0, n, [&](int k, int i) {
        for (int j = 0; j < N; j++) {
            keep(i + j, dws[k][j]);
            if (mean) keep(n + i + j, dbs[k][j]);
        }
    });
    if (blockDim.y == 1) return;
    __syncthreads();
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < columns; i += blockDim.x * blockDim.y) {
        A total = 0;
        for (int r = 0; r < blockDim.y; r++) total += shared[r * columns + i];
        put(i, total);
    }
}

// dw and db of long rows, of the rows blockIdx.y, blockIdx.y + gridDim.y, ..., into `parts`: a thread takes a vector of
// columns.
template <class T, bool WIDE, class A = accumulator<T>>
__global__ void columns(const T* dy, const T* x, const A* mean, const A* rstd, A* parts, long long count, int n) {
    constexpr int N = Tile<T, WIDE>::N;
    int i = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (i >= n) return;
    A dws[N] = {}, dbs[N] = {};
#pragma unroll 4
    for (long long row = blockIdx.y; row < count; row += gridDim.y) {
        auto xs = load<N>(x + row * n + i), dys = load<N>(dy + row * n + i);
        A centre = mean ? mean[row] : A(0), scale = rstd[row];
        for (int j = 0; j < N; j++) dws[j] += A(dys[j]) * (A(xs[j]) - centre) * scale, dbs[j] += A(dys[j]);
    }
    parts += (long long)blockIdx.y * (mean ? 2 * n : n);
    for (int j = 0; j < N; j++) {
        parts[i + j] = dws[j];
        if (mean) parts[n + i + j] = dbs[j];
    }
}

// dw and db from `parts`[count][dw, db][n], or [count][n] where there is no db. A block is (32 columns, threads a
// column).
template <class T, class A = accumulator<T>>
__global__ void add_parts(const A* parts, T* dw, T* db, int count, int n) {
    int column = blockIdx.x * 32 + threadIdx.x, columns = db ? 2 * n : n;
    A total[1] = {};
#pragma unroll 4
    for (int i = threadIdx.y; column < columns && i < count; i += blockDim.y)
        total[0] += parts[(long long)i * columns + column];
    column_sums(total);
    if (threadIdx.y || column >= columns) return;
    (column < n ? dw : db - n)[column] = T(total[0]);
}

// dx of group norm, and for each item and channel what it adds to dw and db, into `parts`[items][dw, db][channels]. A
// block is a group: (threads a channel, channels at a time). The second pass finds the group in the L1 or L2 cache.
template <class T, bool WIDE, class A = accumulator<T>>
__global__ void __launch_bounds__(512, 2)
groups_dx(const T* dy, const T* x, const void* w, bool full, const A* mean, const A* rstd, T* dx, A* parts, int groups,
          int channels, int plane) {
    constexpr int N = Tile<T, WIDE>::N;
    int item = blockIdx.x / groups, first = blockIdx.x % groups * channels, all = groups * channels;
    long long start = blockIdx.x * (long long)channels * plane;
    A centre = mean[blockIdx.x], scale = rstd[blockIdx.x], total[2] = {};
    for (int begin = 0; begin < channels; begin += blockDim.y) {
        int channel = begin + threadIdx.y, own = channel < channels ? plane : 0;
        long long at = start + (long long)channel * plane;
        A sums[2] = {};
#pragma unroll 2
        for (int i = threadIdx.x * N; i < own; i += blockDim.x * N) {
            auto xs = load<N>(x + at + i), dys = load<N>(dy + at + i);
            for (int j = 0; j < N; j++) sums[0] += A(dys[j]), sums[1] += A(dys[j]) * (A(xs[j]) - centre) * scale;
        }
        row_sums(sums);
        if (!own || threadIdx.x) continue;
        A scaled = w ? weight<T>(w, full, first + channel) : A(1);
        total[0] += scaled * sums[0], total[1] += scaled * sums[1];
        parts[(2LL * item) * all + first + channel] = sums[1];
        parts[(2LL * item + 1) * all + first + channel] = sums[0];
    }
    A count = A(channels) * plane, level = block_sum(total[0]) / count, along = block_sum(total[1]) / count;
    for (int channel = threadIdx.y; channel < channels; channel += blockDim.y) {
        A scaled = w ? weight<T>(w, full, first + channel) : A(1);
        long long at = start + (long long)channel * plane;
#pragma unroll 2
        for (int i = threadIdx.x * N; i < plane; i += blockDim.x * N) {
            auto xs = load<N>(x + at + i), dys = load<N>(dy + at + i);
            for (int j = 0; j < N; j++)
                dys[j] = T(scale * (A(dys[j]) * scaled - level - (A(xs[j]) - centre) * scale * along));
            store(dx + at + i, dys);
        }
    }
}
