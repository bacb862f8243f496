//! dropleaf's own operators, as graphs name them: the import writes them, the runtime has their
//! kernels (`engine/session/operators`), on CUDA alone.

/// Their domain.
pub const OPERATORS: &str = "dropleaf";
/// Elements of a head for which attention has kernels.
pub const HEAD_DIMS: [u64; 2] = [16, 64];
/// Widths of rows are multiples of this.
pub const EIGHT: u64 = 8;
