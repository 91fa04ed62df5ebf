// Optimizer steps, and scaling, clipping and norms of gradients: one launch for all tensors of a list.
//
// The launch reads a table of 8-byte words from device memory, so that a captured graph can be given other numbers
// before each replay. For n tensors with W addresses each:
//
//     [0, 16)         numbers for all tensors: the rate, the betas, ...
//     2n words        two numbers for each tensor
//     Wn words        addresses: the parameter, its gradient, its state
//     n words         sizes
//     a word a block  the tensor (low half) and the part of it (high half) that the block works on
//
// A step reads and writes each element once, 16 bytes an instruction, so the memory's bandwidth is its time.
#include "warp.cuh"

constexpr int NUMBERS = 16, OWN = 2, PART = 8192, THREADS = 256;

// One block's share of the work.
template <int W> struct Work {
    const double* numbers;
    const double* own;
    const long long* addresses;
    long long begin;
    int count;
    bool wide;  // all addresses are multiples of 16

    __device__ __forceinline__ Work(const long long* table, int tensors) {
        long long entry = table[NUMBERS + (OWN + W + 1) * (long long)tensors + blockIdx.x];
        int tensor = int(entry & 0xffffffff);
        long long size = table[NUMBERS + (OWN + W) * (long long)tensors + tensor];
        numbers = reinterpret_cast<const double*>(table);
        own = numbers + NUMBERS + OWN * tensor;
        addresses = table + NUMBERS + OWN * tensors + W * tensor;
        begin = (entry >> 32) * PART;
        count = int(size - begin < PART ? size - begin : PART);
        wide = true;
        for (int i = 0; i < W; i++) wide = wide && addresses[i] % 16 == 0;
    }

    template <class T> __device__ __forceinline__ T* at(int i) const {
        return reinterpret_cast<T*>(addresses[i]) + begin;
    }
};

// `f(a)` for all elements of the block's share: a[i] is the element of array i. READ is a set of bits: of the arrays
// that are read; WRITE of those that are written.
template <class T, int W, unsigned READ, unsigned WRITE, int N, class F>
__device__ __forceinline__ void each(const Work<W>& work, int from, int to, F f) {
    using A = accumulator<T>;
    T* at[W];
    for (int i = 0; i < W; i++) at[i] = work.template at<T>(i);
    for (int k = from + threadIdx.x * N; k < to; k += THREADS * N) {
        vector<T, N> values[W];
#pragma unroll
        for (int i = 0; i < W; i++)
            if (READ >> i & 1) values[i] = load<N>(at[i] + k);
#pragma unroll
        for (int j = 0; j < N; j++) {
            A a[W];
#pragma unroll
            for (int i = 0; i < W; i++)
                if (READ >> i & 1) a[i] = A(values[i][j]);
            f(a);
#pragma unroll
            for (int i = 0; i < W; i++)
                if (WRITE >> i & 1) values[i][j] = T(a[i]);
        }
#pragma unroll
        for (int i = 0; i < W; i++)
            if (WRITE >> i & 1) store(at[i] + k, values[i]);
    }
}

template <class T, int W, unsigned READ, unsigned WRITE, class F>
__device__ __forceinline__ void all(const Work<W>& work, F f) {
    constexpr int N = 16 / sizeof(T);
    int whole = work.wide ? work.count / N * N : 0;
    each<T, W, READ, WRITE, N>(work, 0, whole, f);
    each<T, W, READ, WRITE, 1>(work, whole, work.count, f);
}

// Optimizers: `numbers` as the launcher orders them, `own` the tensor's; a[0] is the parameter, a[1] its gradient.

template <class A> __device__ __forceinline__ A gradient(A p, A g, A decay, A sign) {
    A d = sign * g;
    return decay != 0 ? d + decay * p : d;
}

// rest a + w b with rest = 1 - w, exact at both ends.
template <class A> __device__ __forceinline__ A lerp(A a, A b, A w, A rest) {
    return w < rest ? a + w * (b - a) : b - rest * (b - a);
}

template <class A> struct Sgd {
    static constexpr int W = 2;
    A lr, decay, sign;
    __device__ Sgd(const double* n, const double* own) : lr(n[0]), decay(n[1]), sign(n[2]) {}
    __device__ __forceinline__ void operator()(A (&a)[W]) const { a[0] -= lr * gradient(a[0], a[1], decay, sign); }
};

template <class A> struct Momentum {
    static constexpr int W = 3;
    A lr, decay, sign, momentum, share;
    bool nesterov, first;
    __device__ Momentum(const double* n, const double* own)
        : lr(n[0]), decay(n[1]), sign(n[2]), momentum(n[3]), share(n[4]), nesterov(n[5] != 0), first(own[0] != 0) {}
    __device__ __forceinline__ void operator()(A (&a)[W]) const {
        A d = gradient(a[0], a[1], decay, sign);
        a[2] = first ? d : momentum * a[2] + share * d;
        a[0] -= lr * (nesterov ? d + momentum * a[2] : a[2]);
    }
};

template <class A, bool AMSGRAD> struct AnyAdam {
    static constexpr int W = AMSGRAD ? 5 : 4;
    A shrink, decay, sign, w1, rest1, beta2, w2, eps, size, root;
    __device__ AnyAdam(const double* n, const double* own)
        : shrink(n[0]), decay(n[1]), sign(n[2]), w1(n[3]), rest1(n[4]), beta2(n[5]), w2(n[6]), eps(n[7]),
          size(own[0]), root(own[1]) {}
    __device__ __forceinline__ void operator()(A (&a)[W]) const {
        A d = gradient(a[0], a[1], decay, sign);
        a[2] = lerp(a[2], d, w1, rest1);
        a[3] = beta2 * a[3] + w2 * d * d;
        A v = a[3];
        if constexpr (AMSGRAD) v = a[W - 1] = Max()(a[W - 1], a[3]);
        a[0] = a[0] * shrink - size * a[2] / (sqrt(v) / root + eps);
    }
};
template <class A> struct Adam : AnyAdam<A, false> { using AnyAdam<A, false>::AnyAdam; };
template <class A> struct Amsgrad : AnyAdam<A, true> { using AnyAdam<A, true>::AnyAdam; };

template <class A> struct Adagrad {
    static constexpr int W = 3;
    A decay, sign, eps, rate;
    __device__ Adagrad(const double* n, const double* own) : decay(n[0]), sign(n[1]), eps(n[2]), rate(own[0]) {}
    __device__ __forceinline__ void operator()(A (&a)[W]) const {
        A d = gradient(a[0], a[1], decay, sign);
        a[2] += d * d;
        a[0] -= rate * d / (sqrt(a[2]) + eps);
    }
};

template <class A, bool CENTERED, bool MOMENTUM> struct AnyRMSprop {
    static constexpr int W = 3 + CENTERED + MOMENTUM;
    A lr, decay, sign, alpha, share, eps, momentum;
    __device__ AnyRMSprop(const double* n, const double* own)
        : lr(n[0]), decay(n[1]), sign(n[2]), alpha(n[3]), share(n[4]), eps(n[5]), momentum(n[6]) {}
    __device__ __forceinline__ void operator()(A (&a)[W]) const {
        A d = gradient(a[0], a[1], decay, sign);
        a[2] = alpha * a[2] + share * d * d;
        A square = a[2];
        if constexpr (CENTERED) {
            a[3] = lerp(a[3], d, share, alpha);
            square -= a[3] * a[3];
        }
        d /= sqrt(square) + eps;
        if constexpr (MOMENTUM) d = a[W - 1] = momentum * a[W - 1] + d;
        a[0] -= lr * d;
    }
};
template <class A> struct RMSprop : AnyRMSprop<A, false, false> { using AnyRMSprop<A, false, false>::AnyRMSprop; };
template <class A> struct RMSpropMomentum : AnyRMSprop<A, false, true> {
    using AnyRMSprop<A, false, true>::AnyRMSprop;
};
template <class A> struct RMSpropCentered : AnyRMSprop<A, true, false> {
    using AnyRMSprop<A, true, false>::AnyRMSprop;
};
template <class A> struct RMSpropBoth : AnyRMSprop<A, true, true> { using AnyRMSprop<A, true, true>::AnyRMSprop; };

template <template <class> class F, class T>
__global__ void __launch_bounds__(THREADS) step(const long long* table, int tensors) {
    using Update = F<accumulator<T>>;
    constexpr int W = Update::W;
    constexpr unsigned EVERY = (1u << W) - 1;
    Work<W> work(table, tensors);
    Update update(work.numbers, work.own);
    all<T, W, EVERY, EVERY & ~2u>(work, update);  // the gradient stays as it is
}

// Gradients: the table has one address a tensor, and these numbers.

// a *= numbers[0]; where a result is not finite, *infinite = true.
template <class T> __global__ void __launch_bounds__(THREADS) unscale(const long long* table, int tensors,
                                                                      bool* infinite) {
    using A = accumulator<T>;
    Work<1> work(table, tensors);
    A factor = A(work.numbers[0]);
    bool bad = false;
    all<T, 1, 1, 1>(work, [&](A(&a)[1]) {
        a[0] *= factor;
        A stored = A(T(a[0]));
        bad = bad || stored - stored != 0;  // inf - inf and nan - nan are nan
    });
    if (bad) *infinite = true;  // all who write, write the same
}

// a *= numbers[0] / (total + 1e-6) where that is less than 1, or nan.
template <class T> __global__ void __launch_bounds__(THREADS) shorten(const long long* table, int tensors,
                                                                      const T* total) {
    using A = accumulator<T>;
    Work<1> work(table, tensors);
    double ratio = work.numbers[0] / (double(A(*total)) + 1e-6);
    if (ratio >= 1) return;  // nothing to read either
    A factor = A(ratio);
    all<T, 1, 1, 1>(work, [&](A(&a)[1]) { a[0] *= factor; });
}

// a within [-numbers[0], numbers[0]]; nan stays.
template <class T> __global__ void __launch_bounds__(THREADS) clamp(const long long* table, int tensors) {
    using A = accumulator<T>;
    Work<1> work(table, tensors);
    A bound = A(work.numbers[0]);
    all<T, 1, 1, 1>(work, [&](A(&a)[1]) { a[0] = a[0] < -bound ? -bound : a[0] > bound ? bound : a[0]; });
}

// What the elements add to a norm, as doubles: squares of floats neither overflow nor vanish.
struct Squares {
    using Merge = Sum;
    static __device__ __forceinline__ double of(double a) { return a * a; }
    static __device__ __forceinline__ double root(double sum) { return sqrt(sum); }
};

struct Largest {
    using Merge = Max;
    static __device__ __forceinline__ double of(double a) { return abs(a); }
    static __device__ __forceinline__ double root(double top) { return top; }
};

// parts[block]: the block's share of the norm.
template <class F, class T>
__global__ void __launch_bounds__(THREADS) norm_parts(const long long* table, int tensors, double* parts) {
    using A = accumulator<T>;
    Work<1> work(table, tensors);
    typename F::Merge merge;
    double sum = 0;
    all<T, 1, 1, 0>(work, [&](A(&a)[1]) { sum = merge(sum, F::of(double(a[0]))); });
    sum = block_reduce(sum, merge);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block adds the parts in an order that depends on their number alone: the same sum at every run.
template <class F, class T>
__global__ void __launch_bounds__(THREADS) norm_total(const double* parts, int count, T* total) {
    typename F::Merge merge;
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) sum = merge(sum, parts[i]);
    sum = block_reduce(sum, merge);
    if (threadIdx.x == 0) *total = T(accumulator<T>(F::root(sum)));
}
