// Functions that chains of elementwise operations call, under the names that they have in fused.py.
// f<T>(x) is for numbers stored as T and computed with as accumulator<T>. For 16 bits the GPU's approximations do, which
// are right to 2^-20 or so: with the exact ones, arithmetic would take longer than memory.
#include "types.cuh"

template <class T> __device__ __forceinline__ accumulator<T> _exp(accumulator<T> x) {
    if constexpr (sizeof(T) == 2) return __expf(x);
    else return exp(x);
}
template <class T> __device__ __forceinline__ accumulator<T> _expm1(accumulator<T> x) { return expm1(x); }
template <class T> __device__ __forceinline__ accumulator<T> _log(accumulator<T> x) { return log(x); }
template <class T> __device__ __forceinline__ accumulator<T> _log1p(accumulator<T> x) { return log1p(x); }
template <class T> __device__ __forceinline__ accumulator<T> _tanh(accumulator<T> x) { return tanh(x); }

template <class T> __device__ __forceinline__ accumulator<T> _logistic(accumulator<T> x) {
    accumulator<T> below = 1 + _exp<T>(-x);
    if constexpr (sizeof(T) == 2) return __fdividef(1.0f, below);
    else return 1 / below;
}

// The normal distribution function. erfc keeps the digits of its lower tail, which 1 + erf, the quicker one, loses.
template <class T> __device__ __forceinline__ accumulator<T> _below(accumulator<T> x) {
    typedef accumulator<T> A;
    if constexpr (sizeof(T) == 2) return 0.5f + 0.5f * erf(x * 0.70710678118654752f);
    else return A(0.5) * erfc(x * A(-0.70710678118654752));
}

template <class A> struct Pair { A first, second; };

// The normal distribution function at x, and its density.
template <class T> __device__ __forceinline__ Pair<accumulator<T>> _normal(accumulator<T> x) {
    typedef accumulator<T> A;
    return {_below<T>(x), _exp<T>(A(-0.5) * x * x) * A(0.39894228040143268)};
}

template <class T> __device__ __forceinline__ accumulator<T> _silu_slope(accumulator<T> x) {
    accumulator<T> s = _logistic<T>(x);
    return s * (1 + x * (1 - s));
}

// Twice what tanh is taken of in gelu's approximation, 2 sqrt(2 / pi) (x + 0.044715 x^3), and the derivative of that.
template <class T> __device__ __forceinline__ Pair<accumulator<T>> _twice_inner(accumulator<T> x) {
    typedef accumulator<T> A;
    A a = A(1.5957691216057308), b = A(0.07135481627260025), square = x * x;
    return {x * (a + b * square), a + 3 * b * square};
}
