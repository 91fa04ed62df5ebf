// Reductions over the lanes of a warp and over the threads of a block; every thread gets the result.
#include "types.cuh"

constexpr unsigned ALL = 0xffffffff;  // the lanes of a warp

struct Sum {
    template <class A> __device__ __forceinline__ A operator()(const A& a, const A& b) const { return a + b; }
};

// The larger one; NaN where one is NaN.
struct Max {
    template <class A> __device__ __forceinline__ A operator()(A a, A b) const { return a > b || a != a ? a : b; }
};

// A butterfly: after step `d` each lane holds the result of its group of 2d lanes. All lanes of the warp must call it.
template <class Op, class A> __device__ __forceinline__ A warp_reduce(A a, Op op) {
    for (int d = 16; d > 0; d >>= 1) a = op(a, __shfl_xor_sync(ALL, a, d));
    return a;
}

// All threads of the block must call it; their number (blockDim.x * y * z) must be a multiple of 32.
template <class Op, class A> __device__ __forceinline__ A block_reduce(A a, Op op) {
    __shared__ A of_warp[32];
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int warps = blockDim.x * blockDim.y * blockDim.z / 32;
    a = warp_reduce(a, op);
    if (warps == 1) return a;
    __syncthreads();  // the results of the call before have been read
    if (thread % 32 == 0) of_warp[thread / 32] = a;
    __syncthreads();
    a = of_warp[0];
    for (int i = 1; i < warps; i++) a = op(a, of_warp[i]);
    return a;
}

template <class A> __device__ __forceinline__ A warp_sum(A a) { return warp_reduce(a, Sum()); }
template <class A> __device__ __forceinline__ A warp_max(A a) { return warp_reduce(a, Max()); }
template <class A> __device__ __forceinline__ A block_sum(A a) { return block_reduce(a, Sum()); }
template <class A> __device__ __forceinline__ A block_max(A a) { return block_reduce(a, Max()); }
