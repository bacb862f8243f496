// The residual stream's part of a sub-layer, in one pass over memory: a product and its bias are
// added to the stream, which is kept in 32 bits, and the sum is normalised over its width
// (Ba, Kiros and Hinton 2016, "Layer Normalization") and rounded for the next product.
//
// A block has a row, a thread eight neighbours of it. They stay in its registers, so that the
// variance is that of the numbers themselves and not made of sums of squares.

#include "common.cuh"

// Sum over the block; `part` has a place for each warp. All threads get it.
__device__ __forceinline__ float sum_of_block(float x, float *part) {
    x = sum_of_warp(x);
    if (threadIdx.x % WARP == 0) part[threadIdx.x / WARP] = x;
    __syncthreads();
    float sum = 0;
    for (u32 i = 0; i < blockDim.x / WARP; i++) sum += part[i];
    return sum;
}

// `width` is a multiple of 8 and at most 8 times the threads, which are whole warps. Without a
// `product` the stream is normalised as it is, and `sum` is not written.
extern "C" __global__ void layer_norm(const u16 *__restrict__ product, const float *__restrict__ bias,
                                const float *__restrict__ stream, const float *__restrict__ scale,
                                const float *__restrict__ shift, u16 *__restrict__ normed,
                                float *__restrict__ sum, u32 width, float epsilon) {
    __shared__ float totals[WARP], squares[WARP];
    const u32 at = 8 * threadIdx.x;
    const bool there = at < width;
    const size_t place = static_cast<size_t>(blockIdx.x) * width + at;
    float x[8] = {};
    if (there) {
        load(x, stream + place);
        if (product != nullptr) {
            float more[8], constant[8];
            load(more, product + place);
            load(constant, bias + at);
#pragma unroll
            for (u32 i = 0; i < 8; i++) x[i] += more[i] + constant[i];
            store(sum + place, x);
        }
    }
    float total = 0;
#pragma unroll
    for (u32 i = 0; i < 8; i++) total += x[i];
    const float mean = sum_of_block(total, totals) / width;
    total = 0;
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        x[i] -= mean;
        total += x[i] * x[i];
    }
    const float squared = sum_of_block(there ? total : 0, squares) / width;
    if (!there) return;
    const float factor = rsqrtf(squared + epsilon);
    float by[8], plus[8];
    load(by, scale + at);
    load(plus, shift + at);
#pragma unroll
    for (u32 i = 0; i < 8; i++) x[i] = x[i] * factor * by[i] + plus[i];
    store(normed + place, x);
}
