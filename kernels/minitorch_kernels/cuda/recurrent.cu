// The cells of recurrent layers: all that a step does after its product, in one pass, and the gradients of that.
//
// A thread makes one hidden unit of one sequence, so neighbours read and write neighbours in every gate. A step is too
// small to fill a GPU and waits for memory once: everything is loaded before the first sum. Rows of x and of what is
// kept lie step after step, `first` is the step's first; rows of h, c, s and of gradients that travel are sequences.
// What is added up over steps in 16 bits would lose it: c, and gradients that bypass the product, are accumulators.
// The formulas stand in minitorch_kernels/recurrent.py.
#include "types.cuh"
#include "functions.cuh"

template <class T> __device__ __forceinline__ accumulator<T> at(const T* array, long long i) { return array[i]; }

// The sum that a gate takes: what the input adds, what the state adds, and the bias, which there may not be.
template <class T> __device__ __forceinline__ accumulator<T> state_sum(const T* s, const T* b, long long row, int gates,
                                                                       int size, int gate, int unit) {
    accumulator<T> sum = at(s, (row * gates + gate) * size + unit);
    return b ? sum + at(b, gate * size + unit) : sum;
}

// h' = tanh(x + s) or max(x + s, 0). `before` and `values` are null where nothing is kept for backward.
template <class T> __global__ void rnn(int rows, int size, long long first, bool relu, const T* x, const T* s,
                                       const T* b, T* h, T* y, T* before, T* values) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, row = i / size, to = first * size + i;
    if (row >= rows) return;
    int unit = i % size;
    accumulator<T> sum = at(x, to) + state_sum(s, b, row, 1, size, 0, unit);
    T made = relu ? (sum < 0 ? 0 : sum) : _tanh<T>(sum);
    if (before) before[to] = h[i], values[to] = made;
    h[i] = y[to] = made;
}

template <class T> __global__ void gru(int rows, int size, long long first, const T* x, const T* s, const T* b, T* h,
                                       T* y, T* before, T* values) {
    using A = accumulator<T>;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, row = i / size, to = first * size + i;
    if (row >= rows) return;
    int unit = i % size;
    long long gate = (first + row) * 3 * size + unit;
    A x_r = at(x, gate), x_z = at(x, gate + size), x_n = at(x, gate + 2 * size), old = h[i];
    A s_r = state_sum(s, b, row, 3, size, 0, unit), s_z = state_sum(s, b, row, 3, size, 1, unit);
    A s_n = state_sum(s, b, row, 3, size, 2, unit);
    A r = _logistic<T>(x_r + s_r), z = _logistic<T>(x_z + s_z), n = _tanh<T>(x_n + r * s_n);
    if (before) {
        T* kept = values + (first + row) * 4 * size + unit;
        kept[0] = r, kept[size] = z, kept[2 * size] = n, kept[3 * size] = s_n;
        before[to] = old;
    }
    h[i] = y[to] = n + z * (old - n);
}

// Without `h`: the states are projected afterwards, and y alone is written.
template <class T> __global__ void lstm(int rows, int size, long long first, const T* x, const T* s, const T* b, T* h,
                                        accumulator<T>* c, T* y, T* before, accumulator<T>* cells, T* values) {
    using A = accumulator<T>;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, row = i / size, to = first * size + i;
    if (row >= rows) return;
    int unit = i % size;
    A sums[4], old = c[i];
#pragma unroll
    for (int g = 0; g < 4; g++)
        sums[g] = at(x, ((first + row) * 4 + g) * size + unit) + state_sum(s, b, row, 4, size, g, unit);
    A in = _logistic<T>(sums[0]), forget = _logistic<T>(sums[1]), g = _tanh<T>(sums[2]), out = _logistic<T>(sums[3]);
    A made = forget * old + in * g, t = _tanh<T>(made);
    if (values) {
        T* kept = values + (first + row) * 5 * size + unit;
        kept[0] = in, kept[size] = forget, kept[2 * size] = g, kept[3 * size] = out, kept[4 * size] = t;
        cells[to] = old;
        if (h) before[to] = h[i];
    }
    c[i] = made;
    y[to] = out * t;
    if (h) h[i] = out * t;
}

// The gradient of a step's h: what its output is told, what the next step's product sent back (`through`), and what came
// past that product. The last is used up.
template <class T> __device__ __forceinline__ accumulator<T> arrived(const T* dy, const T* through,
                                                                     const accumulator<T>* past, long long from,
                                                                     long long i) {
    accumulator<T> sum = past[i] + at(through, i);
    return dy ? sum + at(dy, from) : sum;
}

template <class T> __global__ void rnn_backward(int rows, int size, long long first, bool relu, const T* dy,
                                                const T* through, accumulator<T>* past, const T* values, T* dx) {
    using A = accumulator<T>;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, to = first * size + i;
    if (i >= (long long)rows * size) return;
    A dh = arrived(dy, through, past, to, i), y = values[to];
    dx[to] = relu ? (y > 0 ? dh : 0 * dh) : dh * (1 - y * y);
    past[i] = 0;
}

template <class T> __global__ void gru_backward(int rows, int size, long long first, const T* dy, const T* through,
                                                accumulator<T>* past, const T* before, const T* values, T* dx, T* ds) {
    using A = accumulator<T>;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, row = i / size, to = first * size + i;
    if (row >= rows) return;
    int unit = i % size;
    const T* kept = values + (first + row) * 4 * size + unit;
    A r = kept[0], z = kept[size], n = kept[2 * size], s_n = kept[3 * size], h = before[to];
    A dh = arrived(dy, through, past, to, i);
    A dn = dh * (1 - z) * (1 - n * n), dr = dn * s_n * r * (1 - r), dz = dh * (h - n) * z * (1 - z);
    long long gate = (first + row) * 3 * size + unit;
    dx[gate] = ds[gate] = dr;
    dx[gate + size] = ds[gate + size] = dz;
    dx[gate + 2 * size] = dn;
    ds[gate + 2 * size] = dn * r;
    past[i] = dh * z;
}

// `full`: the gradient of h before a projection, which replaces what else arrives.
template <class T> __global__ void lstm_backward(int rows, int size, long long first, const T* dy, const T* through,
                                                 accumulator<T>* past, const T* full, const accumulator<T>* cells,
                                                 const T* values, accumulator<T>* dc, T* dx) {
    using A = accumulator<T>;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, row = i / size, to = first * size + i;
    if (row >= rows) return;
    int unit = i % size;
    const T* kept = values + (first + row) * 5 * size + unit;
    A in = kept[0], forget = kept[size], g = kept[2 * size], out = kept[3 * size], t = kept[4 * size], c = cells[to];
    A dh = full ? at(full, i) : arrived(dy, through, past, to, i);
    A d = dc[i] + dh * out * (1 - t * t);
    T* gates = dx + (first + row) * 4 * size + unit;
    gates[0] = d * g * in * (1 - in);
    gates[size] = d * c * forget * (1 - forget);
    gates[2 * size] = d * in * (1 - g * g);
    gates[3 * size] = dh * t * out * (1 - out);
    dc[i] = d * forget;
    if (!full) past[i] = 0;
}

// out = all that arrives at so many elements.
template <class T> __global__ void gather(long long count, long long from, const T* dy, const T* through,
                                          accumulator<T>* past, T* out) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    out[i] = arrived(dy, through, past, from + i, i);
    past[i] = 0;
}
