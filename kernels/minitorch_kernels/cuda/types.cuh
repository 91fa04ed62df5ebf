// The types that kernels compute with: half precision as stored bits, vectors of elements, shared memory.
#include "ptx.cuh"

// Stored in 16 bits, computed with as float: converts to float by itself, and from it, rounding to nearest even.
struct half {
    unsigned short bits;
    half() = default;
    __device__ __forceinline__ half(float x) : bits(half_bits(x)) {}
    __device__ __forceinline__ operator float() const { return half_value(bits); }
};

struct bfloat16 {
    unsigned short bits;
    bfloat16() = default;
    __device__ __forceinline__ bfloat16(float x) : bits(bfloat16_bits(x)) {}
    __device__ __forceinline__ operator float() const { return bfloat16_value(bits); }
};

// The type that sums and functions of a T are computed in: `accumulator<half>` is float.
template <class T> struct Accumulator { using type = float; };
template <> struct Accumulator<double> { using type = double; };
template <class T> using accumulator = typename Accumulator<T>::type;

// N elements that are loaded and stored at once: 16 bytes an instruction are what fills the memory's bus.
template <class T, int N> struct alignas(sizeof(T) * N) vector {
    T at[N];
    __device__ __forceinline__ T& operator[](int i) { return at[i]; }
    __device__ __forceinline__ const T& operator[](int i) const { return at[i]; }
};

template <int N, class T> __device__ __forceinline__ vector<T, N> load(const T* from) {
    return *reinterpret_cast<const vector<T, N>*>(from);
}

template <class T, int N> __device__ __forceinline__ void store(T* to, const vector<T, N>& values) {
    *reinterpret_cast<vector<T, N>*>(to) = values;
}

// The ends of the numbers, which NVRTC has no header for.
template <class A> __device__ __forceinline__ A infinity();
template <> __device__ __forceinline__ float infinity<float>() { return __int_as_float(0x7f800000); }
template <> __device__ __forceinline__ double infinity<double>() { return __longlong_as_double(0x7ff0000000000000ll); }
template <class A> __device__ __forceinline__ A largest();
template <> __device__ __forceinline__ float largest<float>() { return 3.402823466e38f; }
template <> __device__ __forceinline__ double largest<double>() { return 1.7976931348623157e308; }

// Shared memory whose size the launch says.
extern __shared__ __align__(128) unsigned char dynamic_shared[];
