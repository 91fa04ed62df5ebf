// The functions of ptx.cuh in plain C++: copies arrive when they are waited for, fragments go from lane to lane.
#include <deque>
#include <vector>

struct half;
struct bfloat16;

inline float bfloat16_value(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

inline unsigned short bfloat16_bits(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float half_value(unsigned short bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                 : exponent == 0 ? std::ldexp(float(mantissa), -24)
                                 : std::ldexp(float(mantissa + 1024), exponent - 25);
    return bits >> 15 ? -size : size;
}

inline unsigned short half_bits(float x) {
    unsigned short sign = (unsigned short)(__float_as_uint(x) >> 16 & 0x8000);
    float size = std::fabs(x);
    if (x != x) return 0x7fff;
    if (size == 0 || size >= 65520) return sign | (size == 0 ? 0 : 0x7c00);
    int exponent;
    std::frexp(size, &exponent);  // size = 0.1... * 2^exponent
    int unit = std::max(exponent - 11, -24);
    int mantissa = int(std::nearbyint(std::ldexp(size, -unit)));  // ties to even; a carry goes into the exponent
    return sign | (unsigned short)(unit == -24 ? mantissa : ((unit + 24) << 10) + mantissa);
}

inline unsigned half_pair(float first, float second) { return half_bits(first) | unsigned(half_bits(second)) << 16; }

inline unsigned bfloat16_pair(float first, float second) {
    return bfloat16_bits(first) | unsigned(bfloat16_bits(second)) << 16;
}

inline unsigned tf32_bits(float x) {
    unsigned bits = __float_as_uint(x);
    return std::isfinite(x) ? (bits + 0x1000) & ~0x1fffu : bits;
}

inline void forget(unsigned&) {}
inline void store_16(void* to, const unsigned* words) { std::memcpy(to, words, 16); }
inline float exp2_fast(float x) { return std::exp2(x); }

namespace emulated {

struct Copy { void* to; const void* from; int bytes; bool there; };
struct Copies { std::vector<Copy> open; std::deque<std::vector<Copy>> groups; };
static Copies copies[1024];  // of each thread of the block

// What all lanes of this warp show.
template <class T> struct Shown {
    const char (*slot)[64];
    explicit Shown(const T& mine) {
        exchange(0xffffffffu, mine, [](int lane) { return lane; });
        slot = slots[!(turn[current] & 1)] + current / 32 * 32;  // not written again before this lane takes part
    }
    const T& operator[](int lane) const { return *reinterpret_cast<const T*>(slot[lane]); }
};

template <int N, bool TRANSPOSED> void ldmatrix(unsigned (&r)[N], const void* row) {
    Shown<const void*> rows(row);
    int g = current % 32 / 4, t = current % 4;
    for (int i = 0; i < N; i++) {
        unsigned short pair[2];
        for (int j = 0; j < 2; j++) {
            int at = TRANSPOSED ? 2 * t + j : g, column = TRANSPOSED ? g : 2 * t + j;
            if (reinterpret_cast<uintptr_t>(rows[8 * i + at]) % 16) error = "ldmatrix: a row is not on 16 bytes";
            pair[j] = static_cast<const unsigned short*>(rows[8 * i + at])[column];
        }
        std::memcpy(&r[i], pair, 4);
    }
}

struct Fragments { unsigned a[4], b[2]; };

}  // namespace emulated

template <int BYTES, bool KEEP = false> void cp_async(void* to, const void* from, bool there = true) {
    if (reinterpret_cast<uintptr_t>(to) % BYTES || (there && reinterpret_cast<uintptr_t>(from) % BYTES))
        emulated::error = "cp_async: an address is not a multiple of the bytes copied";
    emulated::copies[emulated::current].open.push_back({to, from, BYTES, there});
}

inline void cp_async_commit() {
    auto& mine = emulated::copies[emulated::current];
    mine.groups.push_back(std::move(mine.open));
    mine.open.clear();
}

template <int PENDING> void cp_async_wait() {
    auto& groups = emulated::copies[emulated::current].groups;
    while (groups.size() > PENDING) {
        for (const auto& c : groups.front()) {
            if (c.there) std::memcpy(c.to, c.from, c.bytes);
            else std::memset(c.to, 0, c.bytes);
        }
        groups.pop_front();
    }
}

template <int N> void ldmatrix(unsigned (&r)[N], const void* row) { emulated::ldmatrix<N, false>(r, row); }
template <int N> void ldmatrix_transposed(unsigned (&r)[N], const void* row) { emulated::ldmatrix<N, true>(r, row); }

template <class T> void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    constexpr bool TF32 = std::is_same_v<T, float>;
    constexpr int K = TF32 ? 8 : 16, IN_REGISTER = TF32 ? 1 : 2;
    emulated::Shown<emulated::Fragments> of({{a[0], a[1], a[2], a[3]}, {b0, b1}});
    auto value = [](unsigned bits, int i) {
        if constexpr (TF32) return __uint_as_float(bits & ~0x1fffu);
        else if constexpr (std::is_same_v<T, half>) return half_value((unsigned short)(bits >> 16 * i));
        else return bfloat16_value((unsigned short)(bits >> 16 * i));
    };
    int g = emulated::current % 32 / 4, t = emulated::current % 4;
    for (int i = 0; i < 4; i++) {
        int row = g + i / 2 * 8, column = 2 * t + i % 2;
        for (int k = 0; k < K; k++) {
            int lane = k / IN_REGISTER % 4, upper = k / (4 * IN_REGISTER), part = k % IN_REGISTER;
            d[i] += value(of[row % 8 * 4 + lane].a[row / 8 + 2 * upper], part) *
                    value(of[column * 4 + lane].b[upper], part);
        }
    }
}
