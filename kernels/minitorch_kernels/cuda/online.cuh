// The log-sum-exp of numbers that are seen once, one after the other.
#include "warp.cuh"

// The running maximum and the sum of exp(x - maximum) of what was seen: Milakov and Gimelshein 2018. It starts from
// the least finite number, so that -inf adds 0, and a row of -inf alone gives 0 / 0.
template <class A> struct Online {
    A top = -largest<A>(), sum = 0;

    __device__ __forceinline__ void add(A x) {
        if (x > top) sum *= exp(top - x), top = x;
        sum += exp(x - top);
    }
};

template <class A> __device__ __forceinline__ Online<A> warp_reduce_online(Online<A> a) {
    A top = warp_max(a.top);
    return {top, warp_sum(a.sum * exp(a.top - top))};
}

template <class A> __device__ __forceinline__ Online<A> block_reduce_online(Online<A> a) {
    A top = block_max(a.top);
    return {top, block_sum(a.sum * exp(a.top - top))};
}
