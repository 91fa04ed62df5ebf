// Functions of one number that chains of elementwise operations call, under the names that they have in fused.py.
// For float and double: numbers of 16 bits are computed with in float. The built-in functions are right to an ulp or two.

template <typename C> __device__ inline C _exp(C x) { return exp(x); }
template <typename C> __device__ inline C _expm1(C x) { return expm1(x); }
template <typename C> __device__ inline C _log(C x) { return log(x); }
template <typename C> __device__ inline C _log1p(C x) { return log1p(x); }
template <typename C> __device__ inline C _tanh(C x) { return tanh(x); }
template <typename C> __device__ inline C _logistic(C x) { return C(1) / (C(1) + exp(-x)); }

// The normal distribution function: erfc keeps the digits of its lower tail, which 1 + erf would lose.
template <typename C> __device__ inline C _below(C x) { return C(0.5) * erfc(x * C(-0.70710678118654752)); }

template <typename C> struct Pair { C first, second; };

// The normal distribution function at x, and its density.
template <typename C> __device__ inline Pair<C> _normal(C x) {
    return {_below(x), exp(C(-0.5) * x * x) * C(0.39894228040143268)};
}

template <typename C> __device__ inline C _silu_slope(C x) {
    C s = _logistic(x);
    return s * (C(1) + x * (C(1) - s));
}

// Twice what tanh is taken of in gelu's approximation, 2 sqrt(2 / pi) (x + 0.044715 x^3), and the derivative of that.
template <typename C> __device__ inline Pair<C> _twice_inner(C x) {
    C a = C(1.5957691216057308), b = C(0.07135481627260025), square = x * x;
    return {x * (a + b * square), a + C(3) * b * square};
}
