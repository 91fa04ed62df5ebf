// Runs CUDA kernels on the CPU, for tests: one block after the other, its threads as fibers that switch at barriers.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

using std::isnan, std::isinf, std::isfinite, std::signbit, std::abs, std::min, std::max, std::exp, std::exp2, std::expm1;
using std::log, std::log2, std::log10, std::log1p, std::tanh, std::sqrt, std::pow, std::sin, std::cos, std::tan, std::erf;
using std::erfc, std::fma, std::floor, std::ceil, std::trunc, std::rint, std::fmax, std::fmin, std::copysign, std::lgamma;

struct Index { unsigned x, y, z; };
using dim3 = Index;
static Index threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;
alignas(128) unsigned char dynamic_shared[(256 << 10) + 64];

namespace emulated {

constexpr size_t STACK = 256 << 10;

// Those who wait for each other: a barrier opens when all who live have come.
struct Group { int live = 0, arrived = 0; unsigned generation = 0; };

struct Fiber {
    ucontext_t start;
    jmp_buf at;
    void* stack = std::malloc(STACK);
    bool fresh = true;
};

struct Thread {
    Fiber* fiber = nullptr;  // while it is suspended
    Group* waits = nullptr;
    unsigned generation = 0;
    bool finished = false;
};

static jmp_buf scheduler;
static std::vector<Fiber*> idle;
static std::vector<Thread> threads;
static std::vector<Group> warps;
static std::map<std::pair<int, unsigned>, Group> parts;  // of warps, by mask
static Group block;
static int current;
static const char* error;
static void (*body)();
alignas(16) static char slots[2][1024][64];  // what lanes show each other, by turns
static unsigned turn[1024];

inline void yield() {
    if (!_setjmp(threads[current].fiber->at)) _longjmp(scheduler, 1);
}

inline void wait(Group& g, int expected) {
    if (++g.arrived >= expected) {
        g.arrived = 0;
        g.generation++;
        return;
    }
    threads[current].waits = &g;
    threads[current].generation = g.generation;
    yield();
}

inline void leave(Group& g) {
    if (--g.live > 0 && g.arrived >= g.live) {
        g.arrived = 0;
        g.generation++;
    }
}

static void run_fiber() {
    for (;;) {  // one thread after the other, as long as they finish without waiting
        body();
        threads[current].finished = true;
        leave(block);
        leave(warps[current / 32]);
        yield();
    }
}

inline void resume(int t) {
    current = t;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    Fiber* fiber = threads[t].fiber;
    if (_setjmp(scheduler)) return;
    if (!fiber->fresh) _longjmp(fiber->at, 1);
    fiber->fresh = false;
    setcontext(&fiber->start);
}

inline Fiber* fiber() {
    if (idle.empty()) {
        Fiber* made = new Fiber;
        getcontext(&made->start);
        made->start.uc_stack.ss_sp = made->stack;
        made->start.uc_stack.ss_size = STACK;
        made->start.uc_link = nullptr;
        makecontext(&made->start, run_fiber, 0);
        idle.push_back(made);
    }
    Fiber* taken = idle.back();
    idle.pop_back();
    return taken;
}

inline const char* run_block(size_t shared) {
    int n = blockDim.x * blockDim.y * blockDim.z, left = n;
    threads.assign(n, Thread());
    warps.assign((n + 31) / 32, Group());
    parts.clear();
    block = Group();
    block.live = n;
    for (int t = 0; t < n; t++) warps[t / 32].live++, turn[t] = 0;
    std::memset(dynamic_shared, 0xff, shared + 64);  // NaN: what is read before it is written shows
    while (left) {
        bool moved = false;
        for (int t = 0; t < n; t++) {
            Thread& thread = threads[t];
            if (thread.finished || (thread.waits && thread.waits->generation == thread.generation)) continue;
            thread.waits = nullptr;
            if (!thread.fiber) thread.fiber = fiber();
            resume(t);
            moved = true;
            if (threads[t].finished) left--, idle.push_back(threads[t].fiber);
        }
        if (!moved) return "threads wait at different barriers, or for threads that have left";
    }
    for (int i = 0; i < 64; i++)
        if (dynamic_shared[shared + i] != 0xff) return "writes behind the shared memory that it asked for";
    return error;
}

// `kernel(arguments...)` on every block; the message of what went wrong, or null.
template <class... P>
const char* launch(void (*kernel)(P...), Index grid, Index threads_, size_t shared, void** arguments) {
    static void (*called)(P...);
    static void** given;
    called = kernel, given = arguments, gridDim = grid, blockDim = threads_, error = nullptr;
    body = [] {
        [&]<size_t... I>(std::index_sequence<I...>) {
            called(*static_cast<std::remove_const_t<P>*>(given[I])...);
        }(std::index_sequence_for<P...>());
    };
    if (blockDim.x * blockDim.y * blockDim.z > 1024) return "a block has more than 1024 threads";
    if (shared > 227 << 10) return "a block asks for more than 227 KiB of shared memory";
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                if (const char* problem = run_block(shared)) return problem;
            }
    return nullptr;
}

// What lane `from(lane)` of this warp holds; lanes outside of the mask give the caller's own value.
template <class T, class From> T exchange(unsigned mask, T value, From from) {
    static_assert(sizeof(T) <= 64, "an exchanged value has 64 bytes at most");
    int lane = current % 32, base = current - lane, now = turn[current]++ & 1;
    std::memcpy(slots[now][current], &value, sizeof(T));
    Group& warp = warps[current / 32];
    if (mask == 0xffffffffu) {
        wait(warp, warp.live);
    } else {
        if (!(mask >> lane & 1)) error = "a lane that is not in the mask takes part in an exchange";
        wait(parts[{current / 32, mask}], __builtin_popcount(mask));
    }
    int source = from(lane);
    if (source < 0 || source > 31 || base + source >= int(threads.size())) return value;
    T found;
    std::memcpy(&found, slots[now][base + source], sizeof(T));
    return found;
}

}  // namespace emulated

inline void __syncthreads() { emulated::wait(emulated::block, emulated::block.live); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulated::exchange(mask, 0, [](int lane) { return lane; }); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    return emulated::exchange(mask, value, [=](int me) { return me / width * width + (lane & (width - 1)); });
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    return emulated::exchange(mask, value, [=](int me) {
        int other = me ^ lanes;
        return other / width > me / width ? me : other;
    });
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return emulated::exchange(mask, value, [=](int me) { return me % width + int(by) < width ? me + int(by) : me; });
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return emulated::exchange(mask, value, [=](int me) { return me % width >= int(by) ? me - int(by) : me; });
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    unsigned found = 0;
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) found |= unsigned(__shfl_sync(mask, predicate != 0, lane)) << lane;
    return found;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
inline unsigned __activemask() { return 0xffffffffu; }

inline int __syncthreads_count(int predicate) {
    static int total;
    __syncthreads();
    total = 0;
    __syncthreads();
    total += predicate != 0;
    __syncthreads();
    int found = total;
    __syncthreads();
    return found;
}
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) > 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(!predicate) == 0; }

// Fibers switch at barriers alone, so that nothing comes between a load and its store.
template <class T, class V> T atomicAdd(T* at, V value) { T before = *at; *at = before + T(value); return before; }
template <class T, class V> T atomicMax(T* at, V value) { T before = *at; if (T(value) > before) *at = value; return before; }
template <class T, class V> T atomicMin(T* at, V value) { T before = *at; if (T(value) < before) *at = value; return before; }
template <class T, class V> T atomicExch(T* at, V value) { T before = *at; *at = value; return before; }
template <class T, class V> T atomicOr(T* at, V value) { T before = *at; *at |= value; return before; }
template <class T, class V> T atomicAnd(T* at, V value) { T before = *at; *at &= value; return before; }
template <class T> T atomicCAS(T* at, T expected, T value) { T before = *at; if (before == expected) *at = value; return before; }
template <class T> T __ldg(const T* from) { return *from; }
template <class T> T __ldcs(const T* from) { return *from; }
template <class T> void __stcs(T* to, T value) { *to = value; }

template <class To, class From> To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &value, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline int __float_as_int(float x) { return same_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
inline float __int_as_float(int x) { return same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __saturatef(float x) { return x != x ? 0 : std::min(std::max(x, 0.f), 1.f); }
inline void sincospif(float x, float* s, float* c) { *s = float(std::sin(M_PI * x)), *c = float(std::cos(M_PI * x)); }
inline void sincospi(double x, double* s, double* c) { *s = std::sin(M_PI * x), *c = std::cos(M_PI * x); }
inline void __sincosf(float x, float* s, float* c) { *s = std::sin(x), *c = std::cos(x); }
inline double normcdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
inline float normcdff(float x) { return float(normcdf(double(x))); }

#define MINITORCH_EMULATED_VECTOR(T, name, n)                                       \
    struct alignas(n == 3 ? sizeof(T) : n * sizeof(T)) name##n { MINITORCH_MEMBERS_##n(T) };
#define MINITORCH_MEMBERS_2(T) T x, y;
#define MINITORCH_MEMBERS_4(T) T x, y, z, w;
#define MINITORCH_EMULATED_VECTORS(T, name)                                         \
    MINITORCH_EMULATED_VECTOR(T, name, 2)                                           \
    MINITORCH_EMULATED_VECTOR(T, name, 4)                                           \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                      \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
MINITORCH_EMULATED_VECTORS(float, float)
MINITORCH_EMULATED_VECTORS(double, double)
MINITORCH_EMULATED_VECTORS(int, int)
MINITORCH_EMULATED_VECTORS(unsigned, uint)
MINITORCH_EMULATED_VECTORS(unsigned short, ushort)
MINITORCH_EMULATED_VECTORS(long long, longlong)

#include "ptx_on_cpu.h"
