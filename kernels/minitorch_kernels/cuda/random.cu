// Random numbers by Philox4x32-10: a function of seed and position, so that every thread draws without a state to keep.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Which thread draws what follows
// PyTorch's kernels, so that the same seed gives the same numbers (normal ones but for the last bits).
#include "types.cuh"

typedef unsigned long long u64;

struct Words {
    unsigned at[4];
};

// Four words for the 128 bits of (counter, thread): ten rounds of two products, halves exchanged, keys added.
__device__ __forceinline__ Words philox(u64 seed, u64 counter, u64 thread) {
    unsigned a = counter, b = counter >> 32, c = thread, d = thread >> 32, key = seed, key2 = seed >> 32;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u64 p = 0xD2511F53ull * a, q = 0xCD9E8D57ull * c;
        a = unsigned(q >> 32) ^ b ^ key, b = unsigned(q);
        c = unsigned(p >> 32) ^ d ^ key2, d = unsigned(p);
        key += 0x9E3779B9u, key2 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

// Where the stream stands. `place`, if it is not null, holds the seed and an offset in device memory: what a captured
// graph reads, so that each replay draws new numbers.
struct Stream {
    u64 seed, counter;
    __device__ __forceinline__ Stream(u64 seed, u64 offset, const u64* place)
        : seed(place ? place[0] : seed), counter(((place ? place[1] : 0) + offset) / 4) {}
};

// What four words give: numbers of type A, 4 of 32 bits or 2 of 64.
template <class A> struct Numbers {
    static constexpr int COUNT = 16 / sizeof(A);
    A at[COUNT];
};

// Uniform in (0, 1]: the middle of each of 2^32 or 2^53 intervals, which float rounds up to 1 at the end.
__device__ __forceinline__ void uniform(const Words& w, Numbers<float>& u) {
    for (int i = 0; i < 4; i++) u.at[i] = fma(float(w.at[i]), 2.3283064365386963e-10f, 1.1641532182693481e-10f);
}
__device__ __forceinline__ double unit(unsigned low, unsigned high) {
    return fma(double(low ^ u64(high) << 21), 1.1102230246251565e-16, 5.5511151231257827e-17);
}
__device__ __forceinline__ void uniform(const Words& w, Numbers<double>& u) {
    for (int i = 0; i < 2; i++) u.at[i] = unit(w.at[2 * i], w.at[2 * i + 1]);
}

// A pair of normal numbers. Box and Muller, Ann. Math. Statist. 29 (1958) 610.
template <class A> __device__ __forceinline__ void polar(A u, A half_turns, A* z) {
    A s, c, radius = sqrt(A(-2) * log(u));
    if constexpr (sizeof(A) == 4) sincospif(half_turns, &s, &c);
    else sincospi(half_turns, &s, &c);
    z[0] = s * radius, z[1] = c * radius;
}

struct Uniform {  // in [low, low + range): what rounds to the end becomes low
    template <class A> static __device__ __forceinline__ void draw(const Words& w, Numbers<A>& x) { uniform(w, x); }
    template <class T, class A> static __device__ __forceinline__ T make(A u, double low, double high) {
        T first = T(A(low)), end = T(A(high));
        T x = T(fma(u, A(T(A(end) - A(first))), A(first)));
        return A(x) == A(end) ? first : x;
    }
};

struct Normal {
    static __device__ __forceinline__ void draw(const Words& w, Numbers<float>& z) {
        Numbers<float> u;
        uniform(w, u);
        for (int i = 0; i < 4; i += 2) polar(u.at[i], 2 * u.at[i + 1], z.at + i);
    }
    static __device__ __forceinline__ void draw(const Words& w, Numbers<double>& z) {
        Numbers<double> u;
        uniform(w, u);
        polar(u.at[0], 2 * u.at[1], z.at);
    }
    template <class T, class A> static __device__ __forceinline__ T make(A z, double mean, double std) {
        return T(fma(z, A(std), A(mean)));
    }
};

struct Exponential {  // -log(u) / rate, never 0
    template <class A> static __device__ __forceinline__ void draw(const Words& w, Numbers<A>& x) { uniform(w, x); }
    template <class T, class A> static __device__ __forceinline__ T make(A u, double rate, double) {
        const A step = sizeof(A) == 4 ? A(5.9604644775390625e-08) : A(1.1102230246251565e-16);  // half of epsilon
        A logarithm = u >= A(1) - step ? -step : log(u);
        return T(A(-1) / A(rate) * logarithm);
    }
};

struct Bernoulli {
    template <class A> static __device__ __forceinline__ void draw(const Words& w, Numbers<A>& x) { uniform(w, x); }
    template <class T, class A> static __device__ __forceinline__ T make(A u, double p, double) {
        return T(u < A(p) ? 1.0f : 0.0f);
    }
};

// Integers from `first` on, `count` of them (0: all of 64 bits), as remainders of words of type W.
template <class W> struct Integers {
    static __device__ __forceinline__ void draw(const Words& w, Numbers<unsigned>& x) {
        for (int i = 0; i < 4; i++) x.at[i] = w.at[i];
    }
    static __device__ __forceinline__ void draw(const Words& w, Numbers<u64>& x) {
        for (int i = 0; i < 2; i++) x.at[i] = u64(w.at[2 * i]) << 32 | w.at[2 * i + 1];
    }
    template <class T> static __device__ __forceinline__ T make(W word, u64 first, u64 count) {
        return T((W(count) ? word % W(count) : word) + first);
    }
};

// The numbers that a T of distribution D is made of.
template <class D, class T> struct Drawn { typedef accumulator<T> type; };
template <class W, class T> struct Drawn<Integers<W>, T> { typedef W type; };

// A thread's four words go to places that are as far apart as there are threads, so that stores lie side by side.
template <class D, class T, class P>
__device__ __forceinline__ void fill(T* out, u64 size, P a, P b, Stream stream) {
    u64 threads = u64(gridDim.x) * blockDim.x, thread = blockIdx.x * u64(blockDim.x) + threadIdx.x;
    typedef Numbers<typename Drawn<D, T>::type> Several;
    for (u64 first = thread; first < size; first += threads * Several::COUNT) {
        Several x;
        D::draw(philox(stream.seed, stream.counter++, thread), x);
#pragma unroll
        for (int i = 0; i < Several::COUNT; i++)
            if (first + i * threads < size) out[first + i * threads] = D::template make<T>(x.at[i], a, b);
    }
}

template <class D, class T>
__global__ void __launch_bounds__(256) numbers(T* out, u64 size, double a, double b, u64 seed, u64 offset,
                                               const u64* place) {
    fill<D>(out, size, a, b, Stream(seed, offset, place));
}

template <class W, class T>
__global__ void __launch_bounds__(256) integers(T* out, u64 size, u64 first, u64 count, u64 seed, u64 offset,
                                                const u64* place) {
    fill<Integers<W>>(out, size, first, count, Stream(seed, offset, place));
}

// 1 with the probability that stands at its place, else 0; a thread draws for four that lie side by side.
template <class T>
__global__ void __launch_bounds__(256) bernoulli_each(const accumulator<T>* p, T* out, u64 size, u64 seed, u64 offset,
                                                      const u64* place) {
    Stream stream(seed, offset, place);
    u64 threads = u64(gridDim.x) * blockDim.x;
    for (u64 thread = blockIdx.x * u64(blockDim.x) + threadIdx.x; 4 * thread < size; thread += threads) {
        Numbers<float> u;
        uniform(philox(stream.seed, stream.counter, thread), u);
        for (int i = 0; i < 4; i++)
            if (4 * thread + i < size) out[4 * thread + i] = T(u.at[i] <= p[4 * thread + i] ? 1.0f : 0.0f);
    }
}

__device__ __forceinline__ u64 quotient(u64 a, u64 b) {  // in 32 bits where they suffice: a third of the instructions
    return (a | b) >> 32 ? a / b : unsigned(a) / unsigned(b);
}

// Dropout: y = x scale with probability `keep`, else 0, and the choice in bits, eight elements a byte, for backward.
// A thread does a byte of them. `threads` are those of PyTorch's kernel, each of which drew for V elements at a time.
template <class T, int V>
__global__ void __launch_bounds__(256) dropout(const T* x, T* y, unsigned char* bits, u64 size, u64 threads,
                                               accumulator<T> keep, accumulator<T> scale, u64 seed, u64 offset,
                                               const u64* place) {
    constexpr int W = V < 4 ? V : 4;  // elements that four words serve
    Stream stream(seed, offset, place);
    u64 step = 8 * u64(gridDim.x) * blockDim.x;
    for (u64 first = 8 * (blockIdx.x * u64(blockDim.x) + threadIdx.x); first < size; first += step) {
        unsigned byte = 0;
#pragma unroll
        for (int j = 0; j < 8; j += V) {
            u64 i = first + j;
            if (i >= size) break;
            vector<T, V> in = load<V>(x + i), out;
            u64 group = i / V, round = quotient(group, threads), thread = group - round * threads;
#pragma unroll
            for (int k = 0; k < V; k += W) {
                Numbers<float> u;
                u64 counter = V == 1 ? round / 4 : V == 8 ? 2 * round + k / 4 : round;
                uniform(philox(stream.seed, stream.counter + counter, thread), u);
#pragma unroll
                for (int n = 0; n < W; n++) {
                    float own = V > 1 ? u.at[n] : round & 2 ? (round & 1 ? u.at[3] : u.at[2]) : round & 1 ? u.at[1] : u.at[0];
                    bool kept = own < keep;
                    byte |= unsigned(kept) << (j + k + n);
                    out[k + n] = T(kept ? accumulator<T>(in[k + n]) * scale : accumulator<T>(0));
                }
            }
            store(y + i, out);
        }
        bits[first / 8] = byte;
    }
}

// The place that a captured graph reads: written by a launch, which the stream puts in order before the replay.
__global__ void put(u64* place, u64 seed, u64 offset) {
    place[0] = seed, place[1] = offset;
}
