// All inline PTX, behind plain functions: conversions, copies in the background, fragments, tensor cores (sm_80 on).
//
// Tensor cores multiply tiles that lie spread over the registers of a warp, its fragments. With g = lane / 4 and
// t = lane % 4 (PTX ISA, "Matrix fragments for mma.m16n8k16", "mma.m16n8k8"):
//
//     A (16 x 32 bytes)  a[0]: row g, bytes 4t..4t+3     a[1]: row g + 8     a[2], a[3]: the same rows, bytes 16 + 4t..
//     B (32 bytes x 8)   b0: column g, bytes 4t..4t+3    b1: bytes 16 + 4t..
//     D (16 x 8 floats)  d[0], d[1]: row g, columns 2t and 2t + 1     d[2], d[3]: the same columns of row g + 8
//
// 32 bytes are 16 half or bfloat16 (two of them in a register, the first in its low bits) or 8 floats. Both products
// thus have the same fragments, and code that moves bytes serves all three types.
#ifndef MINITORCH_PTX
#define MINITORCH_PTX

struct half;
struct bfloat16;

// Conversions; to 16 bits they round to the nearest, ties to even. A pair has its first number in the low bits.
__device__ __forceinline__ unsigned short half_bits(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ __forceinline__ float half_value(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

__device__ __forceinline__ unsigned short bfloat16_bits(float x) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ __forceinline__ float bfloat16_value(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ __forceinline__ unsigned half_pair(float first, float second) {
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

__device__ __forceinline__ unsigned bfloat16_pair(float first, float second) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// x with 10 bits of mantissa, to the nearest, ties away from zero: what mma<float> multiplies.
__device__ __forceinline__ unsigned tf32_bits(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// The same bits, of which the compiler does not know so: what was computed from them is computed again, not kept.
__device__ __forceinline__ void forget(unsigned& bits) { asm volatile("" : "+r"(bits)); }

// 16 bytes to global memory in one instruction, where the compiler would store them piece by piece.
__device__ __forceinline__ void store_16(void* to, const unsigned* words) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
                 :: "l"(to), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]));
}

// 2^x in one instruction, to 2 units in the last place; denormal results are 0.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// BYTES (4, 8 or 16, both addresses their multiples) from global to shared memory without passing through registers;
// zeros where not `there`, and `from` is not read. A thread sees its own copies after cp_async_wait, the others' after
// the __syncthreads that follows it. Whoever copies waits for the copies before it ends. KEEP: L1 keeps the bytes too,
// for a neighbour who will copy them again; fewer than 16 always go through it.
template <int BYTES, bool KEEP = false>
__device__ __forceinline__ void cp_async(void* to, const void* from, bool there = true) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
    unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    int read = there ? BYTES : 0;
    if constexpr (BYTES == 16 && !KEEP)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(BYTES), "r"(read)
                     : "memory");
}

// The copies since the last commit become a group, perhaps an empty one.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all groups of this thread but the latest PENDING have arrived.
template <int PENDING> __device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// N (1, 2 or 4) matrices of 8 rows of 16 bytes from shared memory. Lane 8 i + j gives the address of row j of matrix i
// (the lanes beyond 8 N any address); r[i] gets bytes 4t..4t+3 of its row g: a piece of a fragment A or B whose
// bytes along the sum follow each other in memory. Rows at the same place of the 128 bytes that all banks hold make
// the lanes wait for each other.
template <int N> __device__ __forceinline__ void ldmatrix(unsigned (&r)[N], const void* row) {
    static_assert(N == 1 || N == 2 || N == 4, "ldmatrix loads 1, 2 or 4 matrices");
    unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(row));
    if constexpr (N == 1)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(shared) : "memory");
    else if constexpr (N == 2)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1]) : "r"(shared) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared) : "memory");
}

// The same for 16-bit numbers that lie the other way: r[i] gets column g of rows 2t and 2t + 1.
template <int N> __device__ __forceinline__ void ldmatrix_transposed(unsigned (&r)[N], const void* row) {
    static_assert(N == 1 || N == 2 || N == 4, "ldmatrix loads 1, 2 or 4 matrices");
    unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(row));
    if constexpr (N == 1)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                     : "=r"(r[0]) : "r"(shared) : "memory");
    else if constexpr (N == 2)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1]) : "r"(shared) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared) : "memory");
}

// d += a b on the tensor cores, summed in float: 16 x 16 times 16 x 8 for half and bfloat16, 16 x 8 times 8 x 8 for
// float, of which 10 bits of mantissa count (TF32; round with tf32_bits, or the others are cut off).
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

#define MINITORCH_MMA(T, shape)                                                                               \
    template <>                                                                                               \
    __device__ __forceinline__ void mma<T>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { \
        asm("mma.sync.aligned." shape " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"      \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                  \
    }
MINITORCH_MMA(half, "m16n8k16.row.col.f32.f16.f16.f32")
MINITORCH_MMA(bfloat16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MINITORCH_MMA(float, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef MINITORCH_MMA

#endif
