// Convolution as a product of matrices: what its kernels share, geometry and products of tiles in shared memory.
//
// Both operands have been packed: a pixel's channels of one group follow each other, in chunks of 16 bytes, and images
// have their padding around them (conv_pack.cu). So whatever a window sees is an offset away, nothing is tested in the
// inner loops, and an offset counted in chunks fits into 32 bits up to 64 GiB.
#include "types.cuh"

constexpr int CHUNK = 16;                // bytes
constexpr int DEPTH = 64;                // bytes of a row of a tile along the sum, two steps of the tensor cores
constexpr int STAGES = 4;                // tiles in shared memory, of which three are on their way

// One of three dimensions; in two the first has size 1. `size` is that of the packed source, `out` of the result.
struct Axis { int out, size, window, stride, dilation, shift, skip, reach; };

// Where a tile's rows and bytes lie when the sum runs along its rows. Eight rows that are read at once, or a row's four
// chunks, fall on different banks.
__device__ __forceinline__ int along(int row, int chunk) { return row * DEPTH + (chunk ^ (row >> 1 & 3)) * CHUNK; }

// And when the sum runs across them: row k has `columns` elements of T. ldmatrix reads a chunk of eight rows at once,
// loads of 4 bytes read two chunks of four.
template <class T> __device__ __forceinline__ int across(int k, int chunk, int columns) {
    int turn = sizeof(T) == 2 ? k & 7 : (k & 3) << 1;
    return k * columns * int(sizeof(T)) + (chunk ^ turn) * CHUNK;
}

// A block's tile of the result, BM x BN sums in the registers of its threads, on the tensor cores. A warp has WM x WN
// of it: the larger, the fewer bytes from shared memory for each product. 64 x 64 is what 255 registers can hold.
template <class T_, int BM_, int BN_, int WM, int WN> struct Tensor {
    using T = T_;
    static constexpr int BM = BM_, BN = BN_, WARPS = BN / WN, THREADS = BM / WM * WARPS * 32;
    static constexpr int RESIDENT = WM * WN < 4096 ? 4 : 2;  // blocks on a multiprocessor that registers suffice for
    float sum[WM / 16][WN / 8][4] = {};

    static __device__ __forceinline__ int row() { return threadIdx.x / 32 / WARPS * WM; }
    static __device__ __forceinline__ int column() { return threadIdx.x / 32 % WARPS * WN; }

    // sum += a b^T, of BM and BN rows that lie `along`.
    __device__ __forceinline__ void add_along(const unsigned char* a, const unsigned char* b) {
        int lane = threadIdx.x % 32;
        int at_a = along(row() + lane % 16, lane / 16), at_b = along(column() + lane / 16 * 8 + lane % 8, lane / 8 % 2);
#pragma unroll
        for (int k = 0; k < 2; k++) {
            unsigned of_a[WM / 16][4], of_b[WN / 16][4];
            for (int i = 0; i < WM / 16; i++) ldmatrix(of_a[i], a + (at_a ^ k * 2 * CHUNK) + i * 16 * DEPTH);
            for (int j = 0; j < WN / 16; j++) ldmatrix(of_b[j], b + (at_b ^ k * 2 * CHUNK) + j * 16 * DEPTH);
            add(of_a, of_b);
        }
    }

    // sum += a^T b, of DEPTH / sizeof(T) rows of BM and of BN elements that lie `across`.
    __device__ __forceinline__ void add_across(const unsigned char* a, const unsigned char* b) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
            unsigned of_a[WM / 16][4], of_b[WN / 16][4];
            if constexpr (sizeof(T) == 2) {
                int lane = threadIdx.x % 32, upper = lane / 16, second = lane / 8 % 2;
                int at_a = across<T>(upper * 8 + lane % 8, row() / 8 + second, BM) + k * 16 * BM * 2;
                int at_b = across<T>(second * 8 + lane % 8, column() / 8 + upper, BN) + k * 16 * BN * 2;
                for (int i = 0; i < WM / 16; i++) ldmatrix_transposed(of_a[i], a + (at_a ^ i * 2 * CHUNK));
                for (int j = 0; j < WN / 16; j++) ldmatrix_transposed(of_b[j], b + (at_b ^ j * 2 * CHUNK));
            } else {  // ldmatrix turns numbers of 16 bits alone
                int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, part = g % 4 * 4;
                int at_a = across<T>(t, row() / 4 + g / 4, BM) + part + k * 8 * BM * 4;
                int at_b = across<T>(t, column() / 4 + g / 4, BN) + part + k * 8 * BN * 4;
                for (int i = 0; i < WM / 16; i++)
                    for (int r = 0; r < 4; r++)
                        of_a[i][r] = bits(a, (at_a ^ (4 * i + r % 2 * 2) * CHUNK) + r / 2 * 16 * BM);
                for (int j = 0; j < WN / 16; j++)
                    for (int r = 0; r < 4; r++)
                        of_b[j][r] = bits(b, (at_b ^ (4 * j + r / 2 * 2) * CHUNK) + r % 2 * 16 * BN);
            }
            add(of_a, of_b);
        }
    }

    // f(row, column, two neighbouring sums) of all that this thread has.
    template <class F> __device__ __forceinline__ void each(F f) const {
        int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
            for (int h = 0; h < 2; h++)
                for (int j = 0; j < WN / 8; j++)
                    f(row() + 16 * i + 8 * h + g, column() + 8 * j + 2 * t,
                      vector<float, 2>{{sum[i][j][2 * h], sum[i][j][2 * h + 1]}});
    }

private:
    static __device__ __forceinline__ unsigned bits(const unsigned char* from, int at) {
        return *reinterpret_cast<const unsigned*>(from + at);
    }

    __device__ __forceinline__ void add(const unsigned (&a)[WM / 16][4], const unsigned (&b)[WN / 16][4]) {
        for (int i = 0; i < WM / 16; i++)
            for (int j = 0; j < WN / 8; j++) mma<T>(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
};

// The same with float's own products, 8 x 8 sums a thread: for those who do not allow TF32. Threads take rows 8 apart
// from their neighbours' when the sum runs `ALONG`, so that they read different banks, and four in a row otherwise.
template <int BM_, int BN_, bool ALONG> struct Exact {
    using T = float;
    static constexpr int BM = BM_, BN = BN_, TX = BN / 8, TY = BM / 8, THREADS = TX * TY;
    static constexpr int RESIDENT = BM * BN < 16384 ? 4 : 1;
    float sum[8][8] = {};

    static __device__ __forceinline__ int place(int thread, int threads, int i) {
        return ALONG ? thread + threads * i : 4 * thread + 4 * threads * (i / 4) + i % 4;
    }

    __device__ __forceinline__ void add_along(const unsigned char* a, const unsigned char* b) {
        int tx = threadIdx.x % TX, ty = threadIdx.x / TX;
#pragma unroll
        for (int k = 0; k < DEPTH / CHUNK; k++) {
            vector<float, 4> of_a[8];
            for (int i = 0; i < 8; i++) of_a[i] = four(a, along(place(ty, TY, i), k));
            for (int j = 0; j < 8; j++) {
                vector<float, 4> of_b = four(b, along(place(tx, TX, j), k));
                for (int i = 0; i < 8; i++)
                    for (int e = 0; e < 4; e++) sum[i][j] = fma(of_a[i][e], of_b[e], sum[i][j]);
            }
        }
    }

    __device__ __forceinline__ void add_across(const unsigned char* a, const unsigned char* b) {
        int tx = threadIdx.x % TX, ty = threadIdx.x / TX;
#pragma unroll 4
        for (int k = 0; k < DEPTH / 4; k++) {
            vector<float, 4> of_a[2], of_b[2];
            for (int i = 0; i < 2; i++) {
                of_a[i] = four(a, across<float>(k, ty + TY * i, BM));
                of_b[i] = four(b, across<float>(k, tx + TX * i, BN));
            }
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < 8; j++) sum[i][j] = fma(of_a[i / 4][i % 4], of_b[j / 4][j % 4], sum[i][j]);
        }
    }

    template <class F> __device__ __forceinline__ void each(F f) const {
        int tx = threadIdx.x % TX, ty = threadIdx.x / TX;
        constexpr int N = ALONG ? 1 : 4;
#pragma unroll
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j += N) {
                vector<float, N> found;
                for (int e = 0; e < N; e++) found[e] = sum[i][j + e];
                f(place(ty, TY, i), place(tx, TX, j), found);
            }
    }

private:
    static __device__ __forceinline__ vector<float, 4> four(const unsigned char* from, int at) {
        return load<4>(reinterpret_cast<const float*>(from + at));
    }
};
