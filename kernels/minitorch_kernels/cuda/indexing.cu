// Gathering elements and rows by integer arrays, and adding them back to where they came from.
//
// A negative index counts from the end. One that is outside of its axis reads nothing and writes nothing. Where several
// go to one place they are added by atomics, as in PyTorch: the last bits of such sums may differ from run to run.
#include "types.cuh"

// The place of an index along an axis of n; outside of 0 ... n - 1 if it is none.
__device__ __forceinline__ long long wrapped(long long index, long long n) { return index < 0 ? index + n : index; }
__device__ __forceinline__ bool inside(long long place, long long n) { return place >= 0 && place < n; }

// How an array of indices lies over an array of elements, axis by axis.
struct Places {
    int ndim, axis;
    unsigned sizes[8];       // of the indices
    long long strides[8];    // of the elements
    long long n;             // the elements' size along `axis`

    // Where number i of the indices points to, or -1.
    __device__ __forceinline__ long long of(unsigned i, const long long* index) const {
        long long place = wrapped(index[i], n), at = 0;
        if (!inside(place, n)) return -1;
        for (int d = ndim - 1; d >= 0; d--) {
            unsigned along = i % sizes[d];
            i /= sizes[d];
            at += (d == axis ? place : along) * strides[d];
        }
        return at;
    }
};

// Copies need no arithmetic: T is an unsigned type of the elements' size, `none` stands where an index is outside.
template <class T>
__global__ void gather(const T* x, const long long* index, T* y, Places places, unsigned count, T none) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long at = places.of(i, index);
    y[i] = at < 0 ? none : x[at];
}

// No place twice.
template <class T>
__global__ void scatter(const T* dy, const long long* index, T* dx, Places places, unsigned count) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long at = places.of(i, index);
    if (at >= 0) dx[at] = dy[i];
}

template <class T>
__global__ void scatter_add(const T* dy, const long long* index, accumulator<T>* dx, Places places, unsigned count) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long at = places.of(i, index);
    if (at >= 0) atomicAdd(dx + at, accumulator<T>(dy[i]));
}

// out[index[row]] += rows[row], but for row `skipped` of `out`. A block is (threads a row, rows).
template <class T>
__global__ void add_rows(const T* rows, const long long* index, accumulator<T>* out, long long count, long long n,
                         int width, long long skipped) {
    using A = accumulator<T>;
    long long row = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (row >= count) return;
    long long place = wrapped(index[row], n);
    if (!inside(place, n) || place == skipped) return;
    rows += row * width, out += place * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) atomicAdd(out + i, A(rows[i]));
}

// y[outer, picked, inner] = x[outer, index[picked], inner].
template <class T>
__global__ void pick(const T* x, const long long* index, T* y, long long count, long long n, int picked,
                     long long inner) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long line = i / inner, along = wrapped(index[line % picked], n);
    y[i] = x[(line / picked * n + along) * inner + i % inner];
}

// The adjoint without atomics: element k of the axis is the sum over `sources[begins[k] ... begins[k + 1] - 1]`.
template <class T>
__global__ void pick_dx(const T* dy, const long long* begins, const long long* sources, T* dx, long long count,
                        long long n, int picked, long long inner) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long line = i / inner, k = line % n;
    const T* from = dy + line / n * picked * inner + i % inner;
    accumulator<T> sum = 0;
    for (long long s = begins[k]; s < begins[k + 1]; s++) sum += accumulator<T>(from[sources[s] * inner]);
    dx[i] = T(sum);
}
