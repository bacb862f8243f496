use super::*;
use crate::document::flow::{Math, Style};

fn id(text: &str) -> Math {
    Math::Identifier {
        text: text.into(),
        style: Style::Italic,
    }
}

fn op(text: &str) -> Math {
    Math::Operator {
        text: text.into(),
        stretchy: true,
    }
}

fn boxed(math: Math) -> Box<Math> {
    Box::new(math)
}

#[test]
fn formulas() {
    let fraction = || Math::Fraction {
        over: boxed(id("a")),
        under: boxed(id("β")),
        bar: true,
    };
    let table = || {
        Math::Table(vec![
            vec![id("a"), op("[")],
            vec![op("["), Math::Number("1,000".into())],
        ])
    };
    for (math, expected) in [
        (fraction(), "\\frac{a}{\\beta}"),
        (
            Math::Fraction {
                over: boxed(id("n")),
                under: boxed(id("k")),
                bar: false,
            },
            "\\genfrac{}{}{0pt}{}{n}{k}",
        ),
        (Math::Row(vec![id("α"), id("x")]), "\\alpha x"),
        (Math::Row(vec![op("("), id("x"), op(")")]), "(x)"),
        (
            Math::Row(vec![op("("), fraction(), op(")")]),
            "\\left(\\frac{a}{\\beta}\\right)",
        ),
        (
            Math::Row(vec![op("{"), table()]),
            "\\left\\lbrace \\begin{matrix}a & [ \\\\ {}[ & 1{,}000\\end{matrix}\\right.",
        ),
        (
            Math::Row(vec![op("["), table(), op("]")]),
            "\\begin{bmatrix}a & [ \\\\ {}[ & 1{,}000\\end{bmatrix}",
        ),
        (
            Math::Fenced {
                open: "|".into(),
                close: "|".into(),
                inner: boxed(id("x")),
            },
            "\\vert x\\vert",
        ),
        (
            Math::Text("50% of {a|b} $_".into()),
            "\\text{50\\% of \\textbraceleft{}a\\textbar{}b\\textbraceright{} \\textdollar{}\\_}",
        ),
        (
            Math::Scripts {
                base: boxed(id("x")),
                sub: Some(boxed(id("i"))),
                sup: Some(boxed(op("′"))),
            },
            "x_{i}^{\\prime}",
        ),
        (
            Math::Limits {
                base: boxed(op("∑")),
                under: Some(boxed(id("i"))),
                over: Some(boxed(id("n"))),
                accent: false,
            },
            "\\sum_{i}^{n}",
        ),
        (
            Math::Limits {
                base: boxed(Math::Row(vec![id("a"), id("b")])),
                under: None,
                over: Some(boxed(op("¯"))),
                accent: true,
            },
            "\\overline{ab}",
        ),
        (
            Math::Identifier {
                text: "sin".into(),
                style: Style::Upright,
            },
            "\\sin",
        ),
        (
            Math::Identifier {
                text: "R".into(),
                style: Style::DoubleStruck,
            },
            "\\mathbb{R}",
        ),
        (
            Math::Root {
                of: boxed(id("x")),
                degree: Some(boxed(Math::Number("3".into()))),
            },
            "\\sqrt[{3}]{x}",
        ),
        (Math::Row(Vec::new()), ""),
    ] {
        assert_eq!(latex::latex(&math), expected, "{math:?}");
    }
}

#[test]
fn a_formula_holds_nothing_that_markdown_or_a_table_would_take() {
    let every: String = (' '..='\u{3000}').collect();
    let all = [
        Math::Text(every.clone()),
        Math::Operator {
            text: every.clone(),
            stretchy: false,
        },
        Math::Identifier {
            text: every.clone(),
            style: Style::Bold,
        },
        Math::Number(every.clone()),
        Math::Fenced {
            open: every.clone(),
            close: every,
            inner: boxed(id("x")),
        },
    ];
    for math in all {
        let latex = latex::latex(&math);
        assert!(!latex.contains(['$', '|', '\n', '<', '>', '`']), "{latex}");
        let open = latex.matches('{').count();
        assert_eq!(open, latex.matches('}').count());
    }
}

#[test]
fn notes_that_only_name_one_another_stay_where_they_are() {
    let mark = |id: &str| Inline::NoteMark {
        id: id.into(),
        text: "*".into(),
    };
    let note = |id: &str, other: &str| Piece::Note {
        id: id.into(),
        pieces: vec![Piece::Paragraph(vec![
            Inline::Text(format!("note {id}")),
            mark(other),
        ])],
    };
    let chapter = Chapter {
        pieces: vec![note("a", "b"), note("b", "a")],
        ..Chapter::default()
    };
    let text = write(&[chapter], &mut |_| None);
    assert_eq!(texts(&text), ["note a[^1]\n\n[^1]: note b<sup>\\*</sup>"]);
}

#[test]
fn pictures_and_their_captions() {
    let picture = |path: Option<&str>| {
        Piece::Picture(Picture {
            path: path.map(str::to_owned),
            alt: "a [b]".into(),
            caption: vec![Inline::Text("c".into())],
        })
    };
    let pieces = vec![picture(Some("x (1).jpg")), picture(None)];
    let chapter = Chapter {
        pieces,
        ..Chapter::default()
    };
    let text = write(&[chapter], &mut |path| Some(format!("images/{path}")));
    assert_eq!(
        texts(&text),
        ["![a \\[b\\]](<images/x%20(1).jpg>)\n\n*c*\n\n![a \\[b\\]](<>)\n\n*c*"]
    );
}

fn texts(written: &[Written]) -> Vec<String> {
    written.iter().map(Written::text).collect()
}
