// The loop around an elementwise function: rows of n numbers, of which a thread takes N that lie side by side.
// Memory is the limit: 16 bytes a load, neighbouring threads at neighbouring places, every number touched once.
#include "types.cuh"
#include "functions.cuh"

__device__ __forceinline__ bool on_16_bytes() { return true; }
template <class P, class... Rest> __device__ __forceinline__ bool on_16_bytes(P pointer, Rest... rest) {
    return reinterpret_cast<unsigned long long>(pointer) % 16 == 0 && on_16_bytes(rest...);
}

// f.at<N>(i, r, c) does numbers i to i + N - 1, which lie in row r from column c on. A block's threads lie along
// columns in x and along rows in y, so that no index is divided.
template <int N, class F>
__device__ __forceinline__ void columns(const F& f, long long rows, long long n, long long first, long long end) {
    long long c = first + N * (blockIdx.x * (long long)blockDim.x + threadIdx.x);
#pragma unroll 1  // fewer registers, so more threads: they, not the loop, keep loads in flight
    for (; c < end; c += N * (long long)gridDim.x * blockDim.x) {
        long long r = blockIdx.y * (long long)blockDim.y + threadIdx.y;
#pragma unroll 1
        for (; r < rows; r += (long long)gridDim.y * blockDim.y) f.template at<N>(r * n + c, r, c);
    }
}

// Vectors of N where all rows begin on their boundaries; single numbers elsewhere, and at the end.
template <int N, class F>
__device__ __forceinline__ void each(const F& f, long long rows, long long n, bool aligned) {
    long long whole = aligned && (rows == 1 || n % N == 0) ? n - n % N : 0;
    columns<N>(f, rows, n, 0, whole);
    columns<1>(f, rows, n, whole, n);
}
