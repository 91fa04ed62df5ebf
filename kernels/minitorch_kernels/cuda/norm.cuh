// What the normalisation kernels share: types of x and its weights, pieces of rows in registers, sums over the threads.
#include "warp.cuh"

// Weights, which have the type of x, or are float beside 16-bit x, as under autocast: then `full`.
template <class T> __device__ __forceinline__ accumulator<T> weight(const void* w, bool full, int i) {
    return full ? accumulator<T>(static_cast<const float*>(w)[i]) : accumulator<T>(static_cast<const T*>(w)[i]);
}

template <class T> __device__ __forceinline__ void put_weight(void* w, bool full, int i, accumulator<T> value) {
    if (full) static_cast<float*>(w)[i] = value;
    else static_cast<T*>(w)[i] = T(value);
}

// A piece of a row in the registers of its threads: each holds K vectors of N elements. All K loads are on their way
// before the first is needed, and a row that fits is read from memory once.
template <class T, bool WIDE, int LOADS = 4> struct Tile {
    static constexpr int N = WIDE ? 16 / int(sizeof(T)) : 1, K = LOADS;
    vector<T, N> at[K];

    static __device__ __forceinline__ int width() { return K * N * blockDim.x; }

    // Elements from `from` on of a row of n.
    __device__ __forceinline__ void load(const T* row, int from, int n) {
        each(from, n, [&](int k, int i) { at[k] = ::load<N>(row + i); });
    }

    // Between two passes over the piece: 16-bit elements are converted in each, not kept in registers of 32 bits.
    __device__ __forceinline__ void keep_packed() {
        if constexpr (sizeof(T) == 2 && N > 1)
#pragma unroll
            for (int k = 0; k < K; k++)
                for (int j = 0; j < N / 2; j++) forget(reinterpret_cast<unsigned*>(&at[k])[j]);
    }

    // f(k, i) for each vector at[k] that the thread holds, whose first element is element i of the row.
    template <class F> static __device__ __forceinline__ void each(int from, int n, F f) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            int i = from + (k * blockDim.x + threadIdx.x) * N;
            if (i < n) f(k, i);
        }
    }
};

// Sums over the threads of equal threadIdx.y, each of which gets them: blockDim.x is a power of two below 32, or a
// multiple of 32. All threads of the block must call it.
template <int M, class A> __device__ __forceinline__ void row_sums(A (&a)[M]) {
    __shared__ A of_warp[M][32];
    for (int d = min(int(blockDim.x), 32) / 2; d > 0; d /= 2)
        for (int m = 0; m < M; m++) a[m] += __shfl_xor_sync(ALL, a[m], d);
    if (blockDim.x <= 32) return;
    int warps = blockDim.x / 32, first = threadIdx.y * warps;
    __syncthreads();  // the sums of the call before have been read
    for (int m = 0; m < M; m++)
        if (threadIdx.x % 32 == 0) of_warp[m][first + threadIdx.x / 32] = a[m];
    __syncthreads();
    int lane = threadIdx.x % 32;  // every warp adds up the sums of the warps
    for (int m = 0; m < M; m++) a[m] = warp_sum(lane < warps ? of_warp[m][first + lane] : A(0));
}

// Sums over the threads of equal threadIdx.x < 32, each of which gets them: blockDim.y is 16 at most.
template <int M, class A> __device__ __forceinline__ void column_sums(A (&a)[M]) {
    __shared__ A of_thread[M][16][32];
    __syncthreads();
    for (int m = 0; m < M; m++) of_thread[m][threadIdx.y][threadIdx.x] = a[m], a[m] = 0;
    __syncthreads();
    for (int i = 0; i < blockDim.y; i++)
        for (int m = 0; m < M; m++) a[m] += of_thread[m][i][threadIdx.x];
}

// What is known of numbers after a pass over their distances from a `shift` that is their mean, or that of some of
// them. mean(d²) - mean(d)² loses digits where that is far from the mean, and mean(d)² is then at most var * (all
// numbers / those in the shift): Chan, Golub and LeVeque 1983. `apart` is kept beside the shift, not added to it: their
// sum would round a large mean.
template <class A> struct Moments {
    A shift, apart, var;

    __device__ __forceinline__ A rstd(A eps) const { return 1 / sqrt(var + eps); }
    __device__ __forceinline__ A mean() const { return shift + apart; }
};

template <class A> __device__ __forceinline__ Moments<A> moments(A shift, A sum, A squares, A count) {
    A apart = sum / count, var = squares / count - apart * apart;
    return {shift, apart, var < 0 ? 0 : var};
}
