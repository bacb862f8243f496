// Attention over a paged cache of keys and values in 8 bits, for the language model.
//
// A key or value x of DIM elements stands in the cache as bytes b and one scale s, x = s (b - 128):
// symmetric, rounded to the nearest, the largest element 127 steps from 0. The scale is rounded up to
// a bfloat16 before it is used, so that its rounding costs nothing. Keys are turned by their position
// (RoPE, Su et al. 2021, by halves) before they are rounded.
//
// Caches are [blocks][heads][BLOCK][DIM] bytes, their scales [blocks][heads][BLOCK] bfloat16: what a
// head reads of a block is one piece of memory.
//
// The algorithm is FlashAttention-2's (Dao 2023), with the keys of a sequence shared out among the
// warps of a block, whose results are put together at its end (as Flash-Decoding does among blocks).
// One token is memory-bound: keys and values go from memory to registers, 16 bytes a load, and become
// operands of the matrix units there, as 16-bit floats, which hold whole numbers up to 2048. Which
// elements a lane has is whatever its loads give it: the order of a sum is free.

#include "common.cuh"

#ifndef DIM
#error "DIM, elements of a head, must be 32, 64 or 128"
#endif

typedef unsigned char u8;

namespace {

constexpr u32 BLOCK = 256;  // tokens in a block of the cache
constexpr u32 STEP = 16;    // keys of a step of a warp
constexpr u32 HALF = DIM / 2;
constexpr u32 FOURS = DIM / 4;
constexpr u32 KEY_WORDS = DIM / 16;    // of one key a lane has so many words of 4 elements
constexpr u32 VALUE_WORDS = DIM / 32;  // and of one value
constexpr u32 TILES = DIM / 16;        // 16 x 8 tiles of a result, one above the other
constexpr u32 RUN = KEY_WORDS < 4 ? KEY_WORDS : 4;  // words of a key that a lane loads at once
// Elements from a query to the next in shared memory: 16 bytes more, for the banks.
constexpr u32 STRIDE = DIM + 8;
constexpr float LOG2E = 1.44269504088896340736f;
// Instead of minus infinity, whose differences are no numbers.
constexpr float LEAST = -1e30f;
// Bounds of scales: a cache holds nothing that is not finite.
constexpr float SMALLEST = 0x1p-60f, LARGEST = 0x1.fep127f;

// Where tokens stand, and what is cached of them; lengths are the device's.
struct Places {
    const int *__restrict__ cumulative;  // [sequences + 1]: where the new tokens of each begin
    const int *__restrict__ past;        // [sequences]: tokens cached before
    const float *__restrict__ cos;       // [positions][HALF]
    const float *__restrict__ sin;
    u32 sequences;
    u32 positions;

    // The last sequence `i` for which `before(i) <= at`; `before` ascends and is 0 for the first.
    // `guess` is tried first.
    template <typename Before>
    __device__ __forceinline__ u32 find(u32 at, u32 guess, Before before) const {
        if (guess < sequences && before(guess) <= at && before(guess + 1) > at) return guess;
        u32 low = 0, high = sequences;
        while (high - low > 1) {
            const u32 middle = (low + high) / 2;
            if (before(middle) <= at) low = middle;
            else high = middle;
        }
        return low;
    }
};

__device__ __forceinline__ float power_of_2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float log_2(float x) {
    float y;
    asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// Two floats, each rounded to the nearest 16-bit float.
__device__ __forceinline__ u32 halves(float low, float high) {
    u32 pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
// c += a b: 16 x 16 by 16 x 8.
__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The cached numbers of two bytes as 16-bit floats: behind the byte 0x64 a byte b is 1024 + b.
__device__ __forceinline__ u32 numbers(u32 bytes, u32 which) {
    u32 pair;
    asm("sub.rn.f16x2 %0, %1, %2;"
        : "=r"(pair)
        : "r"(__byte_perm(bytes, 0x64646464u, which)), "r"(0x64806480u));
    return pair;
}
constexpr u32 FIRST = 0x4140, SECOND = 0x4342;  // two bytes

// Words that are read once: they need no place in the first cache.
template <u32 N>
__device__ __forceinline__ void fetch(u32 (&to)[N], const u8 *from) {
    if constexpr (N == 1) {
        asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(to[0]) : "l"(from));
    } else if constexpr (N == 2) {
        asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
                     : "=r"(to[0]), "=r"(to[1])
                     : "l"(from));
    } else {
#pragma unroll
        for (u32 i = 0; i < N; i += 4)
            asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(to[i]), "=r"(to[i + 1]), "=r"(to[i + 2]), "=r"(to[i + 3])
                         : "l"(from + 16 * i));
    }
}

// Two neighbours of a head's first half and two of its second, turned by a position: what the lanes
// below FOURS have of it; the others have zeros.
__device__ __forceinline__ void turned(float (&x)[4], const u16 *__restrict__ head,
                                       const float *__restrict__ cos,
                                       const float *__restrict__ sin) {
    const u32 at = 2 * (threadIdx.x % WARP);
    const u32 a = *reinterpret_cast<const u32 *>(head + at);
    const u32 b = *reinterpret_cast<const u32 *>(head + HALF + at);
    const float2 c = *reinterpret_cast<const float2 *>(cos + at);
    const float2 s = *reinterpret_cast<const float2 *>(sin + at);
    x[0] = low(a) * c.x - low(b) * s.x, x[1] = high(a) * c.y - high(b) * s.y;
    x[2] = low(b) * c.x + low(a) * s.x, x[3] = high(b) * c.y + high(a) * s.y;
}

__device__ __forceinline__ float largest_of_warp(const float (&x)[4]) {
    float most = fmaxf(fmaxf(fabsf(x[0]), fabsf(x[1])), fmaxf(fabsf(x[2]), fabsf(x[3])));
#pragma unroll
    for (u32 away = WARP / 2; away > 0; away /= 2)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, away));
    return most;
}

// Puts a vector whose lanes have what `turned` gives them into the cache.
__device__ __forceinline__ void keep(u8 *__restrict__ to, u16 *__restrict__ scale,
                                     const float (&x)[4]) {
    const u32 lane = threadIdx.x % WARP;
    // NaNs are passed over by maxima, infinities bounded.
    const float most = fminf(fmaxf(largest_of_warp(x) / 127, SMALLEST), LARGEST);
    const u32 up = (__float_as_uint(most) + 0xffffu) >> 16;
    const float step = __uint_as_float(up << 16);
    if (lane == 0) *scale = static_cast<u16>(up);
    if (lane >= FOURS) return;
    u32 byte[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        byte[i] = static_cast<u32>(max(-127, min(127, __float2int_rn(x[i] / step))) + 128);
    *reinterpret_cast<u16 *>(to + 2 * lane) = static_cast<u16>(byte[0] | byte[1] << 8);
    *reinterpret_cast<u16 *>(to + HALF + 2 * lane) = static_cast<u16>(byte[2] | byte[3] << 8);
}

// What a warp has of the keys and values of a step, and their scales.
struct Step {
    // Of keys lane / 4 and 8 + lane / 4.
    u32 key[2][KEY_WORDS];
    // Of keys lane % 4 * 2, the next, and 8 behind each.
    u32 value[4][VALUE_WORDS];
    // Two neighbours' each: of the same keys as the values.
    u32 key_scale[2], value_scale[2];
};

// QUERIES: 8 or 16 tokens of one sequence at most.
template <u32 QUERIES>
__device__ __forceinline__ void attend(const u16 *__restrict__ qkv, const u8 *__restrict__ keys,
                                       const u8 *__restrict__ values,
                                       const u16 *__restrict__ key_scales,
                                       const u16 *__restrict__ value_scales,
                                       const int *__restrict__ table, u16 *__restrict__ out,
                                       const Places places, u32 heads, u32 width) {
    constexpr u32 ROWS = QUERIES / 8;  // of 8 queries
    __shared__ __align__(16) u16 queries[QUERIES * STRIDE];
    __shared__ float factors[QUERIES];
    // Of each warp and query: the result, then the maximum and the sum.
    extern __shared__ __align__(16) float parts[];
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const u32 group = lane / 4, quad = lane % 4;
    const u32 head = blockIdx.x;

    // A sequence has as many tiles as its tokens can need, wherever they begin.
    const auto before = [&](u32 i) { return static_cast<u32>(places.cumulative[i]) / QUERIES + i; };
    const u32 sequence = places.find(blockIdx.y, blockIdx.y - blockIdx.y / (QUERIES + 1), before);
    const u32 begin = places.cumulative[sequence], end = places.cumulative[sequence + 1];
    const u32 first = begin + (blockIdx.y - before(sequence)) * QUERIES;
    if (first >= end) return;
    const u32 count = min(QUERIES, end - first);
    // Of the first query.
    const u32 position = static_cast<u32>(places.past[sequence]) + first - begin;
    const u32 steps = min((position + count + STEP - 1) / STEP, width * (BLOCK / STEP));
    table += sequence * width;

    Step own;
    const auto place = [&](u32 step, u32 block) {
        return (static_cast<size_t>(block) * heads + head) * BLOCK + step % (BLOCK / STEP) * STEP;
    };
    const auto block_of = [&](u32 step) -> u32 {
        return step < steps ? table[step / (BLOCK / STEP)] : 0;
    };
    const auto fetch_keys = [&](size_t at) {
#pragma unroll
        for (u32 j = 0; j < 2; j++)
            fetch(own.key[j], keys + (at + 8 * j + group) * DIM + quad * 4 * RUN);
    };
    const auto fetch_values = [&](size_t at) {
#pragma unroll
        for (u32 j = 0; j < 4; j++)
            fetch(own.value[j], values + (at + j / 2 * 8 + j % 2 + 2 * quad) * DIM +
                                    group * 4 * VALUE_WORDS);
    };
    const auto fetch_scales = [&](u32 (&to)[2], const u16 *from, size_t at) {
#pragma unroll
        for (u32 j = 0; j < 2; j++)
            to[j] = __ldg(reinterpret_cast<const u32 *>(from + at + 8 * j + 2 * quad));
    };
    if (warp < steps) {
        const size_t at = place(warp, block_of(warp));
        fetch_keys(at);
        fetch_scales(own.key_scale, key_scales, at);
        fetch_scales(own.value_scale, value_scales, at);
        fetch_values(at);
    }
    u32 block = block_of(warp + warps);

    // Queries go to shared memory as 16-bit floats, the largest element of each being 1.
    for (u32 i = warp; i < QUERIES; i += warps) {
        float x[4] = {};
        if (i < count && lane < FOURS) {
            const u32 at = min(position + i, places.positions - 1) * HALF;
            turned(x, qkv + (static_cast<size_t>(first + i) * 3 * heads + head) * DIM,
                   places.cos + at, places.sin + at);
        }
        const float most = fmaxf(largest_of_warp(x), SMALLEST);
        if (lane == 0) factors[i] = most * LOG2E * rsqrtf(static_cast<float>(DIM));
        if (lane < FOURS) {
            u16 *const to = queries + i * STRIDE + 2 * lane;
            *reinterpret_cast<u32 *>(to) = halves(x[0] / most, x[1] / most);
            *reinterpret_cast<u32 *>(to + HALF) = halves(x[2] / most, x[3] / most);
        }
    }
    __syncthreads();
    u32 q[KEY_WORDS][4];
    float factor[ROWS];
#pragma unroll
    for (u32 row = 0; row < 2; row++) {
        if (row < ROWS) factor[row] = factors[8 * row + group];
#pragma unroll
        for (u32 i = 0; i < KEY_WORDS; i++) {
            // As `fetch_keys` lays the elements out.
            const u32 element = i / RUN * 16 * RUN + quad * 4 * RUN + i % RUN * 4;
#pragma unroll
            for (u32 right = 0; right < 2; right++)
                q[i][row + 2 * right] =
                    row < ROWS ? *reinterpret_cast<const u32 *>(
                                     queries + (8 * row + group) * STRIDE + element + 2 * right)
                               : 0;
        }
    }

    float result[ROWS][TILES][4] = {};
    float most[ROWS], sum[ROWS];
#pragma unroll
    for (u32 row = 0; row < ROWS; row++) most[row] = LEAST, sum[row] = 0;

    for (u32 step = warp; step < steps; step += warps) {
        float score[2][4] = {};
#pragma unroll
        for (u32 i = 0; i < KEY_WORDS; i++)
#pragma unroll
            for (u32 j = 0; j < 2; j++)
                multiply(score[j], q[i], numbers(own.key[j][i], FIRST),
                         numbers(own.key[j][i], SECOND));
        float key_scale[4], value_scale[4];
#pragma unroll
        for (u32 j = 0; j < 2; j++) {
            key_scale[2 * j] = low(own.key_scale[j]), key_scale[2 * j + 1] = high(own.key_scale[j]);
            value_scale[2 * j] = low(own.value_scale[j]);
            value_scale[2 * j + 1] = high(own.value_scale[j]);
        }
        const bool more = step + warps < steps;
        const size_t next = place(step + warps, block);
        if (more) {
            fetch_keys(next);
            fetch_scales(own.key_scale, key_scales, next);
            fetch_scales(own.value_scale, value_scales, next);
            block = block_of(step + 2 * warps);
        }

        // What a key adds to the result is its share times its value's scale: the largest of these,
        // not of the shares, is 1 at most.
        const bool whole = step * STEP + STEP - 1 <= position;
        u32 shares[ROWS][2];
        float before[ROWS];
        bool rises = false;
#pragma unroll
        for (u32 row = 0; row < ROWS; row++) {
            float x[4];
            float top = LEAST;
#pragma unroll
            for (u32 k = 0; k < 4; k++) {
                x[k] = score[k / 2][2 * row + k % 2] * factor[row] * key_scale[k];
                const u32 key = step * STEP + k / 2 * 8 + 2 * quad + k % 2;
                if (!whole && key > position + 8 * row + group) x[k] = 2 * LEAST;
                top = fmaxf(top, x[k] + log_2(value_scale[k]));
            }
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
            top = fmaxf(top, most[row]);
            before[row] = power_of_2(most[row] - top);
            rises |= top > most[row];
            most[row] = top;
            sum[row] *= before[row];
#pragma unroll
            for (u32 k = 0; k < 4; k++) {
                x[k] = power_of_2(x[k] - top);
                sum[row] += x[k];
                x[k] = x[k] > 0 ? x[k] * value_scale[k] : 0;
            }
            shares[row][0] = halves(x[0], x[1]), shares[row][1] = halves(x[2], x[3]);
        }
        if (__any_sync(0xffffffffu, rises)) {
#pragma unroll
            for (u32 row = 0; row < ROWS; row++) {
                // The lane has the results of other queries than the scores.
                const float by[2] = {__shfl_sync(0xffffffffu, before[row], 8 * quad),
                                     __shfl_sync(0xffffffffu, before[row], 8 * quad + 4)};
#pragma unroll
                for (u32 i = 0; i < TILES; i++)
#pragma unroll
                    for (u32 e = 0; e < 4; e++) result[row][i][e] *= by[e % 2];
            }
        }
#pragma unroll
        for (u32 w = 0; w < VALUE_WORDS; w++)
#pragma unroll
            for (u32 i = 0; i < 2; i++) {
                // Of two keys each the same two elements.
                const u32 mixed = i == 0 ? 0x5140 : 0x7362;
                const u32 x = __byte_perm(own.value[0][w], own.value[1][w], mixed);
                const u32 y = __byte_perm(own.value[2][w], own.value[3][w], mixed);
                const u32 a[4] = {numbers(x, FIRST), numbers(x, SECOND), numbers(y, FIRST),
                                  numbers(y, SECOND)};
#pragma unroll
                for (u32 row = 0; row < ROWS; row++)
                    multiply(result[row][2 * w + i], a, shares[row][0], shares[row][1]);
            }
        if (more) fetch_values(next);
    }

    float2 *const ends = reinterpret_cast<float2 *>(parts + warps * QUERIES * DIM);
#pragma unroll
    for (u32 row = 0; row < ROWS; row++) {
        sum[row] += __shfl_xor_sync(0xffffffffu, sum[row], 1);
        sum[row] += __shfl_xor_sync(0xffffffffu, sum[row], 2);
        if (quad == 0) ends[warp * QUERIES + 8 * row + group] = make_float2(most[row], sum[row]);
#pragma unroll
        for (u32 e = 0; e < 2; e++) {
            const u32 query = 8 * row + 2 * quad + e;
            if (query >= count) continue;
            float *const to = parts + (warp * QUERIES + query) * DIM + group * 4 * VALUE_WORDS;
#pragma unroll
            for (u32 i = 0; i < TILES; i++)
                *reinterpret_cast<float2 *>(to + 2 * i) =
                    make_float2(result[row][i][e], result[row][i][2 + e]);
        }
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < count * HALF; i += blockDim.x) {
        const u32 query = i / HALF, element = i % HALF * 2;
        float top = LEAST;
        for (u32 w = 0; w < warps; w++) top = fmaxf(top, ends[w * QUERIES + query].x);
        float total = 0;
        float2 x = make_float2(0, 0);
        for (u32 w = 0; w < warps; w++) {
            const float2 part = ends[w * QUERIES + query];
            const float by = power_of_2(part.x - top);
            const float2 more =
                *reinterpret_cast<const float2 *>(parts + (w * QUERIES + query) * DIM + element);
            total += part.y * by;
            x.x += more.x * by, x.y += more.y * by;
        }
        *reinterpret_cast<u32 *>(out + (static_cast<size_t>(first + query) * heads + head) * DIM +
                                 element) = rounded(x.x / total, x.y / total);
    }
}

}  // namespace

// Puts the keys and values of new tokens where `slots` says, -1 being nowhere. A warp has a token and
// a head. Rows of qkv are queries, keys and values, of each head by head.
extern "C" __global__ void cache_keys_values(
    const u16 *__restrict__ qkv, u8 *__restrict__ keys, u8 *__restrict__ values,
    u16 *__restrict__ key_scales, u16 *__restrict__ value_scales, const int *__restrict__ cumulative,
    const int *__restrict__ past, const float *__restrict__ cos, const float *__restrict__ sin,
    const int *__restrict__ slots, u32 tokens, u32 sequences, u32 heads, u32 positions) {
    const u32 at = (blockIdx.x * blockDim.x + threadIdx.x) / WARP, lane = threadIdx.x % WARP;
    const u32 token = at / heads, head = at % heads;
    if (token >= tokens) return;
    const int slot = slots[token];
    if (slot < 0) return;
    const Places places = {cumulative, past, cos, sin, sequences, positions};
    const auto before = [&](u32 i) { return static_cast<u32>(cumulative[i]); };
    const u32 sequence = places.find(token, token, before);
    const u32 position = min(static_cast<u32>(past[sequence]) + token - before(sequence), positions - 1);
    const u16 *const from = qkv + (static_cast<size_t>(token) * 3 * heads + head) * DIM;
    const size_t to =
        (static_cast<size_t>(slot / BLOCK) * heads + head) * BLOCK + slot % BLOCK;
    float x[4] = {};
    if (lane < FOURS) turned(x, from + heads * DIM, cos + position * HALF, sin + position * HALF);
    keep(keys + to * DIM, key_scales + to, x);
    if (lane < FOURS) {
        const u16 *const value = from + 2 * heads * DIM + 2 * lane;
        const u32 a = *reinterpret_cast<const u32 *>(value);
        const u32 b = *reinterpret_cast<const u32 *>(value + HALF);
        x[0] = low(a), x[1] = high(a), x[2] = low(b), x[3] = high(b);
    }
    keep(values + to * DIM, value_scales + to, x);
}

#define ATTEND(NAME, QUERIES, THREADS, RESIDENT)                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) NAME(                          \
        const u16 *__restrict__ qkv, const u8 *__restrict__ keys, const u8 *__restrict__ values,   \
        const u16 *__restrict__ key_scales, const u16 *__restrict__ value_scales,                  \
        const int *__restrict__ cumulative, const int *__restrict__ past,                          \
        const int *__restrict__ table, const float *__restrict__ cos,                              \
        const float *__restrict__ sin, u16 *__restrict__ out, u32 sequences, u32 heads, u32 width, \
        u32 positions) {                                                                           \
        attend<QUERIES>(qkv, keys, values, key_scales, value_scales, table, out,                   \
                        {cumulative, past, cos, sin, sequences, positions}, heads, width);         \
    }

// The new tokens attend to their sequences' cached ones up to themselves. Blocks: heads, which stand
// side by side in the cache (by sequences first, the memory's rate was 0.93 of this); by as many as
// QUERIES go into the tokens, and one more a sequence. `width` is that of the table. Rows behind the
// last sequence are not written.
ATTEND(attend_few, 8, 512, 1)
ATTEND(attend_many, 16, 128, 3)
