// The ladder of matrix products on the GPU: from three plain loops to tensor cores, each rung with one idea more.
//
// y = a b for stacks of matrices, row after row in memory: a (m x k), b (k x n), y (m x n); blockIdx.z counts matrices.
// What limits a rung is a transport: its bytes for a multiplication and an addition, two flop. An H200 does 67 Tflop/s
// in float32, and its shared memory brings 33 TB/s, its L2 cache about 5.5, its memory 4.8.
#include "types.cuh"

// A tile of y, WIDE in both directions, is summed from tiles of a and b that are DEEP along k.
constexpr int WIDE = 128, DEEP = 16, THREADS = 256;

template <class T> __device__ __forceinline__ void matrices(const T*& a, const T*& b, T*& y, int m, int n, int k) {
    a += (long long)blockIdx.z * m * k;
    b += (long long)blockIdx.z * k * n;
    y += (long long)blockIdx.z * m * n;
}

// 1. Three loops of which the two outer ones are threads: each computes one element of y.
// Bound: neighbours are threads of one column, so each load of a and each store is a sector of 32 bytes for itself:
// 33 bytes for two flop.
template <class T> __global__ void loops(const T* a, const T* b, T* y, int m, int n, int k) {
    matrices(a, b, y, m, n, k);
    int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= m || j >= n) return;
    float sum = 0;
    for (int l = 0; l < k; l++) sum += float(a[(long long)i * k + l]) * float(b[(long long)l * n + j]);
    y[(long long)i * n + j] = T(sum);
}

// 2. Neighbours are threads of one row: a warp reads 32 neighbours of b and one number of a, whole sectors.
// Lifts the sectors. Bound: the L1 cache, 5 bytes of it for two flop.
template <class T> __global__ void rows(const T* a, const T* b, T* y, int m, int n, int k) {
    matrices(a, b, y, m, n, k);
    int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= m || j >= n) return;
    float sum = 0;
    for (int l = 0; l < k; l++) sum += float(a[(long long)i * k + l]) * float(b[(long long)l * n + j]);
    y[(long long)i * n + j] = T(sum);
}

// 3. A block brings tiles of a and b into shared memory, where 32 threads use each number.
// Lifts the caches: 0.25 bytes for two flop. Bound: shared memory, 8 bytes of it (4 where all lanes read one number).
template <class T> __global__ void blocked(const T* a, const T* b, T* y, int m, int n, int k) {
    constexpr int SIDE = 32;
    __shared__ float tile_a[SIDE][SIDE], tile_b[SIDE][SIDE];
    matrices(a, b, y, m, n, k);
    int c = threadIdx.x, r = threadIdx.y, j = blockIdx.x * SIDE + c, i = blockIdx.y * SIDE + r;
    float sum = 0;
    for (int first = 0; first < k; first += SIDE) {
        tile_a[r][c] = i < m && first + c < k ? float(a[(long long)i * k + first + c]) : 0;
        tile_b[r][c] = first + r < k && j < n ? float(b[(long long)(first + r) * n + j]) : 0;
        __syncthreads();
        for (int l = 0; l < SIDE; l++) sum += tile_a[r][l] * tile_b[l][c];
        __syncthreads();
    }
    if (i < m && j < n) y[(long long)i * n + j] = T(sum);
}

// 4. A thread sums 8 x 8 elements of y in registers: 16 numbers from shared memory are worth 64 products.
// Lifts shared memory: 1 byte for two flop, and 0.06 of the caches. Bound: loads of 4 bytes, one instruction for four
// products, and a block waits while its next tiles come.
template <class T> __global__ __launch_bounds__(THREADS)
void tiled(const T* a, const T* b, T* y, int m, int n, int k) {
    __shared__ float tile_a[DEEP][WIDE + 1], tile_b[DEEP][WIDE];  // a turned; + 1: its columns begin in other banks
    matrices(a, b, y, m, n, k);
    int column = blockIdx.x * WIDE, row = blockIdx.y * WIDE, c = threadIdx.x % 16, r = threadIdx.x / 16;
    float sum[8][8] = {};
    for (int first = 0; first < k; first += DEEP) {
        for (int t = threadIdx.x; t < DEEP * WIDE; t += THREADS) {
            int i = row + t / DEEP, l = first + t % DEEP;
            tile_a[t % DEEP][t / DEEP] = i < m && l < k ? float(a[(long long)i * k + l]) : 0;
            int j = column + t % WIDE;
            l = first + t / WIDE;
            tile_b[t / WIDE][t % WIDE] = l < k && j < n ? float(b[(long long)l * n + j]) : 0;
        }
        __syncthreads();
#pragma unroll 4
        for (int l = 0; l < DEEP; l++) {
            float left[8], right[8];
#pragma unroll
            for (int i = 0; i < 8; i++) left[i] = tile_a[l][r + 16 * i], right[i] = tile_b[l][c + 16 * i];
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
            if (int p = row + r + 16 * i, q = column + c + 16 * j; p < m && q < n)
                y[(long long)p * n + q] = T(sum[i][j]);
}

// Copies of 16 bytes into shared memory, on their way when the call returns; zeros beyond the matrix (rows x columns).
template <int HEIGHT, int WIDTH, int PITCH, class T>
__device__ __forceinline__ void fetch(T (*to)[PITCH], const T* from, int row, int rows, int column, int columns) {
    constexpr int PIECE = 16 / sizeof(T);
    for (int t = threadIdx.x; t < HEIGHT * WIDTH / PIECE; t += THREADS) {
        int r = t / (WIDTH / PIECE), c = t % (WIDTH / PIECE) * PIECE;
        bool there = row + r < rows && column + c < columns;
        cp_async<16>(&to[r][c], there ? from + (long long)(row + r) * columns + column + c : from, there);
    }
}

// 5. Two tiles of each: while one is multiplied the next comes, 16 bytes an instruction and past the registers.
// Lifts the waiting, and most loads: 12 instructions fetch what 128 products need, not 32. k and n: multiples of 8.
// Bound: the arithmetic, nine of ten instructions.
template <class T> __global__ __launch_bounds__(THREADS)
void pipelined(const T* a, const T* b, T* y, int m, int n, int k) {
    constexpr int PIECE = 16 / sizeof(T);
    __shared__ __align__(16) T tile_a[2][WIDE][DEEP + PIECE];  // the rows of a warp's threads begin in other banks
    __shared__ __align__(16) T tile_b[2][DEEP][WIDE];
    matrices(a, b, y, m, n, k);
    int column = blockIdx.x * WIDE, row = blockIdx.y * WIDE, c = threadIdx.x % 16 * 4, r = threadIdx.x / 16;
    auto fetch_tiles = [&](int first) {
        int at = first / DEEP % 2;
        if (first < k) {
            fetch<WIDE, DEEP>(tile_a[at], a, row, m, first, k);
            fetch<DEEP, WIDE>(tile_b[at], b, first, k, column, n);
        }
        cp_async_commit();
    };
    float sum[8][8] = {};
    fetch_tiles(0);
    for (int first = 0; first < k; first += DEEP) {
        int at = first / DEEP % 2;
        cp_async_wait<0>();
        __syncthreads();  // these tiles have come, and all are done with those before them
        fetch_tiles(first + DEEP);
#pragma unroll
        for (int l = 0; l < DEEP; l += 2) {
            vector<T, 2> left[8];
#pragma unroll
            for (int i = 0; i < 8; i++) left[i] = load<2>(&tile_a[at][r + 16 * i][l]);
#pragma unroll
            for (int d = 0; d < 2; d++) {
                vector<T, 4> right[2] = {load<4>(&tile_b[at][l + d][c]), load<4>(&tile_b[at][l + d][c + 64])};
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 8; j++) sum[i][j] += float(left[i][d]) * float(right[j / 4][j % 4]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j += 4)
            if (int p = row + r + 16 * i, q = column + c + 16 * j; p < m && q < n)
                store(y + (long long)p * n + q,
                      vector<T, 4>{{T(sum[i][j]), T(sum[i][j + 1]), T(sum[i][j + 2]), T(sum[i][j + 3])}});
}

// Column g of rows 4t.. of a tile of b, 32 bytes of it, as a tensor core takes it; two columns, 8 apart.
template <int PITCH, class T> __device__ __forceinline__ void columns(unsigned (&to)[4], const T (*tile)[PITCH]) {
    int lane = threadIdx.x % 32;
    if constexpr (sizeof(T) == 2) {
        ldmatrix_transposed<4>(to, &tile[lane % 16][lane / 16 * 8]);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) to[i] = tf32_bits(tile[lane % 4 + i % 2 * 4][lane / 4 + i / 2 * 8]);
    }
}

// 6. Tensor cores: a warp multiplies 16 x 16 by 16 x 8 numbers of 16 bits, or 16 x 8 by 8 x 8 of float32 with 10 bits
// of mantissa (TF32), by one instruction; here 64 x 32 elements of y by 16 of them. k and n: multiples of 8.
// Lifts the arithmetic: 15 times as much in 16 bits, 7 times in TF32. Bound: shared memory, 0.09 bytes for two flop in
// 16 bits; beyond it lie wgmma, which reads b for four warps at once, and the copy engine.
template <class T> __global__ __launch_bounds__(THREADS)
void tensor(const T* a, const T* b, T* y, int m, int n, int k) {
    constexpr int PIECE = 16 / sizeof(T), K = 2 * PIECE, STEP = 2 * K;  // K: of an instruction, STEP: of a tile
    __shared__ __align__(16) T tile_a[2][WIDE][STEP + PIECE];
    __shared__ __align__(16) T tile_b[2][STEP][WIDE + 8];
    matrices(a, b, y, m, n, k);
    int column = blockIdx.x * WIDE, row = blockIdx.y * WIDE, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int r = warp / 4 * 64, c = warp % 4 * 32;
    auto fetch_tiles = [&](int first) {
        int at = first / STEP % 2;
        if (first < k) {
            fetch<WIDE, STEP>(tile_a[at], a, row, m, first, k);
            fetch<STEP, WIDE>(tile_b[at], b, first, k, column, n);
        }
        cp_async_commit();
    };
    float sum[4][4][4] = {};
    fetch_tiles(0);
    for (int first = 0; first < k; first += STEP) {
        int at = first / STEP % 2;
        cp_async_wait<0>();
        __syncthreads();
        fetch_tiles(first + STEP);
#pragma unroll
        for (int l = 0; l < STEP; l += K) {
            unsigned left[4][4], right[2][4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                ldmatrix<4>(left[i], &tile_a[at][r + 16 * i + lane % 16][l + lane / 16 * PIECE]);
                if constexpr (sizeof(T) == 4)
                    for (unsigned& bits : left[i]) bits = tf32_bits(__uint_as_float(bits));
            }
#pragma unroll
            for (int j = 0; j < 2; j++)
                columns(right[j], reinterpret_cast<const T(*)[WIDE + 8]>(&tile_b[at][l][c + 16 * j]));
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    mma<T>(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                if (int p = row + r + 16 * i + 8 * h + lane / 4, q = column + c + 8 * j + lane % 4 * 2; p < m && q < n)
                    store(y + (long long)p * n + q, vector<T, 2>{{T(sum[i][j][2 * h]), T(sum[i][j][2 * h + 1])}});
}
