//! Formulas: presentation MathML's tree as typst's math elements.
//!
//! Brackets that MathML lets grow are paired within their row and grow with what stands between
//! them; a bracket without a partner grows with the rest of the row (a brace before cases). What is
//! nested deeper than [`NEST`] is set as a row of its leaves.

use typst::foundations::{Content, NativeElement, SymbolElem, Value};
use typst::layout::{Abs, AlignElem, Alignment, BoxElem, Em, HElem, HideElem, Length, Rel, Sides};
use typst::math::{
    Accent, AccentElem, AttachElem, CancelElem, DelimiterPair, EquationElem, FracElem, LimitsElem,
    LrElem, MatElem, OpElem, OverbraceElem, OverlineElem, PrimesElem, RootElem, UnderbraceElem,
    UnderlineElem,
};
use typst::model::ParElem;
use typst::syntax::Span;
use typst::text::TextElem;
use typst::visualize::{Color, Stroke};

use super::pieces::{Block, sized};
use super::text;
use crate::document::flow::{Math, Style};

/// Depth of a formula that typst lays out; its math has no limit of its own.
const NEST: usize = 24;
/// Width of a formula's sign in em, on average, for the guess whether it fits its line.
const SIGN: f64 = 0.55;
/// The smallest size of a formula that does not fit, and the text's size that widths are guessed by.
const SMALLEST: f64 = 0.6;
const TEXT_PT: f64 = 11.0;

/// Where a part of a formula stands.
#[derive(Clone, Copy)]
struct At {
    span: Span,
    /// In a script or a limit, which are small.
    script: bool,
}

impl At {
    fn text(span: Span) -> Self {
        Self {
            span,
            script: false,
        }
    }

    fn script(self) -> Self {
        Self {
            script: true,
            ..self
        }
    }
}

/// A formula on a line of its own, made smaller where it seems wider than `width` points.
pub fn block(formula: &Math, span: Span, width: f64) -> Block {
    let fits = width / (signs(formula, 0) * SIGN * TEXT_PT);
    let body = content(formula, At::text(span), 0);
    let equation = if fits < SMALLEST {
        // In a line, typst breaks a formula at its operators.
        let body = typst::math::display(body, false);
        let line = EquationElem::new(body)
            .with_block(false)
            .pack()
            .spanned(span);
        let line = ParElem::new(sized(line, SMALLEST)).pack();
        AlignElem::new(line)
            .with_alignment(Alignment::CENTER)
            .pack()
    } else {
        let equation = EquationElem::new(body)
            .with_block(true)
            .pack()
            .spanned(span);
        sized(equation, fits.min(1.0))
    };
    Block::new(equation, leaves(formula))
}

/// A formula in a line, with its weight.
pub fn inline(formula: &Math, span: Span) -> (Content, usize) {
    let body = content(formula, At::text(span), 0);
    let equation = EquationElem::new(body).with_block(false).pack();
    (equation.spanned(span), leaves(formula))
}

fn leaves(formula: &Math) -> usize {
    let mut count = 1;
    text::math_text(formula, &mut |text| count += text.chars().count().max(1), 0);
    count
}

/// Signs that stand beside each other.
fn signs(math: &Math, depth: usize) -> f64 {
    if depth > text::MAX_DEPTH {
        return 1.0;
    }
    let of = |math: &Math| signs(math, depth + 1);
    let some = |math: &Option<Box<Math>>| math.as_ref().map_or(0.0, |math| of(math));
    match math {
        Math::Row(row) => row.iter().map(of).sum(),
        Math::Identifier { text, .. } | Math::Number(text) | Math::Text(text) => {
            text.chars().count() as f64
        }
        Math::Operator { text, .. } => text.chars().count() as f64 * 1.6,
        Math::Space => 0.5,
        Math::Fraction { over, under, .. } => of(over).max(of(under)),
        Math::Root { of: inner, .. } => of(inner) + 1.5,
        Math::Scripts { base, sub, sup } => of(base) + some(sub).max(some(sup)) * 0.7,
        Math::Limits {
            base, under, over, ..
        } => of(base).max(some(under) * 0.7).max(some(over) * 0.7),
        Math::Table(rows) => {
            let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
            (0..columns)
                .map(|column| {
                    let cells = rows.iter().filter_map(|row| row.get(column));
                    cells.map(of).fold(0.0, f64::max) + 1.5
                })
                .sum()
        }
        Math::Fenced { inner, .. } => of(inner) + 2.0,
        Math::Enclosed { inner, .. } | Math::Phantom(inner) => of(inner),
    }
}

fn content(math: &Math, at: At, depth: usize) -> Content {
    if depth > NEST {
        let mut row = Vec::new();
        text::math_text(math, &mut |text| row.push(word(text, at)), 0);
        return Content::sequence(row);
    }
    let of = |math: &Math| content(math, at, depth + 1);
    match math {
        Math::Row(row) => sequence(row, at, depth),
        Math::Identifier { text, style } => identifier(text, *style, at),
        Math::Number(text) => word(text, at),
        Math::Operator { text, .. } => operator(text, at),
        Math::Text(text) => TextElem::packed(text::fit(text)).spanned(at.span),
        Math::Space => HElem::new(Em::new(0.22).into()).pack(),
        Math::Fraction { over, under, bar } => {
            if *bar {
                FracElem::new(of(over), of(under)).pack().spanned(at.span)
            } else {
                matrix(vec![vec![of(over)], vec![of(under)]], at)
            }
        }
        Math::Root { of: inner, degree } => RootElem::new(of(inner))
            .with_index(degree.as_ref().map(|degree| of(degree)))
            .pack()
            .spanned(at.span),
        Math::Scripts { base, sub, sup } => {
            let sup = sup.as_ref().map(|sup| match primes(sup) {
                Some(count) => PrimesElem::new(count).pack().spanned(at.span),
                None => content(sup, at.script(), depth + 1),
            });
            AttachElem::new(of(base))
                .with_tr(sup)
                .with_br(sub.as_ref().map(|sub| content(sub, at.script(), depth + 1)))
                .pack()
                .spanned(at.span)
        }
        Math::Limits {
            base,
            under,
            over,
            accent,
        } => limits(
            of(base),
            under.as_deref(),
            over.as_deref(),
            *accent,
            at,
            depth,
        ),
        Math::Table(rows) => {
            let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
            let rows = rows.iter().map(|row| {
                let mut row: Vec<Content> = row.iter().map(of).collect();
                row.resize(columns, Content::empty());
                row
            });
            matrix(rows.collect(), at)
        }
        Math::Fenced { open, close, inner } => {
            let sides = [operator(open, at), of(inner), operator(close, at)];
            LrElem::new(Content::sequence(sides))
                .pack()
                .spanned(at.span)
        }
        Math::Enclosed { how, inner } => enclosed(how, of(inner), at),
        Math::Phantom(inner) => HideElem::new(of(inner)).pack(),
    }
}

/// A row, in which brackets that grow find their partners.
fn sequence(row: &[Math], at: At, depth: usize) -> Content {
    // Brackets that are open, with what has come since.
    let mut open: Vec<(&str, Vec<Content>)> = Vec::new();
    let mut bottom: Vec<Content> = Vec::new();
    for math in row {
        let grows = match math {
            Math::Operator { text, stretchy } if *stretchy => Some(text.as_str()),
            _ => None,
        };
        let made = content(math, at, depth + 1);
        let closes = grows.is_some_and(|text| {
            open.last()
                .is_some_and(|(bracket, _)| partner(bracket) == Some(text))
        });
        if closes {
            if let Some((_, mut inner)) = open.pop() {
                inner.push(made);
                let pair = LrElem::new(Content::sequence(inner))
                    .pack()
                    .spanned(at.span);
                open.last_mut()
                    .map_or(&mut bottom, |(_, row)| row)
                    .push(pair);
            }
        } else if let Some(bracket) =
            grows.filter(|text| partner(text).is_some() && open.len() + depth < NEST)
        {
            open.push((bracket, vec![made]));
        } else {
            open.last_mut()
                .map_or(&mut bottom, |(_, row)| row)
                .push(made);
        }
    }
    // What was never closed grows with the rest of its row.
    while let Some((_, inner)) = open.pop() {
        let rest = LrElem::new(Content::sequence(inner))
            .pack()
            .spanned(at.span);
        open.last_mut()
            .map_or(&mut bottom, |(_, row)| row)
            .push(rest);
    }
    Content::sequence(bottom)
}

fn partner(open: &str) -> Option<&'static str> {
    Some(match open {
        "(" => ")",
        "[" => "]",
        "{" => "}",
        "⟨" => "⟩",
        "⌊" => "⌋",
        "⌈" => "⌉",
        "⟦" => "⟧",
        "|" => "|",
        "‖" => "‖",
        _ => return None,
    })
}

/// One letter is a symbol, which typst sets in italics; several are a word.
fn identifier(text: &str, style: Style, at: At) -> Content {
    let text = text::fit(text);
    let several = text.chars().count() > 1;
    let plain = if several {
        TextElem::packed(text).spanned(at.span)
    } else {
        symbol(&text, at)
    };
    match style {
        Style::Italic if several => plain,
        Style::Italic => plain,
        Style::Upright if several => OpElem::new(plain).pack().spanned(at.span),
        Style::Upright => plain.set(EquationElem::italic, Some(false)),
        Style::Bold => plain
            .set(EquationElem::bold, true)
            .set(EquationElem::italic, Some(false)),
        Style::BoldItalic => plain
            .set(EquationElem::bold, true)
            .set(EquationElem::italic, Some(true)),
        Style::DoubleStruck => typst::math::bb(plain),
        Style::Script => typst::math::scr(plain),
        Style::Fraktur => typst::math::frak(plain),
        Style::SansSerif => typst::math::sans(plain),
        Style::Monospace => typst::math::mono(plain),
    }
}

fn word(text: &str, at: At) -> Content {
    TextElem::packed(text::fit(text)).spanned(at.span)
}

fn operator(text: &str, at: At) -> Content {
    let text = text::fit(text);
    let text = text.trim();
    if text.chars().count() > 1 && text.chars().all(char::is_alphabetic) {
        return OpElem::new(word(text, at)).pack().spanned(at.span);
    }
    // Invisible times, function application, separators: room, if any, comes from their class.
    let shown = text
        .chars()
        .filter(|c| !matches!(c, '\u{2061}'..='\u{2064}'));
    let mut buffer = [0; 4];
    let signs: Vec<Content> = shown
        .map(|c| {
            // MathML writes a minus as a hyphen.
            let c = if c == '-' { '−' } else { c };
            symbol(c.encode_utf8(&mut buffer), at)
        })
        .collect();
    Content::sequence(signs)
}

fn symbol(text: &str, at: At) -> Content {
    if text.is_empty() {
        return Content::empty();
    }
    SymbolElem::packed(text).spanned(at.span)
}

/// How many primes a superscript is, if it is nothing else.
fn primes(sup: &Math) -> Option<usize> {
    let Math::Operator { text, .. } = sup else {
        return None;
    };
    let mut count = 0;
    for c in text.chars() {
        count += match c {
            '\'' | '′' => 1,
            '″' => 2,
            '‴' => 3,
            '⁗' => 4,
            _ => return None,
        };
    }
    (count > 0).then_some(count)
}

fn limits(
    base: Content,
    under: Option<&Math>,
    over: Option<&Math>,
    accent: bool,
    at: At,
    depth: usize,
) -> Content {
    let sign = |math: Option<&Math>| match math {
        Some(Math::Operator { text, .. }) => text.trim().to_owned(),
        _ => String::new(),
    };
    let (below, above) = (sign(under), sign(over));
    let mut base = base;
    let mut under = under;
    let mut over = over;
    match above.as_str() {
        "⏞" => (base, over) = (OverbraceElem::new(base).pack().spanned(at.span), None),
        "¯" | "‾" | "_" | "―" | "\u{304}" | "\u{305}" => {
            (base, over) = (OverlineElem::new(base).pack().spanned(at.span), None);
        }
        _ if accent => {
            if let Some(accent) = Accent::normalize(&above).filter(|accent| !accent.is_bottom()) {
                base = AccentElem::new(base, accent).pack().spanned(at.span);
                over = None;
            }
        }
        _ => {}
    }
    match below.as_str() {
        "⏟" => (base, under) = (UnderbraceElem::new(base).pack().spanned(at.span), None),
        "_" | "‾" | "¯" | "\u{332}" => {
            (base, under) = (UnderlineElem::new(base).pack().spanned(at.span), None);
        }
        _ => {}
    }
    if under.is_none() && over.is_none() {
        return base;
    }
    AttachElem::new(LimitsElem::new(base).pack().spanned(at.span))
        .with_t(over.map(|math| content(math, at.script(), depth + 1)))
        .with_b(under.map(|math| content(math, at.script(), depth + 1)))
        .pack()
        .spanned(at.span)
}

/// Rows without brackets of their own.
fn matrix(rows: Vec<Vec<Content>>, at: At) -> Content {
    let bare: Option<DelimiterPair> = Value::None.cast().ok();
    // typst sets cells like denominators, smaller at each level; MathML does not.
    let rows = if at.script {
        rows
    } else {
        let row = |row: Vec<Content>| {
            let cells = row.into_iter();
            cells.map(|cell| typst::math::inline(cell, false)).collect()
        };
        rows.into_iter().map(row).collect()
    };
    let mut matrix = MatElem::new(rows);
    if let Some(bare) = bare {
        matrix = matrix.with_delim(bare);
    }
    matrix.pack().spanned(at.span)
}

/// MathML's `menclose`: strokes and boxes; other notations leave the content bare.
fn enclosed(how: &str, inner: Content, at: At) -> Content {
    let has = |what: &str| how.split_whitespace().any(|word| word == what);
    if has("box") || has("roundedbox") || has("circle") {
        let stroke = Stroke::from_pair(Color::BLACK, Abs::pt(0.5).into());
        let inset = Some(Rel::from(Length::from(Em::new(0.25))));
        let body = EquationElem::new(inner).with_block(false).pack();
        return BoxElem::new()
            .with_inset(Sides::splat(inset))
            .with_stroke(Sides::splat(Some(Some(stroke))))
            .with_body(Some(body))
            .pack()
            .spanned(at.span);
    }
    let up = has("updiagonalstrike") || has("horizontalstrike");
    let down = has("downdiagonalstrike");
    if up || down {
        return CancelElem::new(inner)
            .with_cross(up && down)
            .with_inverted(down && !up)
            .pack()
            .spanned(at.span);
    }
    if has("top") {
        return OverlineElem::new(inner).pack().spanned(at.span);
    }
    if has("bottom") {
        return UnderlineElem::new(inner).pack().spanned(at.span);
    }
    if has("radical") {
        return RootElem::new(inner).pack().spanned(at.span);
    }
    inner
}
