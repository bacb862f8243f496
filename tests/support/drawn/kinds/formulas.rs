//! Display formulas, each with the LaTeX that says the same.

use super::super::Drawn;
use super::super::source::Style;
use super::super::truth::{Block, Formula};
use super::super::words::Words;
use super::{NEW_COMPUTER_MODERN, drawn, paragraphs};

/// typst and LaTeX.
const ALL: [(&str, &str); 40] = [
    ("E = m c^2", r"E = mc^{2}"),
    (
        "a_(i j) = b_i^2 + c_(k+1)^(n-1)",
        r"a_{ij} = b_{i}^{2} + c_{k+1}^{n-1}",
    ),
    (
        "x = (-b plus.minus sqrt(b^2 - 4 a c)) / (2 a)",
        r"x = \frac{-b \pm \sqrt{b^{2} - 4ac}}{2a}",
    ),
    (
        "y = 1 / (1 + 1 / (1 + 1 / x))",
        r"y = \frac{1}{1 + \frac{1}{1 + \frac{1}{x}}}",
    ),
    (
        "root(3, x + y) + root(n, a / b)",
        r"\sqrt[3]{x + y} + \sqrt[n]{\frac{a}{b}}",
    ),
    (
        "sum_(i=1)^n i = (n (n + 1)) / 2",
        r"\sum_{i=1}^{n} i = \frac{n(n + 1)}{2}",
    ),
    (
        "product_(k=0)^oo (1 - q^k)",
        r"\prod_{k=0}^{\infty} (1 - q^{k})",
    ),
    (
        "integral_0^oo e^(-x^2) dif x = sqrt(pi) / 2",
        r"\int_{0}^{\infty} e^{-x^{2}} \mathrm{d}x = \frac{\sqrt{\pi}}{2}",
    ),
    (
        "lim_(x -> 0) (sin x) / x = 1",
        r"\lim_{x \to 0} \frac{\sin x}{x} = 1",
    ),
    (
        "A = mat(a, b; c, d)",
        r"A = \begin{pmatrix} a & b \\ c & d \end{pmatrix}",
    ),
    (
        "B = mat(delim: \"[\", 1, 0, 0; 0, 1, 0; 0, 0, 1)",
        r"B = \begin{bmatrix} 1 & 0 & 0 \\ 0 & 1 & 0 \\ 0 & 0 & 1 \end{bmatrix}",
    ),
    (
        "f(x) = cases(x^2 quad & \"if\" x > 0, 0 & \"otherwise\")",
        r"f(x) = \begin{cases} x^{2} & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
    ),
    (
        "(a + b)^2 &= a^2 + 2 a b + b^2 \\ &= c",
        r"\begin{aligned} (a + b)^{2} &= a^{2} + 2ab + b^{2} \\ &= c \end{aligned}",
    ),
    (
        "hat(x) + macron(y) + arrow(v) + tilde(z) + dot(q) + dot.double(r)",
        r"\hat{x} + \bar{y} + \vec{v} + \tilde{z} + \dot{q} + \ddot{r}",
    ),
    (
        "overline(A B) + underline(x + y) + macron(x)_i^2",
        r"\overline{AB} + \underline{x + y} + \bar{x}_{i}^{2}",
    ),
    (
        "alpha beta gamma delta epsilon theta lambda mu pi rho sigma phi psi omega",
        r"\alpha\beta\gamma\delta\varepsilon\theta\lambda\mu\pi\rho\sigma\varphi\psi\omega",
    ),
    (
        "Gamma Delta Theta Lambda Sigma Phi Psi Omega",
        r"\Gamma\Delta\Theta\Lambda\Sigma\Phi\Psi\Omega",
    ),
    (
        "a <= b >= c != d approx e equiv f prop g",
        r"a \leq b \geq c \neq d \approx e \equiv f \propto g",
    ),
    (
        "A subset.eq B union C inter D in.not E",
        r"A \subseteq B \cup C \cap D \notin E",
    ),
    (
        "forall x in RR, exists y in ZZ : x < y",
        r"\forall x \in \mathbb{R}, \exists y \in \mathbb{Z} : x < y",
    ),
    (
        "nabla times bold(E) = - (partial bold(B)) / (partial t)",
        r"\nabla \times \boldsymbol{E} = -\frac{\partial \boldsymbol{B}}{\partial t}",
    ),
    (
        "(a / b)^2 + [(x + 1) / (y - 1)] + abs(x / y) + norm(v)",
        r"\left(\frac{a}{b}\right)^{2} + \left[\frac{x + 1}{y - 1}\right] + \left|\frac{x}{y}\right| + \|v\|",
    ),
    (
        "binom(n, k) = n! / (k! (n - k)!)",
        r"\binom{n}{k} = \frac{n!}{k!(n - k)!}",
    ),
    (
        "cal(L) = frak(g) + bb(R)^n",
        r"\mathcal{L} = \mathfrak{g} + \mathbb{R}^{n}",
    ),
    (
        "max_(x in X) f(x) + log_2 n + exp(-x)",
        r"\max_{x \in X} f(x) + \log_{2} n + \exp(-x)",
    ),
    (
        "overbrace(a + b + c, n) + underbrace(x + y, \"total\")",
        r"\overbrace{a + b + c}^{n} + \underbrace{x + y}_{\text{total}}",
    ),
    (
        "x' + f''(x) + y'_1 + z'^2",
        r"x' + f''(x) + y'_{1} + z'^{2}",
    ),
    (
        "x_1, x_2, ..., x_n quad \"for all\" n >= 1",
        r"x_{1}, x_{2}, \ldots, x_{n} \quad \text{for all } n \geq 1",
    ),
    (
        "e^(i pi) + 1 = 0, quad x_(n_k) + 2^(2^n)",
        r"e^{i\pi} + 1 = 0, \quad x_{n_{k}} + 2^{2^{n}}",
    ),
    (
        "sum_(1 <= i < j <= n) a_(i j) = integral.cont_C g dif s",
        r"\sum_{1 \leq i < j \leq n} a_{ij} = \oint_{C} g \mathrm{d}s",
    ),
    (
        "mat(delim: \"|\", a, b; c, d) = a d - b c",
        r"\begin{vmatrix} a & b \\ c & d \end{vmatrix} = ad - bc",
    ),
    (
        "A ->^f B, quad x |-> x^2",
        r"A \xrightarrow{f} B, \quad x \mapsto x^{2}",
    ),
    (
        "floor(x) + ceil(y) + chevron.l u, v chevron.r",
        r"\lfloor x \rfloor + \lceil y \rceil + \langle u, v \rangle",
    ),
    (
        "a &= b \\ c &= d + e \\ &<= f",
        r"\begin{aligned} a &= b \\ c &= d + e \\ &\leq f \end{aligned}",
    ),
    (
        "(sum_(i=1)^n x_i) / n + sqrt(sum_i x_i^2)",
        r"\frac{\sum_{i=1}^{n} x_{i}}{n} + \sqrt{\sum_{i} x_{i}^{2}}",
    ),
    (
        "hat(theta)_n -> theta, quad hat(A B)",
        r"\hat{\theta}_{n} \to \theta, \quad \widehat{AB}",
    ),
    (
        "1 / sqrt(2 pi sigma^2) e^(-((x - mu)^2) / (2 sigma^2))",
        r"\frac{1}{\sqrt{2\pi\sigma^{2}}} e^{-\frac{(x - \mu)^{2}}{2\sigma^{2}}}",
    ),
    (
        "x = cases(1 quad & \"if\" x > 0, 0 & \"if\" x = 0, -1 & \"else\")",
        r"x = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{if } x = 0 \\ -1 & \text{else} \end{cases}",
    ),
    (
        "mat(a_11, dots.c, a_(1 n); dots.v, dots.down, dots.v; a_(m 1), dots.c, a_(m n))",
        r"\begin{pmatrix} a_{11} & \cdots & a_{1n} \\ \vdots & \ddots & \vdots \\ a_{m1} & \cdots & a_{mn} \end{pmatrix}",
    ),
    (
        "lim_(n -> oo) (1 + 1 / n)^n = e",
        r"\lim_{n \to \infty} \left(1 + \frac{1}{n}\right)^{n} = e",
    ),
];

/// Every third formula is numbered.
const NUMBERED: usize = 3;

pub fn formulas() -> Drawn {
    let mut w = Words::new("en", 21);
    let mut blocks = vec![Block::Title(w.heading())];
    let mut number = 0;
    for (i, (typst, latex)) in ALL.iter().enumerate() {
        if i % 2 == 0 {
            blocks.extend(paragraphs(&mut w, 1, 2));
        } else {
            blocks.push(Block::Paragraph(w.sentence()));
        }
        let numbered = i % NUMBERED == 0;
        number += usize::from(numbered);
        blocks.push(Block::Formula(Formula {
            typst,
            latex: match numbered {
                true => format!("{latex} \\tag{{{number}}}"),
                false => (*latex).to_owned(),
            },
            numbered,
        }));
    }
    let style = Style {
        font: NEW_COMPUTER_MODERN,
        size: 10.0,
        ..Style::default()
    };
    Drawn {
        pages: 4,
        ..drawn("formulas", style, blocks)
    }
}
