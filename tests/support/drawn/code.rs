//! Programs for pages that show programs.

pub const ALL: [&str; 2] = [
    "\
fn nearest(points: &[(f64, f64)], x: f64, y: f64) -> Option<usize> {
    let mut best = None;
    for (i, p) in points.iter().enumerate() {
        let d = (p.0 - x).powi(2) + (p.1 - y).powi(2);
        if best.is_none_or(|(_, least)| d < least) {
            best = Some((i, d));
        }
    }
    best.map(|(i, _)| i)
}",
    "\
def tally(lines):
    counts = {}
    for line in lines:
        for word in line.lower().split():
            counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])",
];
