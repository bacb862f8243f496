// A bias and the function behind it, between the two products of an MLP: read once, written once.
// Computed in 32 bits; in bfloat16 x * sigmoid(x) would cancel where x is below 0.

#include "common.cuh"

// x * P(X <= x) of a normal X (Hendrycks and Gimpel 2016, "Gaussian Error Linear Units"), exact.
__device__ __forceinline__ float gelu(float x) {
    return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
}

// x * sigmoid(1.702 * x), the same paper's approximation, which CLIP was trained with.
__device__ __forceinline__ float quick_gelu(float x) {
    return __fdividef(x, 1 + __expf(-1.702f * x));
}

// `eights` elements in eights, rows of `width` eights.
template <float (*FUNCTION)(float)>
__device__ __forceinline__ void biased(const u16 *__restrict__ x, const float *__restrict__ bias,
                                       u16 *__restrict__ out, u32 eights, u32 width) {
    const u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= eights) return;
    float value[8], constant[8];
    load(value, x + 8 * static_cast<size_t>(at));
    load(constant, bias + 8 * (at % width));
#pragma unroll
    for (u32 j = 0; j < 8; j++) value[j] = FUNCTION(value[j] + constant[j]);
    store(out + 8 * static_cast<size_t>(at), value);
}

extern "C" __global__ void bias_gelu(const u16 *x, const float *bias, u16 *out, u32 eights, u32 width) {
    biased<gelu>(x, bias, out, eights, width);
}

extern "C" __global__ void bias_quick_gelu(const u16 *x, const float *bias, u16 *out, u32 eights,
                                           u32 width) {
    biased<quick_gelu>(x, bias, out, eights, width);
}
