// The copy before a convolution: channels of a pixel side by side, padded, with the image's padding around it.
#include "types.cuh"

// (batch, channels, source) to (batch, size, packed): `size` covers the source from -before on, zeros where there is
// none; `packed` channels, zeros where there are none.
struct Packing { int batch, channels, packed, source[3], before[3], size[3]; };

constexpr int PIXELS = 64, WORDS = 32, THREADS = 256;  // a tile: its pixels, and 4-byte words of each

template <class T> __device__ __forceinline__ T rounded(T x, bool) { return x; }
template <> __device__ __forceinline__ float rounded(float x, bool round) {
    return round ? __uint_as_float(tf32_bits(x)) : x;
}

// Read along pixels, written along channels: both in full lines of memory. Numbers of 16 bits go by twos.
template <class T>
__device__ __forceinline__ void pack_tile(const T* from, T* to, const Packing& p, int tile, bool round) {
    constexpr int N = 4 / sizeof(T);
    __shared__ unsigned words[PIXELS][WORDS + 1];
    int of_pixel = p.packed / N, word_tiles = (of_pixel + WORDS - 1) / WORDS;
    int first = tile % word_tiles * WORDS, here = min(of_pixel - first, WORDS);
    int all = p.size[0] * p.size[1] * p.size[2], rows = p.batch * all, row = tile / word_tiles * PIXELS;
    int pixel = threadIdx.x % PIXELS, m = row + pixel, n = m / all, i = m - n * all;
    int line = i / p.size[2], i2 = i - line * p.size[2] - p.before[2];
    int i0 = line / p.size[1] - p.before[0], i1 = line % p.size[1] - p.before[1];
    bool inside = m < rows && unsigned(i0) < p.source[0] && unsigned(i1) < p.source[1] && unsigned(i2) < p.source[2];
    long long plane = (long long)p.source[0] * p.source[1] * p.source[2];
    from += inside ? n * p.channels * plane + ((long long)i0 * p.source[1] + i1) * p.source[2] + i2 : 0;
#pragma unroll
    for (int k = 0; k < WORDS * PIXELS / THREADS; k++) {
        int word = threadIdx.x / PIXELS + k * (THREADS / PIXELS);
        vector<T, N> found;
        for (int e = 0; e < N; e++) {
            int channel = (first + word) * N + e;
            found[e] = inside && word < here && channel < p.channels ? rounded(from[channel * plane], round) : T(0.f);
        }
        words[pixel][word] = *reinterpret_cast<unsigned*>(&found);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < PIXELS * WORDS / 2; k += THREADS) {
        int pixel = k / (WORDS / 2), word = k % (WORDS / 2) * 2;
        if (row + pixel < rows && word < here) {
            vector<unsigned, 2> two = {{words[pixel][word], words[pixel][word + 1]}};
            store(reinterpret_cast<unsigned*>(to) + (long long)(row + pixel) * of_pixel + first + word, two);
        }
    }
}

// Two arrays at once: blocks below `tiles` do the first.
template <class T>
__global__ void __launch_bounds__(THREADS)
pack(const T* from, T* to, Packing p, int tiles, const T* other_from, T* other_to, Packing other, bool round) {
    if (blockIdx.x < tiles) pack_tile(from, to, p, blockIdx.x, round);
    else pack_tile(other_from, other_to, other, blockIdx.x - tiles, round);
}
