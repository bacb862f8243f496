//! What a book hides, and which of its inline elements stand on lines of their own.
//!
//! Of a stylesheet only `display` and `visibility` are read, in rules whose selectors are made of
//! types, classes, ids and attributes, beside or below one another's elements (`nav .toc > li`);
//! a selector with anything else (`:hover`, `+`) is never met. The cascade is CSS's: importance,
//! then specificity, then order. Looks (italics by class) are left to the book.

use std::collections::HashMap;

use cssparser::{
    AtRuleParser, CowRcStr, DeclarationParser, ParseError, Parser, ParserState,
    QualifiedRuleParser, RuleBodyItemParser, RuleBodyParser, StyleSheetParser, Token,
    parse_important,
};

use super::tree::{Data, Id, ROOT, Tree};

/// Rules of one sheet that are kept.
const RULES: usize = 2_000;
/// Steps of a selector: `a b c` has three.
const STEPS: usize = 8;
/// Comparisons of an element with a selector's step, for one chapter; sheets have some hundreds
/// of rules that matter at most, so this is never met by a real one.
const WORK: usize = 10_000_000;

/// The rules of one stylesheet that hide or show.
#[derive(Debug, Default)]
pub struct Sheet {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// From the element itself outwards.
    steps: Vec<Step>,
    specificity: u32,
    declared: Declared,
}

#[derive(Debug, Default)]
struct Step {
    name: Option<String>,
    id: Option<String>,
    classes: Vec<String>,
    attributes: Vec<(String, Test)>,
    /// Met by the parent of the step before, not by any ancestor.
    parent: bool,
}

#[derive(Debug)]
enum Test {
    Set,
    Is(String),
    Word(String),
    Dash(String),
    Starts(String),
    Ends(String),
    Holds(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    DisplayNone,
    DisplayBlock,
    DisplayOther,
    Hidden,
    Visible,
}

/// Values with their importance: of `display` and of `visibility`.
type Declared = [Option<(Value, bool)>; 2];

impl Sheet {
    /// Reads a stylesheet; what cannot be read is passed over.
    pub fn parse(css: &str) -> Sheet {
        let mut sheet = Sheet::default();
        let mut parser = Parser::new(css);
        let mut rules = Rules {
            out: &mut sheet.rules,
        };
        for rule in StyleSheetParser::new(&mut parser, &mut rules) {
            let _ = rule;
        }
        sheet.rules.truncate(RULES);
        sheet
    }
}

struct Rules<'a> {
    out: &'a mut Vec<Rule>,
}

impl<'i> QualifiedRuleParser<'i> for Rules<'_> {
    type Prelude = Vec<(Vec<Step>, u32)>;
    type QualifiedRule = ();
    type Error = ();

    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Result<Self::Prelude, ParseError<()>> {
        Ok(input.parse_comma_separated_ignoring_errors(selector))
    }

    fn parse_block(
        &mut self,
        selectors: Self::Prelude,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Result<(), ParseError<()>> {
        let declared = declarations(input);
        if declared == Declared::default() {
            return Ok(());
        }
        for (steps, specificity) in selectors {
            if self.out.len() < RULES {
                self.out.push(Rule {
                    steps,
                    specificity,
                    declared,
                });
            }
        }
        Ok(())
    }
}

impl<'i> AtRuleParser<'i> for Rules<'_> {
    type Prelude = ();
    type AtRule = ();
    type Error = ();

    fn parse_prelude(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
    ) -> Result<(), ParseError<()>> {
        let start = input.position();
        while input.next().is_ok() {}
        let applies = name.eq_ignore_ascii_case("media") && applies_to(input.slice_from(start));
        if applies {
            Ok(())
        } else {
            Err(ParseError::unexpected_token())
        }
    }

    fn parse_block(
        &mut self,
        (): (),
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Result<(), ParseError<()>> {
        // cssparser bounds how deep blocks may nest.
        let mut rules = Rules { out: self.out };
        for rule in StyleSheetParser::new(input, &mut rules) {
            let _ = rule;
        }
        Ok(())
    }
}

/// Whether a list of media names a screen, without conditions on it.
pub fn applies_to(media: &str) -> bool {
    media.trim().is_empty()
        || media.split(',').any(|m| {
            let m = m.trim();
            m.eq_ignore_ascii_case("all") || m.eq_ignore_ascii_case("screen")
        })
}

fn selector(input: &mut Parser<'_>) -> Result<(Vec<Step>, u32), ParseError<()>> {
    let bad = || ParseError::unexpected_token();
    let mut steps: Vec<Step> = Vec::new();
    let mut step: Option<Step> = None;
    let mut specificity = 0u32;
    // What stood between the last step and what comes: nothing, white space, `>`.
    let (mut gap, mut child) = (false, false);
    input.skip_whitespace();
    while let Ok(token) = input.next_including_whitespace() {
        let token = token.clone();
        match &token {
            Token::WhiteSpace(_) => {
                gap = true;
                continue;
            }
            Token::Delim('>') => {
                (gap, child) = (true, true);
                continue;
            }
            _ => {}
        }
        if gap && let Some(done) = step.take() {
            steps.push(done);
            // Read outwards, `>` says something about the step on its left.
            if let Some(last) = steps.last_mut() {
                last.parent = child;
            }
        }
        (gap, child) = (false, false);
        let now = step.get_or_insert_default();
        match token {
            Token::Ident(name) => {
                now.name = Some(name.to_ascii_lowercase());
                specificity += 1;
            }
            Token::Delim('*') => {}
            // `svg|image`: the name follows.
            Token::Delim('|') => {
                if now.name.take().is_some() {
                    specificity -= 1;
                }
            }
            Token::Delim('.') => {
                match input.next_including_whitespace()? {
                    Token::Ident(class) => now.classes.push(class.to_string()),
                    _ => return Err(bad()),
                }
                specificity += 1 << 8;
            }
            Token::IDHash(id) => {
                now.id = Some(id.to_string());
                specificity += 1 << 16;
            }
            Token::SquareBracketBlock => {
                let test = input.parse_nested_block(attribute_test)?;
                now.attributes.push(test);
                specificity += 1 << 8;
            }
            _ => return Err(bad()),
        }
        if steps.len() >= STEPS || now.classes.len() + now.attributes.len() > STEPS {
            return Err(bad());
        }
    }
    steps.push(step.ok_or_else(bad)?);
    steps.reverse();
    Ok((steps, specificity))
}

fn attribute_test(input: &mut Parser<'_>) -> Result<(String, Test), ParseError<()>> {
    let mut name = String::new();
    if input.try_parse(|i| i.expect_delim('*')).is_err()
        && let Ok(ident) = input.try_parse(|i| i.expect_ident_cloned())
    {
        name = ident.to_string();
    }
    let op = match input.next() {
        Err(_) => return Ok((name, Test::Set)),
        Ok(Token::Delim('|')) => {
            let local = input.expect_ident_cloned()?;
            // `*|type`, `|type` and `epub|type`: names are compared with their prefix.
            name = if name.is_empty() {
                local.to_string()
            } else {
                format!("{name}:{local}")
            };
            match input.next() {
                Err(_) => return Ok((name, Test::Set)),
                Ok(token) => token.clone(),
            }
        }
        Ok(token) => token.clone(),
    };
    let value = input.expect_ident_or_string()?.to_string();
    let _ = input.try_parse(|i| i.expect_ident_cloned());
    let test = match op {
        Token::Delim('=') => Test::Is(value),
        Token::IncludeMatch => Test::Word(value),
        Token::DashMatch => Test::Dash(value),
        Token::PrefixMatch => Test::Starts(value),
        Token::SuffixMatch => Test::Ends(value),
        Token::SubstringMatch => Test::Holds(value),
        _ => return Err(ParseError::unexpected_token()),
    };
    Ok((name, test))
}

fn declarations(input: &mut Parser<'_>) -> Declared {
    let mut declared = Declared::default();
    let mut body = Body;
    for (slot, value, important) in RuleBodyParser::new(input, &mut body).flatten() {
        let slot: &mut Option<(Value, bool)> = &mut declared[slot];
        if important || slot.is_none_or(|(_, before)| !before) {
            *slot = Some((value, important));
        }
    }
    declared
}

struct Body;

impl<'i> DeclarationParser<'i> for Body {
    type Declaration = (usize, Value, bool);
    type Error = ();

    fn parse_value(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
        _: &ParserState,
    ) -> Result<Self::Declaration, ParseError<()>> {
        let slot = if name.eq_ignore_ascii_case("display") {
            0
        } else if name.eq_ignore_ascii_case("visibility") {
            1
        } else {
            return Err(ParseError::unexpected_token());
        };
        let word = input.expect_ident()?.to_ascii_lowercase();
        let value = match (slot, word.as_str()) {
            (0, "none") => Value::DisplayNone,
            (0, "block" | "list-item" | "table" | "flex" | "grid" | "flow-root") => {
                Value::DisplayBlock
            }
            (0, _) => Value::DisplayOther,
            (_, "hidden" | "collapse") => Value::Hidden,
            _ => Value::Visible,
        };
        let important = input.try_parse(parse_important).is_ok();
        Ok((slot, value, important))
    }
}

impl<'i> AtRuleParser<'i> for Body {
    type Prelude = ();
    type AtRule = (usize, Value, bool);
    type Error = ();
}

impl<'i> QualifiedRuleParser<'i> for Body {
    type Prelude = ();
    type QualifiedRule = (usize, Value, bool);
    type Error = ();
}

impl<'i> RuleBodyItemParser<'i, (usize, Value, bool), ()> for Body {
    fn parse_declarations(&self) -> bool {
        true
    }

    fn parse_qualified(&self) -> bool {
        false
    }
}

/// What the styles say of each node of a tree.
pub struct Looks {
    flags: Vec<u8>,
}

const HIDDEN: u8 = 1;
const BLOCK: u8 = 2;

impl Looks {
    /// Not shown, with all in it.
    pub fn hidden(&self, id: Id) -> bool {
        self.flags[id] & HIDDEN != 0
    }

    /// Made a block by a stylesheet.
    pub fn block(&self, id: Id) -> bool {
        self.flags[id] & BLOCK != 0
    }

    /// Looks of every element under the sheets, in their order.
    pub fn of(tree: &Tree, sheets: &[&Sheet]) -> Looks {
        let mut by_key: HashMap<&str, Vec<(usize, &Rule)>> = HashMap::new();
        let rules = sheets
            .iter()
            .flat_map(|s| &s.rules)
            .take(RULES * 4)
            .enumerate();
        for (order, rule) in rules {
            let first = &rule.steps[0];
            let key = first
                .id
                .as_ref()
                .or(first.classes.first())
                .or(first.name.as_ref());
            by_key
                .entry(key.map_or("", String::as_str))
                .or_default()
                .push((order, rule));
        }
        let mut flags = vec![0; tree.len()];
        let mut work = WORK;
        for id in tree.walk(ROOT) {
            if matches!(tree.data(id), Data::Element(_)) {
                flags[id] = look(tree, id, &by_key, &mut work);
            }
        }
        Looks { flags }
    }
}

/// Important, inline, specificity, order.
type Rank = (bool, bool, u32, usize);

fn look(tree: &Tree, id: Id, by_key: &HashMap<&str, Vec<(usize, &Rule)>>, work: &mut usize) -> u8 {
    let mut best: [Option<(Rank, Value)>; 2] = [None, None];
    let mut offer = |declared: &Declared, inline: bool, specificity: u32, order: usize| {
        for (slot, value) in declared.iter().enumerate() {
            if let Some((value, important)) = *value {
                let rank = (important, inline, specificity, order);
                if best[slot].is_none_or(|(before, _)| rank >= before) {
                    best[slot] = Some((rank, value));
                }
            }
        }
    };
    let name = tree.name(id);
    if !by_key.is_empty() && *work > 0 {
        let classes = tree
            .attribute(id, "class")
            .unwrap_or_default()
            .split_ascii_whitespace();
        let keys = classes.chain(tree.attribute(id, "id")).chain([name, ""]);
        for (order, rule) in keys.filter_map(|key| by_key.get(key)).flatten() {
            if *work == 0 {
                break;
            }
            if meets(tree, id, &rule.steps, work) {
                offer(&rule.declared, false, rule.specificity, *order);
            }
        }
    }
    if let Some(style) = tree.attribute(id, "style") {
        offer(&declarations(&mut Parser::new(style)), true, 0, 0);
    }
    let display = best[0].map(|(_, value)| value);
    let visibility = best[1].map(|(_, value)| value);
    // The browser's own sheet: `hidden`, and elements that are never shown.
    let hidden = match display {
        Some(value) => value == Value::DisplayNone,
        None => {
            tree.attribute(id, "hidden").is_some()
                || (name == "dialog" && tree.attribute(id, "open").is_none())
        }
    };
    let mut flags = 0;
    if hidden || visibility == Some(Value::Hidden) {
        flags |= HIDDEN;
    }
    if display == Some(Value::DisplayBlock) {
        flags |= BLOCK;
    }
    flags
}

fn meets(tree: &Tree, id: Id, steps: &[Step], work: &mut usize) -> bool {
    let mut at = id;
    let mut steps = steps.iter();
    if !steps.next().is_some_and(|step| met(tree, at, step, work)) {
        return false;
    }
    for step in steps {
        loop {
            let Some(parent) = tree.parent(at) else {
                return false;
            };
            at = parent;
            if met(tree, at, step, work) {
                break;
            }
            if step.parent {
                return false;
            }
        }
    }
    true
}

fn met(tree: &Tree, id: Id, step: &Step, work: &mut usize) -> bool {
    let Some(left) = work.checked_sub(1) else {
        return false;
    };
    *work = left;
    let Some(element) = tree.element(id) else {
        return false;
    };
    let has = |class: &String| tree.says(id, "class", &[class]);
    step.name.as_ref().is_none_or(|name| *name == *element.name)
        && step
            .id
            .as_ref()
            .is_none_or(|i| tree.attribute(id, "id") == Some(i))
        && step.classes.iter().all(has)
        && step.attributes.iter().all(|(name, test)| {
            let Some(value) = tree.attribute(id, name) else {
                return false;
            };
            match test {
                Test::Set => true,
                Test::Is(v) => value == v,
                Test::Word(v) => value.split_ascii_whitespace().any(|w| w == v),
                Test::Dash(v) => value
                    .strip_prefix(v.as_str())
                    .is_some_and(|r| r.is_empty() || r.starts_with('-')),
                Test::Starts(v) => !v.is_empty() && value.starts_with(v.as_str()),
                Test::Ends(v) => !v.is_empty() && value.ends_with(v.as_str()),
                Test::Holds(v) => !v.is_empty() && value.contains(v.as_str()),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(css: &str, body: &str) -> String {
        let tree = Tree::parse(&format!("<body>{body}</body>"));
        let sheet = Sheet::parse(css);
        let looks = Looks::of(&tree, &[&sheet]);
        let mut out = String::new();
        let mut walk = tree.walk(ROOT);
        while let Some(id) = walk.next() {
            if looks.hidden(id) {
                walk.pass(id);
            } else if let Data::Text(text) = tree.data(id) {
                out.push_str(text);
            }
        }
        out
    }

    #[test]
    fn selectors_and_cascade() {
        for (css, body, expected) in [
            ("", "<p hidden=''>a</p><p>b</p>", "b"),
            ("p{display:none}", "<p>a</p><q>b</q>", "b"),
            (
                "h1, .x{display : none}",
                "<p class='y x'>a</p><h1>c</h1><p>b</p>",
                "b",
            ),
            ("#i{visibility:hidden}", "<p id='i'>a</p><p>b</p>", "b"),
            (
                "p.x span{display:none}",
                "<p class='x'><i><span>a</span></i>b</p><span>c</span>",
                "bc",
            ),
            (
                "p > span{display:none}",
                "<p><i><span>a</span></i><span>b</span></p>",
                "a",
            ),
            (
                "*[epub|type='pagebreak']{display:none}",
                "<p><a epub:type='pagebreak'>a</a>b</p>",
                "b",
            ),
            (
                r"nav[epub\:type~='toc']{display:none}",
                "<nav epub:type='x toc'>a</nav>b",
                "b",
            ),
            (
                "p{display:none} p.x{display:block}",
                "<p class='x'>a</p><p>b</p>",
                "a",
            ),
            (
                "p{display:none !important} p.x{display:block}",
                "<p class='x'>a</p>",
                "",
            ),
            ("p{display:none}", "<p style='display: inline'>a</p>", "a"),
            ("p:hover, p::before{display:none}", "<p>a</p>", "a"),
            (
                "@media print{p{display:none}} @media screen{q{display:none}}",
                "<p>a</p><q>b</q>",
                "a",
            ),
            (
                "@charset 'x'; @import url(a); p{;;display:none",
                "<p>a</p>b",
                "b",
            ),
            (
                "p{display:none}}",
                "<p style='visibility:hidden;display:block'>a</p>",
                "",
            ),
        ] {
            assert_eq!(shown(css, body), expected, "{css} on {body}");
        }
    }

    #[test]
    fn deep_and_wide_sheets_end() {
        Sheet::parse(&"@media all{".repeat(100_000));
        Sheet::parse(&"a{".repeat(100_000));
        Sheet::parse(&"[".repeat(100_000));
        let sheet = Sheet::parse(&"a b{display:none}".repeat(100_000));
        assert_eq!(sheet.rules.len(), RULES);
    }
}
