// Pooling over windows of 1 to 3 axes, and its gradients, which gather: the order of their sums is always the same.
#include "warp.cuh"

// The geometry of every plane, axes being depth, rows, columns; a missing one has size 1 and windows of 1.
struct Windows {
    int size[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
    int adaptive;  // windows are the cells [floor(i size / out), ceil((i + 1) size / out)) instead
    int divisor;   // of a mean; 0: the number of its elements
    int padded;    // which counts the padding
};

struct Range { int begin, end, step; };

// The elements of x along an axis that window `o` holds.
__device__ __forceinline__ Range held(const Windows& g, int axis, int o) {
    int n = g.size[axis], out = g.out[axis], step = g.dilation[axis];
    if (g.adaptive) return {int(o * (long long)n / out), int(((o + 1LL) * n + out - 1) / out), 1};
    int begin = o * g.stride[axis] - g.padding[axis], end = min(begin + (g.kernel[axis] - 1) * step + 1, n);
    return {begin < 0 ? (-begin + step - 1) / step * step + begin : begin, end, step};
}

// The windows along an axis that hold element i, and, with dilation, perhaps others.
__device__ __forceinline__ Range holding(const Windows& g, int axis, int i) {
    int n = g.size[axis], out = g.out[axis], stride = g.stride[axis];
    if (g.adaptive) return {int(i * (long long)out / n), int(((i + 1LL) * out + n - 1) / n), 1};
    int reach = (g.kernel[axis] - 1) * g.dilation[axis] + 1, at = i + g.padding[axis];
    return {at < reach ? 0 : (at - reach) / stride + 1, min(at / stride + 1, out), 1};
}

// How many elements the mean of window `o` counts along an axis.
__device__ __forceinline__ int counted(const Windows& g, int axis, int o) {
    if (!g.padded) {
        Range r = held(g, axis, o);
        return r.end - r.begin;
    }
    return min(g.kernel[axis], g.size[axis] + 2 * g.padding[axis] - o * g.stride[axis]);
}

// U planes that a thread serves at once, so that as many loads are on their way.
template <int U> struct Planes {
    static constexpr int count = U;
    long long first, step;
    __device__ __forceinline__ long long operator[](int u) const { return first + u * step; }
};

// A thread's place in planes of `size`: what depends on it is found once for all the planes that the thread serves.
struct Place {
    int depth, row, column;
    long long at, area;
    bool inside;

    __device__ __forceinline__ Place(const int (&size)[3]) {
        unsigned across = (size[2] + blockDim.x - 1) / blockDim.x, down = blockIdx.x / across;
        int line = down * blockDim.y + threadIdx.y;  // all blocks of a plane lie along x: y has no more than 65535
        column = (blockIdx.x - down * across) * blockDim.x + threadIdx.x;
        depth = size[0] == 1 ? 0 : line / size[1];
        row = line - depth * size[1];
        inside = column < size[2] && depth < size[0] && row < size[1];
        at = (long long)line * size[2] + column;
        area = (long long)size[0] * size[1] * size[2];
    }

    template <class F> __device__ __forceinline__ void each(int planes, F f) const {
        if (!inside) return;
        long long p = blockIdx.y * blockDim.z + threadIdx.z, step = gridDim.y * blockDim.z;
        for (; p + 3 * step < planes; p += 4 * step) f(Planes<4>{p, step});
        for (; p < planes; p += step) f(Planes<1>{p, step});
    }
};

// f(position in a plane of `size`, the three coordinates) for all that the ranges hold, in order.
template <class F>
__device__ __forceinline__ void over(const int (&size)[3], const Range& a, const Range& b, const Range& c, F f) {
    for (int i = a.begin; i < a.end; i += a.step)
        for (int j = b.begin; j < b.end; j += b.step)
#pragma unroll 1
            for (int k = c.begin; k < c.end; k += c.step) f((i * size[1] + j) * size[2] + k, i, j, k);
}

// The largest element that was seen and its position: of equal ones the first, of NaN the last; -inf and -1 of none.
template <class A> struct Largest {
    A value = -infinity<A>();
    int place = -1;

    __device__ __forceinline__ void add(A x, int at) {
        if (x > value || x != x || place < 0) value = x, place = at;
    }

    __device__ __forceinline__ void join(A x, int at) {
        bool larger = x != x ? value == value || at > place : x > value || (x == value && at < place);
        if (at >= 0 && (place < 0 || larger)) value = x, place = at;
    }
};

template <class T, class I> __global__ void max_pool(const T* x, T* y, I* index, int planes, Windows g) {
    Place own(g.out);
    Range a = held(g, 0, own.depth), b = held(g, 1, own.row), c = held(g, 2, own.column);
    long long area = (long long)g.size[0] * g.size[1] * g.size[2];
    own.each(planes, [&](auto p) {
        constexpr int N = decltype(p)::count;
        Largest<accumulator<T>> found[N];
        over(g.size, a, b, c, [&](int i, int, int, int) {
            T values[N];
            for (int u = 0; u < N; u++) values[u] = x[p[u] * area + i];
            for (int u = 0; u < N; u++) found[u].add(values[u], i);
        });
        for (int u = 0; u < N; u++) {
            y[p[u] * own.area + own.at] = T(found[u].value);
            index[p[u] * own.area + own.at] = I(found[u].place);
        }
    });
}

// An element gathers from the windows that may have picked it.
template <class T, class I>
__global__ void max_pool_dx(const T* dy, const I* index, T* dx, int planes, Windows g) {
    Place own(g.size);
    Range a = holding(g, 0, own.depth), b = holding(g, 1, own.row), c = holding(g, 2, own.column);
    long long area = (long long)g.out[0] * g.out[1] * g.out[2];
    own.each(planes, [&](auto p) {
        constexpr int N = decltype(p)::count;
        accumulator<T> total[N] = {};
        over(g.out, a, b, c, [&](int o, int, int, int) {
            I picked[N];
            T dys[N];
            for (int u = 0; u < N; u++) picked[u] = index[p[u] * area + o], dys[u] = dy[p[u] * area + o];
            for (int u = 0; u < N; u++)
                if (picked[u] == own.at) total[u] += accumulator<T>(dys[u]);
        });
        for (int u = 0; u < N; u++) dx[p[u] * own.area + own.at] = T(total[u]);
    });
}

template <class T> __global__ void avg_pool(const T* x, T* y, int planes, Windows g) {
    using A = accumulator<T>;
    Place own(g.out);
    Range a = held(g, 0, own.depth), b = held(g, 1, own.row), c = held(g, 2, own.column);
    A count = A(counted(g, 0, own.depth)) * counted(g, 1, own.row) * counted(g, 2, own.column);
    if (g.divisor) count = g.divisor;
    long long area = (long long)g.size[0] * g.size[1] * g.size[2];
    own.each(planes, [&](auto p) {
        constexpr int N = decltype(p)::count;
        A total[N] = {};
        over(g.size, a, b, c, [&](int i, int, int, int) {
            for (int u = 0; u < N; u++) total[u] += A(x[p[u] * area + i]);
        });
        for (int u = 0; u < N; u++) y[p[u] * own.area + own.at] = T(total[u] / count);
    });
}

template <class T> __global__ void avg_pool_dx(const T* dy, T* dx, int planes, Windows g) {
    using A = accumulator<T>;
    Place own(g.size);
    Range a = holding(g, 0, own.depth), b = holding(g, 1, own.row), c = holding(g, 2, own.column);
    long long area = (long long)g.out[0] * g.out[1] * g.out[2];
    own.each(planes, [&](auto p) {
        constexpr int N = decltype(p)::count;
        A total[N] = {};
        over(g.out, a, b, c, [&](int o, int i, int j, int k) {
            A share = 1 / (g.divisor ? A(g.divisor) : A(counted(g, 0, i)) * counted(g, 1, j) * counted(g, 2, k));
            for (int u = 0; u < N; u++) total[u] += A(dy[p[u] * area + o]) * share;
        });
        for (int u = 0; u < N; u++) dx[p[u] * own.area + own.at] = T(total[u]);
    });
}

// Where a window is a whole plane of n elements, a warp takes a plane.
template <class T> __global__ void max_of_planes(const T* x, T* y, long long* index, int planes, int n) {
    using A = accumulator<T>;
    long long plane = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (plane >= planes) return;
    Largest<A> found;
#pragma unroll 4
    for (int i = threadIdx.x; i < n; i += 32) found.add(x[plane * n + i], i);
    for (int d = 16; d > 0; d /= 2)
        found.join(__shfl_xor_sync(ALL, found.value, d), __shfl_xor_sync(ALL, found.place, d));
    if (threadIdx.x == 0) y[plane] = T(found.value), index[plane] = found.place;
}

template <class T> __global__ void mean_of_planes(const T* x, T* y, int planes, int n, int divisor) {
    using A = accumulator<T>;
    long long plane = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (plane >= planes) return;
    A total = 0;
#pragma unroll 4
    for (int i = threadIdx.x; i < n; i += 32) total += A(x[plane * n + i]);
    total = warp_sum(total);
    if (threadIdx.x == 0) y[plane] = T(total / divisor);
}
