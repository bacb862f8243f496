// Attention of the vision towers: softmax(q k^T / sqrt(DIM) + relative positions) v for each head, a
// view at a time or within windows, straight from the packed products to packed results.
//
// The algorithm is FlashAttention-2's (Dao 2023): a block has some queries of a head and goes over
// the keys in tiles, with a running maximum and sum, so that scores are never in memory.
//
// Relative positions are SAM's (decomposed, from MViTv2, Li et al. 2022): the score of the query at
// (y, x) for the key at (v, u) gets q.R[y - v] + q.C[x - u]. Both are computed once a block, by the
// matrix units, for all v and all u, and stand in shared memory as 16-bit floats (11 bits of
// mantissa; bfloat16 would have 8).
//
// Windows are squares of `side` tokens; what of them lies outside the view is there as zeros: tokens
// that are looked at (`window_partition` in SAM pads before the linear layer, whose bias is left out
// of keys and values here; see `relative.rs` of the import).

#include "common.cuh"

#ifndef DIM
#error "DIM, elements of a head, must be a multiple of 16"
#endif

namespace {

constexpr u32 STEPS = DIM / 16;             // of a product over a head's elements
constexpr u32 COLUMNS = DIM / 8;            // 16 x 8 tiles of a result, side by side
// Elements from a row of a tile of keys to the next: 16 bytes more, so that the 8 rows that
// `ldmatrix` reads are in different banks.
constexpr u32 STRIDE = DIM + 8;
constexpr float LOG2E = 1.44269504088896340736f;

// Instead of a side: there is none, or it is known when the kernel runs.
constexpr u32 NONE = 0, ANY = 1;

// Elements from a query's relative positions to the next: 8 more than a multiple of 16, so that 8
// rows are in different banks.
__device__ constexpr u32 places(u32 side) { return (side + 7) / 16 * 16 + 8; }

// The tokens that attend to one another. WHOLE: none is asked for that is not there.
template <u32 SIDE, bool VIEW, bool WHOLE>
struct Square {
    u32 count;
    u32 grid;     // tokens of a view to a side
    u32 any;      // tokens of the square to a side
    u32 inverse;  // 2^32 / any, rounded up: with it `i / any` is exact for i * any < 2^32
    u32 top, left;

    __device__ u32 side() const { return SIDE == ANY ? any : SIDE; }
    __device__ u32 row(u32 i) const {
        if constexpr (SIDE > ANY) return i / SIDE;
        return __umulhi(i, inverse);
    }
    // The token of the view that is `i` here, or -1 outside the view.
    __device__ int at(u32 i) const {
        if constexpr (WHOLE) return static_cast<int>(i);
        if (i >= count) return -1;
        if constexpr (SIDE == NONE || VIEW) return static_cast<int>(i);
        const u32 y = row(i), x = i - y * side();
        const u32 ty = top + y, tx = left + x;
        return ty < grid && tx < grid ? static_cast<int>(ty * grid + tx) : -1;
    }
};

// Addresses in shared memory count bytes.
__device__ __forceinline__ u32 shared(const void *p) {
    return static_cast<u32>(__cvta_generic_to_shared(p));
}

// 16 bytes to shared memory, zeros where not `there`.
__device__ __forceinline__ void copy(u32 to, const u16 *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0));
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;"); }
__device__ __forceinline__ void arrived() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

__device__ __forceinline__ void matrices(u32 (&m)[4], u32 at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(at));
}
__device__ __forceinline__ void transposed(u32 (&m)[4], u32 at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(at));
}
// c += a b: 16 x 16 by 16 x 8.
__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ float infinity() { return __uint_as_float(0x7f800000u); }
__device__ __forceinline__ float power_of_2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ u16 half(float x) {
    u16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}
__device__ __forceinline__ float full(u16 h) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

// q.V[at + side - 1 - i] for each query and each i of `side` places, with the `2 * side - 1` vectors V
// along one axis; `at` is where the query stands along it. Vectors `from..to` are those that some
// query of the block meets.
template <u32 ROWS>
__device__ __forceinline__ void relative(u16 *out, const u16 *__restrict__ vectors,
                                         const u32 (&q)[ROWS][STEPS][4], const u32 (&at)[ROWS][2],
                                         u32 side, u32 from, u32 to) {
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const u32 stride = places(side);
    u32 next[STEPS][2];
    const auto fetch = [&](u32 first) {
        const u32 vector = first + lane / 4;
        const u16 *const elements = vectors + vector * DIM + lane % 4 * 2;
#pragma unroll
        for (u32 step = 0; step < STEPS; step++)
#pragma unroll
            for (u32 half = 0; half < 2; half++)
                next[step][half] =
                    vector < to
                        ? *reinterpret_cast<const u32 *>(elements + 16 * step + 8 * half)
                        : 0;
    };
    fetch(from);
    for (u32 first = from; first < to; first += 8) {
        u32 b[STEPS][2];
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) b[step][0] = next[step][0], b[step][1] = next[step][1];
        if (first + 8 < to) fetch(first + 8);
        float sum[ROWS][4] = {};
#pragma unroll
        for (u32 step = 0; step < STEPS; step++)
#pragma unroll
            for (u32 r = 0; r < ROWS; r++) multiply(sum[r], q[r][step], b[step][0], b[step][1]);
#pragma unroll
        for (u32 r = 0; r < ROWS; r++)
#pragma unroll
            for (u32 e = 0; e < 4; e++) {
                const u32 place = at[r][e / 2] + side - 1 - (first + lane % 4 * 2 + e % 2);
                const u32 query = (warp * ROWS + r) * 16 + lane / 4 + e / 2 * 8;
                const float score = sum[r][e] * sqrtf(static_cast<float>(DIM));
                // A half goes up to 65504; a score of as much decides alone anyway.
                if (place < side)
                    out[query * stride + place] = half(fminf(fmaxf(score, -6e4f), 6e4f));
            }
    }
}

// KEYS: of a tile. VIEW: the square is the whole view. ROWS: 16 x 8 tiles of a warp, one above the
// other.
template <u32 SIDE, u32 KEYS, bool VIEW, u32 WARPS, u32 ROWS>
__device__ __forceinline__ void attend(const u16 *__restrict__ qkv, const float *__restrict__ bias,
                                       const u16 *__restrict__ row_vectors,
                                       const u16 *__restrict__ column_vectors, u16 *__restrict__ out,
                                       u32 tokens, u32 heads, u32 grid, u32 any, u32 inverse) {
    constexpr u32 THREADS = WARPS * WARP;
    constexpr u32 QUERIES = WARPS * ROWS * 16;
    constexpr u32 TILES = KEYS / 8;  // 16 x 8 tiles of scores, side by side
    // Whether a tile of keys is whole rows of the square, and 16 x 8 tiles do not straddle them.
    constexpr bool ALIGNED = SIDE > ANY && KEYS % SIDE == 0 && SIDE % 8 == 0;
    constexpr u32 LINES = ALIGNED ? KEYS / SIDE : 1;
    extern __shared__ __align__(16) u16 memory[];
    // Twice a tile of keys and one of values, for the tile that is used and the one that comes.
    const u32 tiles = shared(memory);
    constexpr u32 TILE = KEYS * STRIDE * sizeof(u16);
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const u32 head = blockIdx.y;

    // Tiles of keys and of queries are whole.
    constexpr bool WHOLE = ALIGNED && VIEW && SIDE * SIDE % QUERIES == 0;
    Square<SIDE, VIEW, WHOLE> own = {tokens, grid, any, inverse, 0, 0};
    u32 view = blockIdx.z;
    const u32 side = own.side();
    if constexpr (SIDE != NONE && !VIEW) {
        const u32 along = (grid + side - 1) / side;
        const u32 window = view % (along * along);
        view /= along * along;
        own.top = window / along * side;
        own.left = window % along * side;
        own.count = side * side;
    }
    if constexpr (ALIGNED && VIEW) own.count = SIDE * SIDE;
    const u32 stride = places(side);
    u16 *const by_row = memory + 4 * KEYS * STRIDE;
    u16 *const by_column = by_row + QUERIES * stride;
    const u32 width = heads * DIM;
    const u32 packed = 3 * width;
    qkv += static_cast<size_t>(view) * tokens * packed + head * DIM;
    out += static_cast<size_t>(view) * tokens * width + head * DIM;

    const auto fetch = [&](u32 tile) {
        const u32 keys = tiles + tile % 2 * 2 * TILE;
#pragma unroll
        for (u32 i = threadIdx.x; i < KEYS * COLUMNS; i += THREADS) {
            const u32 key = i / COLUMNS, element = i % COLUMNS * 8;
            const int t = own.at(tile * KEYS + key);
            const u16 *const from = qkv + (t < 0 ? 0 : t) * packed + element;
            const u32 to = keys + (key * STRIDE + element) * sizeof(u16);
            copy(to, from + width, t >= 0);
            copy(to + TILE, from + 2 * width, t >= 0);
        }
        commit();
    };
    fetch(0);

    // This lane's queries: rows lane / 4 and 8 below it of each 16.
    u32 q[ROWS][STEPS][4];
    u32 y[ROWS][2], x[ROWS][2];
#pragma unroll
    for (u32 r = 0; r < ROWS; r++)
#pragma unroll
        for (u32 below = 0; below < 2; below++) {
            const u32 i = blockIdx.x * QUERIES + (warp * ROWS + r) * 16 + lane / 4 + below * 8;
            const int t = own.at(i);
            if constexpr (SIDE != NONE) {
                // Beyond the square: as the last of it, whose result is not written.
                const u32 last = i < own.count ? i : own.count - 1;
                y[r][below] = own.row(last);
                x[r][below] = last - y[r][below] * side;
            }
#pragma unroll
            for (u32 step = 0; step < STEPS; step++)
#pragma unroll
                for (u32 right = 0; right < 2; right++) {
                    const u32 element = 16 * step + 8 * right + lane % 4 * 2;
                    u32 pair = 0;
                    if (t >= 0) {
                        pair = *reinterpret_cast<const u32 *>(
                            qkv + t * packed + element);
                    }
                    const float2 constant =
                        *reinterpret_cast<const float2 *>(bias + head * DIM + element);
                    q[r][step][below + 2 * right] =
                        rounded(low(pair) + constant.x, high(pair) + constant.y);
                }
        }

    if constexpr (SIDE != NONE) {
        const u32 first = own.row(min(blockIdx.x * QUERIES, own.count - 1));
        const u32 last = own.row(min(blockIdx.x * QUERIES + QUERIES, own.count) - 1);
        relative<ROWS>(by_row, row_vectors, q, y, side, first, last + side);
        relative<ROWS>(by_column, column_vectors, q, x, side, 0, 2 * side - 1);
        // A lane reads what lanes of its own warp wrote.
        __syncwarp();
    }
    // Where this lane reads keys, and values, for `ldmatrix`.
    const u32 key_lane = ((lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8) * sizeof(u16);
    const u32 value_lane = ((lane / 8 % 2 * 8 + lane % 8) * STRIDE + lane / 16 * 8) * sizeof(u16);
    // Of this lane's first query.
    const u16 *const rows = by_row + (warp * ROWS * 16 + lane / 4) * stride;
    const u16 *const columns = by_column + (warp * ROWS * 16 + lane / 4) * stride;

    float result[ROWS][COLUMNS][4] = {};
    float most[ROWS][2], sum[ROWS][2];
#pragma unroll
    for (u32 r = 0; r < ROWS; r++)
#pragma unroll
        for (u32 below = 0; below < 2; below++) most[r][below] = -infinity(), sum[r][below] = 0;
    const float scale = LOG2E * rsqrtf(static_cast<float>(DIM));
    const u32 count = (own.count + KEYS - 1) / KEYS;

    for (u32 tile = 0; tile < count; tile++) {
        arrived();
        __syncthreads();
        if (tile + 1 < count) fetch(tile + 1);
        const u32 keys = tiles + tile % 2 * 2 * TILE + key_lane;
        const u32 values = tiles + (tile % 2 * 2 + 1) * TILE + value_lane;

        // Scores begin as relative positions, where a line of keys is in one row of the square
        // without that row's. What is read for keys beyond the last counts nowhere.
        float line[ROWS][2][LINES] = {};
        float score[ROWS][TILES][4];
        if constexpr (SIDE == NONE) {
#pragma unroll
            for (u32 r = 0; r < ROWS; r++)
#pragma unroll
                for (u32 n = 0; n < TILES; n++)
#pragma unroll
                    for (u32 e = 0; e < 4; e++) score[r][n][e] = 0;
        } else {
#pragma unroll
            for (u32 r = 0; r < ROWS; r++)
#pragma unroll
                for (u32 below = 0; below < 2; below++) {
                    const u32 query = (r * 16 + below * 8) * stride;
                    if constexpr (ALIGNED) {
#pragma unroll
                        for (u32 i = 0; i < LINES; i++)
                            line[r][below][i] = full(rows[query + tile * LINES + i]);
                    }
#pragma unroll
                    for (u32 n = 0; n < TILES; n++) {
                        u32 u;
                        float by = 0;
                        if constexpr (ALIGNED) {
                            u = 8 * n % SIDE + lane % 4 * 2;
                        } else {
                            // The side is even: two neighbours are in one row.
                            const u32 key = tile * KEYS + 8 * n + lane % 4 * 2;
                            const u32 v = own.row(key);
                            u = key - v * side;
                            by = full(rows[query + v]);
                        }
                        const u32 pair = *reinterpret_cast<const u32 *>(columns + query + u);
                        float *const s = &score[r][n][2 * below];
                        s[0] = full(static_cast<u16>(pair)), s[1] = full(static_cast<u16>(pair >> 16));
                        if constexpr (!ALIGNED) s[0] += by, s[1] += by;
                    }
                }
        }
#pragma unroll
        for (u32 step = 0; step < STEPS; step++)
#pragma unroll
            for (u32 n = 0; n < TILES; n += 2) {
                u32 k[4];
                matrices(k, keys + (8 * n * STRIDE + 16 * step) * sizeof(u16));
#pragma unroll
                for (u32 r = 0; r < ROWS; r++) {
                    multiply(score[r][n], q[r][step], k[0], k[1]);
                    multiply(score[r][n + 1], q[r][step], k[2], k[3]);
                }
            }
        if (!(ALIGNED && VIEW) && (tile + 1) * KEYS > own.count) {
#pragma unroll
            for (u32 n = 0; n < TILES; n++)
#pragma unroll
                for (u32 e = 0; e < 4; e++)
                    if (tile * KEYS + 8 * n + lane % 4 * 2 + e % 2 >= own.count)
#pragma unroll
                        for (u32 r = 0; r < ROWS; r++) score[r][n][e] = -infinity();
        }

        // The maximum only has to be near: powers of up to 2^8 do no harm. So it is seldom raised
        // (FlashAttention-4's way).
        float found[ROWS][2];
        bool raised = false;
#pragma unroll
        for (u32 r = 0; r < ROWS; r++)
#pragma unroll
            for (u32 below = 0; below < 2; below++) {
                float now = -infinity();
#pragma unroll
                for (u32 i = 0; i < LINES; i++) {
                    float of_line = -infinity();
#pragma unroll
                    for (u32 n = i * TILES / LINES; n < (i + 1) * TILES / LINES; n++) {
                        const float *const s = &score[r][n][2 * below];
                        of_line = fmaxf(of_line, fmaxf(s[0], s[1]));
                    }
                    now = fmaxf(now, of_line + line[r][below][i]);
                }
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
                found[r][below] = now;
                raised |= (now - most[r][below]) * scale > 8;
            }
        if (__any_sync(0xffffffffu, raised)) {
#pragma unroll
            for (u32 r = 0; r < ROWS; r++)
#pragma unroll
                for (u32 below = 0; below < 2; below++) {
                    const float now = fmaxf(most[r][below], found[r][below]);
                    const float shrink = power_of_2((most[r][below] - now) * scale);
                    most[r][below] = now;
                    sum[r][below] *= shrink;
#pragma unroll
                    for (u32 c = 0; c < COLUMNS; c++) {
                        result[r][c][2 * below] *= shrink;
                        result[r][c][2 * below + 1] *= shrink;
                    }
                }
        }
#pragma unroll
        for (u32 r = 0; r < ROWS; r++)
#pragma unroll
            for (u32 below = 0; below < 2; below++)
#pragma unroll
                for (u32 i = 0; i < LINES; i++) {
                    const float base = (most[r][below] - line[r][below][i]) * scale;
#pragma unroll
                    for (u32 n = i * TILES / LINES; n < (i + 1) * TILES / LINES; n++)
#pragma unroll
                        for (u32 e = 0; e < 2; e++) {
                            float &s = score[r][n][2 * below + e];
                            s = power_of_2(s * scale - base);
                            sum[r][below] += s;
                        }
                }

#pragma unroll
        for (u32 step = 0; step < KEYS / 16; step++) {
            u32 share[ROWS][4];
#pragma unroll
            for (u32 r = 0; r < ROWS; r++)
#pragma unroll
                for (u32 i = 0; i < 4; i++) {
                    const float *const s = &score[r][2 * step + i / 2][i % 2 * 2];
                    share[r][i] = rounded(s[0], s[1]);
                }
#pragma unroll
            for (u32 c = 0; c < COLUMNS; c += 2) {
                u32 v[4];
                transposed(v, values + (16 * step * STRIDE + 8 * c) * sizeof(u16));
#pragma unroll
                for (u32 r = 0; r < ROWS; r++) {
                    multiply(result[r][c], share[r], v[0], v[1]);
                    multiply(result[r][c + 1], share[r], v[2], v[3]);
                }
            }
        }
    }

#pragma unroll
    for (u32 r = 0; r < ROWS; r++)
#pragma unroll
        for (u32 below = 0; below < 2; below++) {
            float all = sum[r][below];
            all += __shfl_xor_sync(0xffffffffu, all, 1);
            all += __shfl_xor_sync(0xffffffffu, all, 2);
            const int t = own.at(blockIdx.x * QUERIES + (warp * ROWS + r) * 16 + lane / 4 + below * 8);
            if (t < 0) continue;
            const float by = 1 / all;
            u16 *const to = out + static_cast<size_t>(t) * width + lane % 4 * 2;
#pragma unroll
            for (u32 c = 0; c < COLUMNS; c++)
                *reinterpret_cast<u32 *>(to + 8 * c) =
                    rounded(result[r][c][2 * below] * by, result[r][c][2 * below + 1] * by);
        }
}

}  // namespace

// All tokens of a view attend to one another.
extern "C" __global__ void __launch_bounds__(128, 2)
    attention(const u16 *qkv, const float *bias, u16 *out, u32 tokens, u32 heads) {
    attend<NONE, 64, true, 4, 2>(qkv, bias, nullptr, nullptr, out, tokens, heads, 0, 0, 0);
}

// The tokens of a square do, with relative positions.
#define RELATIVE_ATTENTION(NAME, SIDE, KEYS, VIEW, WARPS, ROWS)                                   \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, 2)                                   \
        NAME(const u16 *qkv, const float *bias, const u16 *row_vectors,                           \
             const u16 *column_vectors, u16 *out, u32 heads, u32 grid, u32 side, u32 inverse) {   \
        attend<SIDE, KEYS, VIEW, WARPS, ROWS>(qkv, bias, row_vectors, column_vectors, out,        \
                                              grid * grid, heads, grid, side, inverse);           \
    }

RELATIVE_ATTENTION(relative_attention, ANY, 64, false, 4, 2)
#if DIM == 64
// The windows of the published model, and its views of 640 and 1024 pixels.
RELATIVE_ATTENTION(relative_attention_14, 14, 80, false, 4, 2)
RELATIVE_ATTENTION(relative_attention_40, 40, 80, true, 4, 2)
RELATIVE_ATTENTION(relative_attention_64, 64, 64, true, 4, 2)
#endif
