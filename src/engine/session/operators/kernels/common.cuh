// What the kernels share: bfloat16 in pairs, sums over a warp. No header of CUDA's is needed.

typedef unsigned short u16;
typedef unsigned int u32;

constexpr u32 WARP = 32;

// The float that a bfloat16 stands for.
__device__ __forceinline__ float low(u32 pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

// Two floats, each rounded to the nearest bfloat16.
__device__ __forceinline__ u32 rounded(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ float sum_of_warp(float x) {
#pragma unroll
    for (u32 away = WARP / 2; away > 0; away /= 2) x += __shfl_xor_sync(0xffffffffu, x, away);
    return x;
}

// Eight neighbouring elements as floats.
__device__ __forceinline__ void load(float (&x)[8], const float *from) {
    const float4 *at = reinterpret_cast<const float4 *>(from);
    const float4 a = at[0], b = at[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}
__device__ __forceinline__ void load(float (&x)[8], const u16 *from) {
    const uint4 at = *reinterpret_cast<const uint4 *>(from);
    x[0] = low(at.x), x[1] = high(at.x), x[2] = low(at.y), x[3] = high(at.y);
    x[4] = low(at.z), x[5] = high(at.z), x[6] = low(at.w), x[7] = high(at.w);
}
__device__ __forceinline__ void store(float *to, const float (&x)[8]) {
    float4 *at = reinterpret_cast<float4 *>(to);
    at[0] = make_float4(x[0], x[1], x[2], x[3]);
    at[1] = make_float4(x[4], x[5], x[6], x[7]);
}
__device__ __forceinline__ void store(u16 *to, const float (&x)[8]) {
    *reinterpret_cast<uint4 *>(to) = make_uint4(rounded(x[0], x[1]), rounded(x[2], x[3]),
                                                rounded(x[4], x[5]), rounded(x[6], x[7]));
}
