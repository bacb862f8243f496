//! dropleaf's own operators, as graphs name them: the import writes them, the runtime has their
//! kernels (`engine/session/operators`), on CUDA alone.

/// Their domain.
pub const OPERATORS: &str = "dropleaf";
/// Elements of a head for which attention has kernels.
pub const HEAD_DIMS: [u64; 2] = [16, 64];
/// The same of attention over a cache of 8 bits.
pub const CACHE_8_HEAD_DIMS: [u64; 3] = [32, 64, 128];
/// Tokens in a block of the cache: `PagedAttention` asks for multiples of 256, the operator of a cache
/// of 8 bits for 256.
pub const CACHE_BLOCK: u64 = 256;
/// Widths of rows are multiples of this.
pub const EIGHT: u64 = 8;
