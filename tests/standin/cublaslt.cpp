// A libcublasLt that computes on the CPU: the functions that the binding calls, with the checks that NVIDIA documents.
//
// A graph is captured through `emulated_recorder`: it is asked for each product, and may keep it for `emulated_run`.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_TF32 = 77 };
enum Epilogue { RELU = 2, BIAS = 4, DRELU = 8, BGRAD = 16, GELU = 32, DGELU = 64, AUX = 128, BGRADA = 256, BGRADB = 512 };
constexpr uint64_t ALIVE = 0xC0BA51, MOST = 16;  // no algorithm asks for a better alignment than 16 bytes
constexpr uint64_t LONG = 64, NEEDED = 4096;     // depth from which an algorithm needs that much workspace

struct Layout {
    uint64_t alive, rows, columns;
    int64_t ld, stride = 0;
    int32_t type, batch = 1;
};
struct Desc {
    uint64_t alive;
    int32_t compute, scale, transA = 0, transB = 0;
    uint32_t epilogue = 1;
    void *vector = nullptr, *aux = nullptr;
    int64_t vectorStride = 0, auxLd = 0, auxStride = 0;
};
struct Preference {
    uint64_t alive, workspace = 0;
    uint32_t reduction = 7, alignment[4] = {256, 256, 256, 256};
};
struct Algorithm {  // 64 bytes, like the library's own
    uint64_t alive, shape, alignment, workspace, unused[4];
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
struct Call {
    Desc desc;
    Layout a, b, c, d;
    const void *A, *B, *C;
    void *D, *workspace;
    double alpha, beta;
    uint64_t needed;
};

using Recorder = int (*)(void* stream, Call* call);
static Recorder recorder = nullptr;

static size_t size_of(int type) { return type == R_64F ? 8 : type == R_32F ? 4 : 2; }

static double read(const void* from, int64_t i, int type) {
    if (type == R_64F) return static_cast<const double*>(from)[i];
    if (type == R_32F) return static_cast<const float*>(from)[i];
    if (type == R_16F) return static_cast<float>(static_cast<const _Float16*>(from)[i]);
    uint32_t bits = uint32_t(static_cast<const uint16_t*>(from)[i]) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

static void write(void* to, int64_t i, int type, double value) {
    float x = static_cast<float>(value);
    if (type == R_64F) static_cast<double*>(to)[i] = value;
    else if (type == R_32F) static_cast<float*>(to)[i] = x;
    else if (type == R_16F) static_cast<_Float16*>(to)[i] = static_cast<_Float16>(x);
    else {
        uint32_t bits;
        std::memcpy(&bits, &x, 4);
        uint16_t rounded = x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        static_cast<uint16_t*>(to)[i] = rounded;
    }
}

// The ten bits of mantissa that tensor cores read of a float.
static double tf32(double value) {
    float x = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if ((bits >> 23 & 255) == 255) return x;
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    std::memcpy(&x, &bits, 4);
    return x;
}

static double tanh_part(double x) { return std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)); }
static double gelu(double x) { return 0.5 * x * (1 + tanh_part(x)); }
static double gelu_slope(double x) {
    double t = tanh_part(x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

static bool relu_mask(const Desc& e) { return e.epilogue & (RELU | DRELU); }

// What the epilogue makes of a sum; it may read or write the second matrix.
static double finished(const Call& c, double x, int64_t s, int64_t i, int64_t j) {
    const Desc& e = c.desc;
    if (e.epilogue & BIAS) x += read(e.vector, s * e.vectorStride + i, c.d.type);
    int64_t at = s * e.auxStride + i + j * e.auxLd;
    auto* bits = static_cast<unsigned char*>(e.aux);
    bool positive = x > 0;
    if (e.epilogue & DRELU) return bits[at / 8] >> at % 8 & 1 ? x : 0;
    if (e.epilogue & DGELU) return x * gelu_slope(read(e.aux, at, c.d.type));
    if (e.epilogue & AUX && relu_mask(e)) bits[at / 8] = (bits[at / 8] & ~(1 << at % 8)) | positive << at % 8;
    else if (e.epilogue & AUX) write(e.aux, at, c.d.type, x);
    if (e.epilogue & RELU) return x < 0 ? 0 : x;
    return e.epilogue & GELU ? gelu(x) : x;
}

// D = epilogue(alpha op(A) op(B) + beta C); sums of half precision and float are taken in float.
template <class Sum> static void compute(const Call& c) {
    const Desc& e = c.desc;
    int64_t depth = e.transA ? c.a.rows : c.a.columns;
    auto element = [&](const void* from, const Layout& l, bool across, int64_t s, int64_t i, int64_t j) {
        double x = read(from, s * l.stride + (across ? j + i * l.ld : i + j * l.ld), l.type);
        return static_cast<Sum>(e.compute == COMPUTE_TF32 ? tf32(x) : x);
    };
    if (c.needed) std::memset(c.workspace, 0xAB, c.needed);
    for (int64_t s = 0; s < c.d.batch; s++) {
        std::vector<double> columnSum(c.d.rows);
        for (int64_t j = 0; j < int64_t(c.d.columns); j++)
            for (int64_t i = 0; i < int64_t(c.d.rows); i++) {
                Sum sum = 0;
                for (int64_t k = 0; k < depth; k++)
                    sum += element(c.A, c.a, e.transA, s, i, k) * element(c.B, c.b, e.transB, s, k, j);
                double x = c.alpha * sum;
                if (c.beta) x += c.beta * read(c.C, s * c.c.stride + i + j * c.c.ld, c.c.type);
                x = finished(c, x, s, i, j);
                columnSum[i] += x;
                write(c.D, s * c.d.stride + i + j * c.d.ld, c.d.type, x);
            }
        int64_t to = s * e.vectorStride;
        if (e.epilogue & BGRAD)
            for (int64_t i = 0; i < int64_t(c.d.rows); i++) write(e.vector, to + i, c.d.type, columnSum[i]);
        for (int64_t i = 0; e.epilogue & BGRADA && i < int64_t(c.d.rows); i++) {
            Sum sum = 0;
            for (int64_t k = 0; k < depth; k++) sum += element(c.A, c.a, e.transA, s, i, k);
            write(e.vector, to + i, c.d.type, sum);
        }
        for (int64_t j = 0; e.epilogue & BGRADB && j < int64_t(c.d.columns); j++) {
            Sum sum = 0;
            for (int64_t k = 0; k < depth; k++) sum += element(c.B, c.b, e.transB, s, k, j);
            write(e.vector, to + j, c.d.type, sum);
        }
    }
}

// Whether these descriptions make a product, and one that the library has.
static Status check(const Desc* e, const Layout* a, const Layout* b, const Layout* c, const Layout* d) {
    if (!e || !a || !b || !c || !d || e->alive != ALIVE) return INVALID_VALUE;
    for (const Layout* l : {a, b, c, d})
        if (l->alive != ALIVE || l->ld < int64_t(l->rows) || !l->rows || !l->columns || l->batch < 1 ||
            l->batch != d->batch || l->stride < 0)
            return INVALID_VALUE;
    uint64_t m = e->transA ? a->columns : a->rows, k = e->transA ? a->rows : a->columns;
    uint64_t kb = e->transB ? b->columns : b->rows, n = e->transB ? b->rows : b->columns;
    if (k != kb || d->rows != m || d->columns != n || c->rows != m || c->columns != n) return INVALID_VALUE;
    if (d->batch > 1 && d->stride < int64_t(m)) return INVALID_VALUE;  // results over one another
    bool wide = a->type == R_64F;
    if (a->type != b->type || a->type != d->type || c->type != d->type) return NOT_SUPPORTED;
    if (e->scale != (wide ? R_64F : R_32F) || (e->compute == COMPUTE_64F) != wide) return NOT_SUPPORTED;
    if (e->compute == COMPUTE_TF32 && a->type != R_32F) return NOT_SUPPORTED;
    switch (e->epilogue) {
        case 1: case RELU: case BIAS: case RELU | BIAS: case GELU: case GELU | BIAS: case BGRADA: case BGRADB:
        case RELU | AUX: case RELU | AUX | BIAS: case GELU | AUX: case GELU | AUX | BIAS:
        case DRELU | AUX: case DRELU | AUX | BGRAD: case DGELU | AUX: case DGELU | AUX | BGRAD: break;
        default: return INVALID_VALUE;
    }
    if (e->epilogue & AUX && (e->auxLd < int64_t(m) || e->auxLd % (relu_mask(*e) ? 128 : 8))) return INVALID_VALUE;
    return SUCCESS;
}

static uint64_t shape_of(const Desc& e, const Layout& a, const Layout& b, const Layout& d) {
    uint64_t hash = 14695981039346656037ull;
    for (int64_t x : {int64_t(a.rows), int64_t(a.columns), a.ld, a.stride, int64_t(b.rows), int64_t(b.columns), b.ld,
                      b.stride, d.ld, d.stride, int64_t(d.type), int64_t(d.batch), int64_t(e.compute),
                      int64_t(e.transA), int64_t(e.transB), int64_t(e.epilogue)})
        hash = (hash ^ uint64_t(x)) * 1099511628211ull;
    return hash;
}

static bool aligned(const void* pointer, uint64_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

template <class T> static Status set(T& field, const void* from, size_t size) {
    if (!from || size != sizeof(T)) return INVALID_VALUE;
    std::memcpy(&field, from, size);
    return SUCCESS;
}

extern "C" {

void emulated_recorder(Recorder given) { recorder = given; }

void emulated_run(Call* call) {
    if (call->desc.compute == COMPUTE_64F) compute<double>(*call);
    else compute<float>(*call);
}

void emulated_forget(Call* call) { delete call; }

// What a product writes: D (0), and the epilogue's vector (1); the number of bytes, and where they begin.
size_t emulated_output(const Call* call, int which, const void** from) {
    const Desc& e = call->desc;
    const Layout& d = call->d;
    *from = which ? e.vector : call->D;
    size_t columns = e.epilogue & BGRADB ? d.columns : d.rows;
    if (which) return e.epilogue & (BGRAD | BGRADA | BGRADB) ? columns * size_of(d.type) : 0;
    return ((d.batch - 1) * d.stride + (d.columns - 1) * d.ld + d.rows) * size_of(d.type);
}

size_t cublasLtGetVersion() { return 130000; }

int cublasLtCreate(void** handle) {
    *handle = new uint64_t(ALIVE);
    return SUCCESS;
}

int cublasLtMatmulDescCreate(Desc** made, int compute, int scale) {
    *made = new Desc{ALIVE, compute, scale};
    return SUCCESS;
}

int cublasLtMatmulDescDestroy(Desc* desc) {
    desc->alive = 0;
    delete desc;
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Desc* desc, int attribute, const void* from, size_t size) {
    switch (attribute) {
        case 3: return set(desc->transA, from, size);
        case 4: return set(desc->transB, from, size);
        case 7: return set(desc->epilogue, from, size);
        case 8: return set(desc->vector, from, size);
        case 10: return set(desc->vectorStride, from, size);
        case 11: return set(desc->aux, from, size);
        case 12: return set(desc->auxLd, from, size);
        case 13: return set(desc->auxStride, from, size);
    }
    return INVALID_VALUE;
}

int cublasLtMatrixLayoutCreate(Layout** made, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    *made = new Layout{ALIVE, rows, columns, ld, 0, type};
    return SUCCESS;
}

int cublasLtMatrixLayoutDestroy(Layout* layout) {
    layout->alive = 0;
    delete layout;
    return SUCCESS;
}

int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* from, size_t size) {
    if (attribute == 5) return set(layout->batch, from, size);
    return attribute == 6 ? set(layout->stride, from, size) : INVALID_VALUE;
}

int cublasLtMatmulPreferenceCreate(Preference** made) {
    *made = new Preference{ALIVE};
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* from, size_t size) {
    if (attribute == 1) return set(preference->workspace, from, size);
    if (attribute == 3) return set(preference->reduction, from, size);
    return attribute >= 5 && attribute <= 8 ? set(preference->alignment[attribute - 5], from, size) : INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(uint64_t* handle, Desc* e, Layout* a, Layout* b, Layout* c, Layout* d,
                                   Preference* preference, int requested, Heuristic* found, int* count) {
    *count = 0;
    if (!handle || *handle != ALIVE) return NOT_INITIALIZED;
    if (requested < 1 || !preference || preference->alive != ALIVE) return INVALID_VALUE;
    if (Status status = check(e, a, b, c, d)) return status;
    uint64_t alignment = MOST;
    for (uint32_t given : preference->alignment) alignment = given < alignment ? given : alignment;
    if (e->vector && !aligned(e->vector, alignment)) alignment = size_of(d->type);
    if (alignment < size_of(d->type)) return NOT_SUPPORTED;
    uint64_t needed = (e->transA ? a->rows : a->columns) >= LONG ? NEEDED : 0;
    if (needed > preference->workspace) needed = 0;
    *found = Heuristic{{ALIVE, shape_of(*e, *a, *b, *d), alignment, needed, {}}, needed, SUCCESS, 1.0f, {}};
    *count = 1;
    return SUCCESS;
}

int cublasLtMatmul(uint64_t* handle, Desc* e, const void* alpha, const void* A, Layout* a, const void* B, Layout* b,
                   const void* beta, const void* C, Layout* c, void* D, Layout* d, const Algorithm* algorithm,
                   void* workspace, size_t workspaceSize, void* stream) {
    if (!handle || *handle != ALIVE) return NOT_INITIALIZED;
    if (Status status = check(e, a, b, c, d)) return status;
    if (!alpha || !beta || !A || !B || !D || !algorithm || algorithm->alive != ALIVE) return INVALID_VALUE;
    if (algorithm->shape != shape_of(*e, *a, *b, *d) || workspaceSize < algorithm->workspace) return INVALID_VALUE;
    if (algorithm->workspace && (!workspace || !aligned(workspace, 256))) return INVALID_VALUE;
    bool vector = e->epilogue & (BIAS | BGRAD | BGRADA | BGRADB), wide = e->scale == R_64F;
    if ((vector && !e->vector) || (e->epilogue & AUX && !e->aux)) return INVALID_VALUE;
    for (const void* pointer : {A, B, (const void*)D, (const void*)(vector ? e->vector : D)})
        if (!aligned(pointer, algorithm->alignment)) return INVALID_VALUE;
    double one = wide ? *static_cast<const double*>(alpha) : *static_cast<const float*>(alpha);
    double rest = wide ? *static_cast<const double*>(beta) : *static_cast<const float*>(beta);
    if (rest && !C) return INVALID_VALUE;
    auto* call = new Call{*e, *a, *b, *c, *d, A, B, C, D, workspace, one, rest, algorithm->workspace};
    if (recorder && recorder(stream, call)) return SUCCESS;
    emulated_run(call);
    delete call;
    return SUCCESS;
}
}
