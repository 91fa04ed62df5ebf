// Sums along rows or columns, and cumulative sums. Every number is read once, 16 bytes at a time; where there are too few
// rows to fill the GPU, a row is cut into pieces whose sums a second launch adds up. So the order of additions depends
// on the shape alone. float16 and bfloat16 are added up in float.
#include "warp.cuh"

// The sum of from[0 ... n), of which this thread takes every `step`-th vector from `lane` on.
template <class In> __device__ __forceinline__ accumulator<In> part(const In* from, long long n, int lane, int step) {
    typedef accumulator<In> A;
    constexpr int N = 16 / sizeof(In);
    int head = -(reinterpret_cast<unsigned long long>(from) / sizeof(In)) % N;  // up to the first whole vector
    head = head < n ? head : n;
    A total[N] = {};  // independent sums, so that no addition waits for the one before
    for (int i = lane; i < head; i += step) total[0] += A(from[i]);
    from += head, n -= head;
    long long vectors = n / N;
#pragma unroll 4
    for (long long v = lane; v < vectors; v += step) {
        vector<In, N> x = load<N>(from + v * N);
#pragma unroll
        for (int i = 0; i < N; i++) total[i] += A(x[i]);
    }
    for (long long i = vectors * N + lane; i < n; i += step) total[0] += A(from[i]);
#pragma unroll
    for (int i = 1; i < N; i++) total[0] += total[i];
    return total[0];
}

// y[row, piece] = the sum of a piece of a row of n. Up to 32 threads in x share a warp with other rows; more are a block.
template <class In, class Out>
__global__ void __launch_bounds__(512, 3) sum_rows(const In* x, Out* y, long long rows, long long n, long long piece) {
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y, first = blockIdx.y * piece;
    accumulator<In> total = 0;
    if (row < rows)
        total = part(x + row * n + first, n - first < piece ? n - first : piece, threadIdx.x, blockDim.x);
    if (blockDim.x <= 32) {
        for (int d = blockDim.x / 2; d > 0; d /= 2) total += __shfl_xor_sync(ALL, total, d);
    } else {
        total = block_sum(total);
    }
    if (threadIdx.x == 0 && row < rows) y[row * gridDim.y + blockIdx.y] = Out(total);
}

// y[o, piece, c] = the sum over a piece of the n rows of x[o]. A thread has some columns side by side; the threads in y
// take different rows, and their sums meet in shared memory.
template <class In, class Out, bool WIDE>
__global__ void __launch_bounds__(256) sum_columns(const In* x, Out* y, long long n, long long inner, long long piece,
                                                   int across) {
    typedef accumulator<In> A;
    constexpr int N = WIDE ? 16 / sizeof(In) : 1;
    __shared__ A sums[256 * N];
    long long outer = blockIdx.x / across, first = blockIdx.y * piece;
    long long c = ((blockIdx.x - outer * across) * (long long)blockDim.x + threadIdx.x) * N;
    long long end = n - first < piece ? n : first + piece;
    A total[N] = {};
    if (c < inner) {
#pragma unroll 4
        for (long long r = first + threadIdx.y; r < end; r += blockDim.y) {
            vector<In, N> row = load<N>(x + (outer * n + r) * inner + c);
#pragma unroll
            for (int i = 0; i < N; i++) total[i] += A(row[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++) sums[(threadIdx.y * blockDim.x + threadIdx.x) * N + i] = total[i];
    __syncthreads();
    if (threadIdx.y > 0 || c >= inner) return;
    for (int other = 1; other < blockDim.y; other++)
#pragma unroll
        for (int i = 0; i < N; i++) total[i] += sums[(other * blockDim.x + threadIdx.x) * N + i];
    Out* to = y + (outer * gridDim.y + blockIdx.y) * inner + c;
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = Out(total[i]);
}

// The sums of all elements up to each one of a piece of a row, on top of before[row, piece - 1] where there is such.
// A block goes from tile to tile; in a tile each thread adds up its own four, then warps and the block their threads'.
template <class T>
__global__ void __launch_bounds__(256) cumsum_rows(const T* x, T* y, const accumulator<T>* before, long long n,
                                                   long long piece) {
    typedef accumulator<T> A;
    constexpr int OWN = 4;
    __shared__ A of_warp[8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    long long start = blockIdx.x * n, first = blockIdx.y * piece;
    long long end = n - first < piece ? n : first + piece;
    A carry = blockIdx.y ? before[blockIdx.x * (long long)gridDim.y + blockIdx.y - 1] : A(0);
    for (; first < end; first += OWN * blockDim.x) {
        long long at = first + OWN * threadIdx.x;
        A own[OWN], sum = 0;
        for (int i = 0; i < OWN; i++) own[i] = sum += at + i < end ? A(x[start + at + i]) : A(0);
        A upto = sum;
        for (int d = 1; d < 32; d *= 2) {
            A left = __shfl_up_sync(ALL, upto, d);
            if (lane >= d) upto += left;
        }
        if (lane == 31) of_warp[warp] = upto;
        __syncthreads();
        A base = carry;
        for (int i = 0; i < 8; i++) {
            if (i < warp) base += of_warp[i];
            carry += of_warp[i];
        }
        base += upto - sum;
        for (int i = 0; i < OWN; i++)
            if (at + i < end) y[start + at + i] = T(base + own[i]);
        __syncthreads();
    }
}

// The same down columns: a thread has one.
template <class T>
__global__ void __launch_bounds__(128) cumsum_columns(const T* x, T* y, long long lines, long long n, long long inner) {
    long long line = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (line >= lines) return;
    long long at = line / inner * n * inner + line % inner;
    accumulator<T> total = 0;
#pragma unroll 4
    for (long long i = 0; i < n; i++, at += inner) y[at] = T(total += accumulator<T>(x[at]));
}
