// Softmax and log-softmax along one dimension, and their derivatives: x is read from memory once.
#include "online.cuh"

struct Softmax {
    template <class A> static __device__ __forceinline__ A value(A x, A top, A sum) { return exp(x - top) / sum; }
    template <class A> static __device__ __forceinline__ A term(A dy, A y) { return dy * y; }
    template <class A> static __device__ __forceinline__ A dx(A dy, A y, A total) { return y * (dy - total); }
};

struct LogSoftmax {
    template <class A> static __device__ __forceinline__ A value(A x, A top, A sum) { return x - top - log(sum); }
    template <class A> static __device__ __forceinline__ A term(A dy, A y) { return dy; }
    template <class A> static __device__ __forceinline__ A dx(A dy, A y, A total) { return dy - exp(y) * total; }
};

// Rows of n elements that follow each other in memory. A block is (threads a row, rows): 32 threads a row for short
// ones, a whole block for long ones. The second pass finds the row in the L1 or L2 cache.
template <class F, class T, bool WIDE>
__global__ void rows(const T* x, T* y, long long count, int n) {
    using A = accumulator<T>;
    constexpr int N = WIDE ? 16 / sizeof(T) : 1;
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    bool mine = row < count;  // the others stay for the reductions
    x += row * n, y += row * n;
    Online<A> seen;
    for (int i = threadIdx.x * N; mine && i < n; i += blockDim.x * N) {
        auto values = load<N>(x + i);
        for (int j = 0; j < N; j++) seen.add(values[j]);
    }
    seen = blockDim.x == 32 ? warp_reduce_online(seen) : block_reduce_online(seen);
    for (int i = threadIdx.x * N; mine && i < n; i += blockDim.x * N) {
        auto values = load<N>(x + i);
        for (int j = 0; j < N; j++) values[j] = F::value(A(values[j]), seen.top, seen.sum);
        store(y + i, values);
    }
}

template <class F, class T, bool WIDE>
__global__ void rows_dx(const T* dy, const T* y, T* dx, long long count, int n) {
    using A = accumulator<T>;
    constexpr int N = WIDE ? 16 / sizeof(T) : 1;
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    bool mine = row < count;
    dy += row * n, y += row * n, dx += row * n;
    A total = 0;
    for (int i = threadIdx.x * N; mine && i < n; i += blockDim.x * N) {
        auto dys = load<N>(dy + i), ys = load<N>(y + i);
        for (int j = 0; j < N; j++) total += F::term(A(dys[j]), A(ys[j]));
    }
    total = blockDim.x == 32 ? warp_sum(total) : block_sum(total);
    for (int i = threadIdx.x * N; mine && i < n; i += blockDim.x * N) {
        auto dys = load<N>(dy + i), ys = load<N>(y + i);
        for (int j = 0; j < N; j++) dys[j] = F::dx(A(dys[j]), A(ys[j]), total);
        store(dx + i, dys);
    }
}

// x[outer, n, inner] along its middle dimension: a thread a column, so that a warp reads neighbours.
template <class F, class T>
__global__ void columns(const T* x, T* y, long long count, int n, long long inner) {
    using A = accumulator<T>;
    long long column = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (column >= count) return;
    long long start = column / inner * inner * n + column % inner;
    Online<A> seen;
    for (int i = 0; i < n; i++) seen.add(x[start + i * inner]);
    for (int i = 0; i < n; i++) y[start + i * inner] = F::value(A(x[start + i * inner]), seen.top, seen.sum);
}

template <class F, class T>
__global__ void columns_dx(const T* dy, const T* y, T* dx, long long count, int n, long long inner) {
    using A = accumulator<T>;
    long long column = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (column >= count) return;
    long long start = column / inner * inner * n + column % inner;
    A total = 0;
    for (int i = 0; i < n; i++) total += F::term(A(dy[start + i * inner]), A(y[start + i * inner]));
    for (int i = 0; i < n; i++) {
        long long at = start + i * inner;
        dx[at] = F::dx(A(dy[at]), A(y[at]), total);
    }
}
