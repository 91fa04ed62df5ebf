// Cross entropy and negative log-likelihood of class indices: the logits are read once, a row's maximum and sum at once.
//
// A target outside of the classes reads nothing, and gives nan: a GPU cannot raise an error without being waited for.
#include "online.cuh"

// What is wanted: the target of a row, the classes' weights (null: all 1), and how even the labels are made.
template <class T> struct Wanted {
    using A = accumulator<T>;
    const long long* target;
    const T* weight;
    long long ignored;
    double smoothing;

    __device__ __forceinline__ A of(int c) const { return weight ? A(weight[c]) : A(1); }
    __device__ __forceinline__ A hit() const { return A(1 - smoothing); }
    __device__ __forceinline__ A even(int n) const { return A(smoothing / n); }
};

// Where the results go: the loss of each target, or, for a sum, pairs of loss and weight; and log(sum(exp)).
template <class T> struct Losses {
    using A = accumulator<T>;
    T* each;
    A* pairs;  // (2, count)
    A* lse;
    long long count;

    __device__ __forceinline__ void put(long long i, A loss, A weight, A sum) const {
        if (each) each[i] = T(loss);
        pairs[i] = loss, pairs[count + i] = weight;
        if (lse) lse[i] = sum;
    }
};

template <class A> __device__ __forceinline__ A not_a_number() { return infinity<A>() * 0; }

__device__ __forceinline__ bool outside(long long t, int n) { return t < 0 || t >= n; }

// (lse - x) w, where 0 times infinity is 0: what has no weight does not count.
template <class A> __device__ __forceinline__ A cost(A lse, A x, A w) { return w != 0 ? w * (lse - x) : A(0); }

// Rows of n logits that follow each other. A block is (threads a row, rows), as for softmax.
template <class T, bool WIDE>
__global__ void entropy_rows(const T* x, const long long* target, const T* weight, long long ignored, double smoothing,
                             T* each, accumulator<T>* pairs, accumulator<T>* lses, long long count, int n) {
    using A = accumulator<T>;
    constexpr int N = WIDE ? 16 / sizeof(T) : 1;
    Wanted<T> wanted{target, weight, ignored, smoothing};
    Losses<T> losses{each, pairs, lses, count};
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    bool mine = row < count;
    long long t = mine ? target[row] : ignored;
    bool counted = mine && t != ignored && !outside(t, n);
    x += row * n;
    Online<A> seen;
    for (int i = threadIdx.x * N; counted && i < n; i += blockDim.x * N) {
        auto values = load<N>(x + i);
        for (int j = 0; j < N; j++) seen.add(values[j]);
    }
    seen = blockDim.x == 32 ? warp_reduce_online(seen) : block_reduce_online(seen);
    A lse = seen.top + log(seen.sum), even = 0;
    if (smoothing != 0) {  // the second pass finds the row in a cache
        for (int i = threadIdx.x; counted && i < n; i += blockDim.x) even += cost(lse, A(x[i]), wanted.of(i));
        even = blockDim.x == 32 ? warp_sum(even) : block_sum(even);
    }
    if (!mine || threadIdx.x != 0) return;
    if (counted) {
        A w = wanted.of(t);
        losses.put(row, wanted.hit() * cost(lse, A(x[t]), w) + wanted.even(n) * even, w, lse);
    } else if (t == ignored) {
        losses.put(row, 0, 0, 0);
    } else {
        losses.put(row, not_a_number<A>(), 1, not_a_number<A>());
    }
}

// x[outer, n, inner]: a thread a target, so that a warp reads neighbours.
template <class T>
__global__ void entropy_columns(const T* x, const long long* target, const T* weight, long long ignored,
                                double smoothing, T* each, accumulator<T>* pairs, accumulator<T>* lses, long long count,
                                int n, long long inner) {
    using A = accumulator<T>;
    Wanted<T> wanted{target, weight, ignored, smoothing};
    Losses<T> losses{each, pairs, lses, count};
    long long column = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (column >= count) return;
    long long t = target[column];
    if (t == ignored) return losses.put(column, 0, 0, 0);
    if (outside(t, n)) return losses.put(column, not_a_number<A>(), 1, not_a_number<A>());
    x += column / inner * inner * n + column % inner;
    Online<A> seen;
    for (int i = 0; i < n; i++) seen.add(x[i * inner]);
    A lse = seen.top + log(seen.sum), even = 0, w = wanted.of(t);
    for (int i = 0; smoothing != 0 && i < n; i++) even += cost(lse, A(x[i * inner]), wanted.of(i));
    losses.put(column, wanted.hit() * cost(lse, A(x[t * inner]), w) + wanted.even(n) * even, w, lse);
}

// What a target's derivative is multiplied by: its own dloss, or the common one over the sum of weights (null: a sum).
template <class T>
__device__ __forceinline__ accumulator<T> share(const T* dloss, const accumulator<T>* weights, bool own, long long i) {
    using A = accumulator<T>;
    A d = A(dloss[own ? i : 0]);
    return weights ? d / *weights : d;
}

// share (softmax(x) sum(q) - q), with q the weights of the classes in the loss; `all` is the sum of `weight`.
template <class T, bool WIDE>
__global__ void entropy_rows_dx(const T* dloss, const T* x, const long long* target, const T* weight,
                                const accumulator<T>* all, long long ignored, double smoothing,
                                const accumulator<T>* lses, const accumulator<T>* weights, bool own, T* dx,
                                long long count, int n) {
    using A = accumulator<T>;
    constexpr int N = WIDE ? 16 / sizeof(T) : 1;
    Wanted<T> wanted{target, weight, ignored, smoothing};
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (row >= count) return;
    long long t = target[row];
    x += row * n, dx += row * n;
    bool counted = t != ignored;
    A scale = 0, lse = lses[row], hit = 0, sum = 0, even = wanted.even(n);
    if (counted) {  // where the target is outside of the classes, lse is nan, and so is all below
        scale = share(dloss, weights, own, row);
        hit = wanted.hit() * (outside(t, n) ? A(1) : wanted.of(t));
        sum = hit + even * (all ? *all : A(n));
    }
    for (int i = threadIdx.x * N; i < n; i += blockDim.x * N) {
        vector<T, N> values;
        if (counted) values = load<N>(x + i);
        for (int j = 0; j < N; j++) {
            A q = smoothing != 0 ? even * wanted.of(i + j) : A(0);
            if (i + j == t) q += hit;
            values[j] = T(counted ? scale * (exp(A(values[j]) - lse) * sum - q) : A(0));
        }
        store(dx + i, values);
    }
}

template <class T>
__global__ void entropy_columns_dx(const T* dloss, const T* x, const long long* target, const T* weight,
                                   const accumulator<T>* all, long long ignored, double smoothing,
                                   const accumulator<T>* lses, const accumulator<T>* weights, bool own, T* dx,
                                   long long count, int n, long long inner) {
    using A = accumulator<T>;
    Wanted<T> wanted{target, weight, ignored, smoothing};
    long long column = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (column >= count) return;
    long long t = target[column], start = column / inner * inner * n + column % inner;
    bool counted = t != ignored;
    A scale = 0, lse = lses[column], hit = 0, sum = 0, even = wanted.even(n);
    if (counted) {
        scale = share(dloss, weights, own, column);
        hit = wanted.hit() * (outside(t, n) ? A(1) : wanted.of(t));
        sum = hit + even * (all ? *all : A(n));
    }
    for (int i = 0; i < n; i++) {
        long long at = start + i * inner;
        A q = smoothing != 0 ? even * wanted.of(i) : A(0);
        if (i == t) q += hit;
        dx[at] = T(counted ? scale * (exp(A(x[at]) - lse) * sum - q) : A(0));
    }
}

// Of log-probabilities [outer, n, inner]: minus the one at each target. Without `logp` just the weights.
template <class T>
__global__ void likelihood(const T* logp, const long long* target, const T* weight, long long ignored, T* each,
                           accumulator<T>* pairs, long long count, int n, long long inner) {
    using A = accumulator<T>;
    Wanted<T> wanted{target, weight, ignored, 0};
    Losses<T> losses{each, pairs, nullptr, count};
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long t = target[i];
    if (t == ignored) return losses.put(i, 0, 0, 0);
    if (outside(t, n)) return losses.put(i, not_a_number<A>(), 1, 0);
    A w = wanted.of(t);
    losses.put(i, logp ? cost(A(0), A(logp[(i / inner * n + t) * inner + i % inner]), w) : A(0), w, 0);
}

// -share weight[t] at each target of `dx`, which holds zeros; nan over all classes of a target that is none of them.
template <class T>
__global__ void likelihood_dx(const T* dloss, const long long* target, const T* weight, long long ignored,
                              const accumulator<T>* weights, bool own, T* dx, long long count, int n, long long inner) {
    using A = accumulator<T>;
    Wanted<T> wanted{target, weight, ignored, 0};
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long t = target[i];
    if (t == ignored) return;
    dx += i / inner * n * inner + i % inner;
    if (!outside(t, n)) dx[t * inner] = T(-share(dloss, weights, own, i) * wanted.of(t));
    for (int c = 0; outside(t, n) && c < n; c++) dx[c * inner] = T(not_a_number<A>());
}

// sums[0, block] and sums[1, block]: of `span` pairs each, in an order that depends on their number alone.
template <class A> __global__ void sum_pairs(const A* pairs, A* sums, long long count, long long span) {
    long long begin = blockIdx.x * span, end = begin + span < count ? begin + span : count;
    A loss = 0, weight = 0;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) loss += pairs[i], weight += pairs[count + i];
    loss = block_sum(loss), weight = block_sum(weight);
    if (threadIdx.x == 0) sums[blockIdx.x] = loss, sums[gridDim.x + blockIdx.x] = weight;
}

// One block: the loss of all targets, or their mean over the weights, and the sum of the weights.
template <class T>
__global__ void finish(const accumulator<T>* pairs, long long count, bool mean, T* loss, accumulator<T>* weights) {
    accumulator<T> sum = 0, weight = 0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x) sum += pairs[i], weight += pairs[count + i];
    sum = block_sum(sum), weight = block_sum(weight);
    if (threadIdx.x != 0) return;
    *loss = T(mean ? sum / weight : sum);
    *weights = weight;
}
