// What each step of a 3 x 3 convolution sees, as a row of a matrix (im2col: Chellapilla, Puri and
// Simard 2006), with a border of zeros. A block has a row.

#include "common.cuh"

// `x` are squares of `side` tokens to a side, tokens of `fours` times four elements; `out` are squares
// of `along` rows to a side, every `stride`th token, with nine tokens each.
extern "C" __global__ void neighbours(const float4 *__restrict__ x, float4 *__restrict__ out, u32 side,
                                      u32 along, u32 stride, u32 fours) {
    const u32 view = blockIdx.x / (along * along), place = blockIdx.x % (along * along);
    const u32 top = place / along * stride, left = place % along * stride;
    x += static_cast<size_t>(view) * side * side * fours;
    out += static_cast<size_t>(blockIdx.x) * 9 * fours;
    for (u32 i = threadIdx.x; i < 9 * fours; i += blockDim.x) {
        const u32 step = i / fours, element = i % fours;
        // One less than nothing is a large number.
        const u32 row = top + step / 3 - 1, column = left + step % 3 - 1;
        const bool inside = row < side && column < side;
        out[i] = inside ? x[(row * side + column) * fours + element] : make_float4(0, 0, 0, 0);
    }
}
