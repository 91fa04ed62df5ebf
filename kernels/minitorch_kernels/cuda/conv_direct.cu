// Convolution whose groups are too small to fill a tile, such as depthwise: sums straight from the images, in float.
#include "warp.cuh"

// A dimension: of the images read, of the result, and the window between them.
struct Span { int source, out, window, stride, dilation, padding; };

// The result has groups x outputs channels, the source groups x inputs; weight (o, i, tap) of a group lies at
// o by_output + i by_input + tap.
struct Direct { Span spans[3]; int images, groups, outputs, inputs, by_output, by_input, relu; };

// Where place p of the result looks with tap r; where `turned` (dx), which place p came from, -1 if from none.
template <bool TURNED> __device__ __forceinline__ int source(const Span& s, int p, int r) {
    if (!TURNED) return p * s.stride + r * s.dilation - s.padding;
    int at = p + s.padding - r * s.dilation;
    return s.stride == 1 ? at : at % s.stride == 0 ? at / s.stride : -1;
}

// A thread has WIDTH places of a line times OUTPUTS channels, so that a weight and a number of x serve several sums.
template <class T, int OUTPUTS, bool TURNED>
__global__ void __launch_bounds__(256, 3) direct(const T* x, const T* w, const T* bias, T* y, Direct c) {
    constexpr int WIDTH = 4;
    long long thread = blockIdx.x * 256ll + threadIdx.x;
    const Span &s0 = c.spans[0], &s1 = c.spans[1], &s2 = c.spans[2];
    int strips = (s2.out + WIDTH - 1) / WIDTH, blocks = (c.outputs + OUTPUTS - 1) / OUTPUTS;
    long long line = thread / strips;
    int p2 = int(thread - line * strips) * WIDTH, plane = int(line / s1.out);
    int p1 = int(line - (long long)plane * s1.out);
    int p0 = plane % s0.out, block = plane / s0.out % blocks, image = plane / s0.out / blocks, group = image % c.groups;
    if (image >= c.images * c.groups) return;
    int first = block * OUTPUTS, taps = s0.window * s1.window * s2.window;
    long long source_plane = (long long)s0.source * s1.source * s2.source;
    x += (long long)image * c.inputs * source_plane;
    w += (long long)group * c.inputs * c.outputs * taps + (long long)first * c.by_output;
    float sum[OUTPUTS][WIDTH] = {};
    for (int i = 0; i < c.inputs; i++, x += source_plane, w += c.by_input) {
        int tap = 0;
        for (int r0 = 0; r0 < s0.window; r0++)
            for (int r1 = 0; r1 < s1.window; r1++) {
                int i0 = source<TURNED>(s0, p0, r0), i1 = source<TURNED>(s1, p1, r1);
                bool inside = unsigned(i0) < s0.source && unsigned(i1) < s1.source;
                if (!inside) { tap += s2.window; continue; }
                const T* from = x + ((long long)i0 * s1.source + i1) * s2.source;
                for (int r2 = 0; r2 < s2.window; r2++, tap++) {
                    float seen[WIDTH];
                    for (int j = 0; j < WIDTH; j++) {
                        int i2 = source<TURNED>(s2, p2 + j, r2);
                        seen[j] = unsigned(i2) < s2.source ? float(from[i2]) : 0.f;
                    }
                    for (int o = 0; o < OUTPUTS; o++) {
                        float weight = first + o < c.outputs ? float(w[o * c.by_output + tap]) : 0.f;
                        for (int j = 0; j < WIDTH; j++) sum[o][j] = fma(weight, seen[j], sum[o][j]);
                    }
                }
            }
    }
    for (int o = 0; o < OUTPUTS && first + o < c.outputs; o++) {
        int channel = group * c.outputs + first + o;
        float added = bias ? float(bias[channel]) : 0.f;
        T* to = y + ((((long long)image * c.outputs + first + o) * s0.out + p0) * s1.out + p1) * s2.out + p2;
        for (int j = 0; j < WIDTH && p2 + j < s2.out; j++) {
            float result = sum[o][j] + added;
            to[j] = T(c.relu && result < 0 ? 0.f : result);
        }
    }
}

// The parts of dw: (splits, outputs of all groups, taps, inputs). A block has one pair of channels, TAPS taps and a
// share of the images; each number of dy is read once for all of these taps.
template <class T>
__global__ void __launch_bounds__(256, 3) direct_dw(const T* dy, const T* x, float* parts, Direct c) {
    constexpr int TAPS = 9;
    const Span &s0 = c.spans[0], &s1 = c.spans[1], &s2 = c.spans[2];
    int taps = s0.window * s1.window * s2.window, tap_blocks = (taps + TAPS - 1) / TAPS;
    int first = blockIdx.x % tap_blocks * TAPS;
    int pair = blockIdx.x / tap_blocks, i = pair % c.inputs, o = pair / c.inputs;
    int channels = c.groups * c.inputs, channel = o / c.outputs * c.inputs + i, outputs = c.groups * c.outputs;
    int places = s0.out * s1.out * s2.out;
    long long source_plane = (long long)s0.source * s1.source * s2.source;
    int offset[TAPS][3];
    for (int k = 0; k < TAPS; k++) {
        int tap = min(first + k, taps - 1);
        offset[k][2] = tap % s2.window * s2.dilation - s2.padding;
        offset[k][1] = tap / s2.window % s1.window * s1.dilation - s1.padding;
        offset[k][0] = tap / (s2.window * s1.window) * s0.dilation - s0.padding;
    }
    float sum[TAPS] = {};
    for (int n = blockIdx.y; n < c.images; n += gridDim.y) {
        const T* dy_plane = dy + ((long long)n * outputs + o) * places;
        const T* x_plane = x + ((long long)n * channels + channel) * source_plane;
        for (int p = threadIdx.x; p < places; p += 256) {
            float value = dy_plane[p];
            int line = p / s2.out, p2 = (p - line * s2.out) * s2.stride;
            int p1 = line % s1.out * s1.stride, p0 = line / s1.out * s0.stride;
            for (int k = 0; k < TAPS; k++) {
                int i0 = p0 + offset[k][0], i1 = p1 + offset[k][1], i2 = p2 + offset[k][2];
                bool inside = unsigned(i0) < s0.source && unsigned(i1) < s1.source && unsigned(i2) < s2.source;
                if (inside) sum[k] += value * float(x_plane[((long long)i0 * s1.source + i1) * s2.source + i2]);
            }
        }
    }
    for (int k = 0; k < TAPS; k++) {
        float total = block_sum(sum[k]);
        if (threadIdx.x == 0 && first + k < taps)
            parts[(((long long)blockIdx.y * outputs + o) * taps + first + k) * c.inputs + i] = total;
    }
}
