//! Numbers held against recorded ones.

/// Norm of the difference over the norm of the reference.
pub fn relative_error(found: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(found.len(), reference.len());
    assert!(!reference.is_empty());
    let square = |v: f64| v * v;
    let difference: f64 = found
        .iter()
        .zip(reference)
        .map(|(&a, &b)| square(f64::from(a) - f64::from(b)))
        .sum();
    let norm: f64 = reference.iter().map(|&b| square(f64::from(b))).sum();
    (difference / norm).sqrt()
}
