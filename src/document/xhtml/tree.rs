//! An XHTML file as a tree in an arena.
//!
//! Read as XML first: the tokens come from xml5ever, the tree is made here, so that every step is
//! counted. What is not well-formed (a tag closed by another's name, one left open) is read once
//! more as HTML by html5ever, whose tree builder repairs as browsers do; `<a/>`, `<span/>`,
//! `<title/>` are closed there too, as the author of an XHTML file meant.
//!
//! Elements deeper than [`DEPTH`] or beyond [`ELEMENTS`] are not made: their text stays, in the
//! last element that was. No function here calls itself; a tree is a vector and is dropped as one.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use html5ever::tokenizer as html;
use html5ever::tree_builder::{
    ElemName, ElementFlags, NodeOrText, QuirksMode, TreeBuilder, TreeBuilderOpts, TreeSink,
};
use markup5ever::buffer_queue::BufferQueue;
use markup5ever::tendril::StrTendril;
use markup5ever::{Attribute, LocalName, Namespace, QualName, TokenizerResult};
use xml5ever::tokenizer as xml;

/// Levels of elements that are kept; books have some ten or twenty.
pub const DEPTH: usize = 200;
/// Elements of one file that are kept: 20 times the largest chapter known.
pub const ELEMENTS: usize = 1_000_000;

/// Index of a node in its [`Tree`].
pub type Id = usize;
pub const ROOT: Id = 0;
const NONE: u32 = u32::MAX;

pub enum Data {
    Root,
    Element(Box<Element>),
    Text(String),
}

pub struct Element {
    /// In small letters, without a prefix: `math` for `m:math`.
    pub name: LocalName,
    /// By name with its prefix (`epub:type`), as written.
    attributes: Vec<(String, String)>,
    /// What html5ever asks for.
    qualified: QualName,
}

struct Node {
    data: Data,
    parent: u32,
    first: u32,
    last: u32,
    next: u32,
    previous: u32,
    depth: u32,
}

/// Elements and texts; comments and instructions are not kept.
pub struct Tree {
    nodes: Vec<Node>,
    elements: usize,
    /// Elements were left out, see [`DEPTH`] and [`ELEMENTS`].
    pub flattened: bool,
    /// The file was no XML and was read as HTML.
    pub repaired: bool,
}

impl Tree {
    fn new() -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            elements: 0,
            flattened: false,
            repaired: false,
        };
        tree.add(Data::Root);
        tree
    }

    /// Reads a file; any text gives a tree.
    pub fn parse(text: &str) -> Tree {
        match parse_xml(text) {
            Some(tree) => tree,
            None => parse_html(text),
        }
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn data(&self, id: Id) -> &Data {
        &self.nodes[id].data
    }

    pub fn element(&self, id: Id) -> Option<&Element> {
        match &self.nodes[id].data {
            Data::Element(element) => Some(element),
            _ => None,
        }
    }

    /// The element's name; empty for a text.
    pub fn name(&self, id: Id) -> &str {
        self.element(id).map_or("", |e| &e.name)
    }

    pub fn attribute(&self, id: Id, name: &str) -> Option<&str> {
        let element = self.element(id)?;
        let found = element.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the attribute's words (`epub:type`, `class`, `role`) hold one of these.
    pub fn says(&self, id: Id, name: &str, words: &[&str]) -> bool {
        let value = self.attribute(id, name).unwrap_or_default();
        value
            .split_ascii_whitespace()
            .any(|word| words.contains(&word))
    }

    pub fn parent(&self, id: Id) -> Option<Id> {
        some(self.nodes[id].parent)
    }

    pub fn children(&self, id: Id) -> Children<'_> {
        Children {
            tree: self,
            next: self.nodes[id].first,
        }
    }

    /// The node and all below it in the order of the file.
    pub fn walk(&self, id: Id) -> Walk<'_> {
        Walk {
            tree: self,
            top: id,
            next: Some(id),
        }
    }

    /// All text below, as it stands in the file.
    pub fn text(&self, id: Id) -> String {
        let texts = self.walk(id).filter_map(|n| match self.data(n) {
            Data::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn add(&mut self, data: Data) -> Id {
        self.nodes.push(Node {
            data,
            parent: NONE,
            first: NONE,
            last: NONE,
            next: NONE,
            previous: NONE,
            depth: 0,
        });
        self.nodes.len() - 1
    }

    fn add_element(&mut self, qualified: QualName, attributes: Vec<Attribute>) -> Id {
        self.elements += 1;
        let local = qualified.local.rsplit(':').next().unwrap_or_default();
        let name = if local.bytes().any(|b| b.is_ascii_uppercase())
            || local.len() < qualified.local.len()
        {
            LocalName::from(local.to_ascii_lowercase())
        } else {
            qualified.local.clone()
        };
        let attributes = attributes
            .into_iter()
            .map(|a| (written(&a.name), a.value.to_string()));
        let attributes = attributes.collect();
        self.add(Data::Element(Box::new(Element {
            name,
            attributes,
            qualified,
        })))
    }

    fn append(&mut self, parent: Id, child: Id) {
        let last = self.nodes[parent].last;
        let depth = self.nodes[parent].depth + 1;
        let node = &mut self.nodes[child];
        node.parent = parent as u32;
        node.previous = last;
        node.next = NONE;
        node.depth = depth;
        match some(last) {
            Some(last) => self.nodes[last].next = child as u32,
            None => self.nodes[parent].first = child as u32,
        }
        self.nodes[parent].last = child as u32;
    }

    fn append_text(&mut self, parent: Id, text: &str) {
        if let Some(last) = some(self.nodes[parent].last)
            && let Data::Text(before) = &mut self.nodes[last].data
        {
            before.push_str(text);
            return;
        }
        let child = self.add(Data::Text(text.to_owned()));
        self.append(parent, child);
    }

    fn insert_before(&mut self, sibling: Id, child: Id) {
        let Some(parent) = self.parent(sibling) else {
            return;
        };
        let previous = self.nodes[sibling].previous;
        let depth = self.nodes[sibling].depth;
        let node = &mut self.nodes[child];
        node.parent = parent as u32;
        node.previous = previous;
        node.next = sibling as u32;
        node.depth = depth;
        match some(previous) {
            Some(previous) => self.nodes[previous].next = child as u32,
            None => self.nodes[parent].first = child as u32,
        }
        self.nodes[sibling].previous = child as u32;
    }

    fn detach(&mut self, id: Id) {
        let (parent, previous, next) = (
            self.nodes[id].parent,
            self.nodes[id].previous,
            self.nodes[id].next,
        );
        let Some(parent) = some(parent) else {
            return;
        };
        match some(previous) {
            Some(previous) => self.nodes[previous].next = next,
            None => self.nodes[parent].first = next,
        }
        match some(next) {
            Some(next) => self.nodes[next].previous = previous,
            None => self.nodes[parent].last = previous,
        }
        let node = &mut self.nodes[id];
        (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
    }
}

fn some(id: u32) -> Option<Id> {
    (id != NONE).then_some(id as Id)
}

/// A name with its prefix.
fn written(name: &QualName) -> String {
    match &name.prefix {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{}", name.local),
        _ => name.local.to_string(),
    }
}

pub struct Children<'a> {
    tree: &'a Tree,
    next: u32,
}

impl Iterator for Children<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let id = some(self.next)?;
        self.next = self.tree.nodes[id].next;
        Some(id)
    }
}

pub struct Walk<'a> {
    tree: &'a Tree,
    top: Id,
    next: Option<Id>,
}

impl Walk<'_> {
    /// Goes on after `id` and all below it.
    pub fn pass(&mut self, id: Id) {
        self.next = self.after(id);
    }

    fn after(&self, mut id: Id) -> Option<Id> {
        while id != self.top {
            let node = &self.tree.nodes[id];
            if let Some(next) = some(node.next) {
                return Some(next);
            }
            id = some(node.parent)?;
        }
        None
    }
}

impl Iterator for Walk<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let id = self.next?;
        self.next = match some(self.tree.nodes[id].first) {
            Some(first) => Some(first),
            None => self.after(id),
        };
        Some(id)
    }
}

/// Elements whose text is not the book's.
fn silent(name: &str) -> bool {
    matches!(
        name,
        "script" | "style" | "template" | "head" | "title" | "rp"
    )
}

/// What an open XML element is in the tree.
#[derive(Clone, Copy)]
enum Place {
    Real(Id),
    /// Left out; its content goes to this element.
    Flat(Id),
    /// Left out with its content: a script.
    Nowhere,
}

struct XmlSink {
    tree: RefCell<Tree>,
    open: RefCell<Vec<(QualName, Place)>>,
    broken: Cell<bool>,
}

impl XmlSink {
    fn place(&self) -> Place {
        self.open
            .borrow()
            .last()
            .map_or(Place::Real(ROOT), |(_, place)| *place)
    }

    fn start(&self, tag: xml::Tag, empty: bool) {
        let mut tree = self.tree.borrow_mut();
        let place = match self.place() {
            Place::Nowhere => Place::Nowhere,
            Place::Real(parent) | Place::Flat(parent) => {
                let flat = tree.elements >= ELEMENTS
                    || (!empty && tree.nodes[parent].depth as usize >= DEPTH);
                if !flat {
                    let id = tree.add_element(tag.name.clone(), tag.attrs);
                    tree.append(parent, id);
                    Place::Real(id)
                } else {
                    tree.flattened = true;
                    if silent(&tag.name.local) {
                        Place::Nowhere
                    } else {
                        tree.append_text(parent, " ");
                        Place::Flat(parent)
                    }
                }
            }
        };
        if !empty {
            self.open.borrow_mut().push((tag.name, place));
        }
    }

    fn end(&self, name: &QualName) {
        match self.open.borrow_mut().pop() {
            Some((opened, place)) if opened == *name => {
                if let Place::Flat(parent) = place {
                    self.tree.borrow_mut().append_text(parent, " ");
                }
            }
            _ => self.broken.set(true),
        }
    }
}

impl xml::TokenSink for XmlSink {
    type Handle = Id;

    fn process_token(&self, token: xml::Token) -> xml::ProcessResult<Id> {
        if self.broken.get() {
            return xml::ProcessResult::Continue;
        }
        match token {
            xml::Token::Tag(tag) => match tag.kind {
                xml::TagKind::StartTag => self.start(tag, false),
                xml::TagKind::EmptyTag => self.start(tag, true),
                xml::TagKind::EndTag => self.end(&tag.name),
                xml::TagKind::ShortTag => self.broken.set(true),
            },
            xml::Token::Characters(text) => match self.place() {
                Place::Real(ROOT) if text.trim().is_empty() => {}
                // Text outside the one element.
                Place::Real(ROOT) => self.broken.set(true),
                Place::Real(id) | Place::Flat(id) => {
                    self.tree.borrow_mut().append_text(id, &text);
                }
                Place::Nowhere => {}
            },
            // A stray `&` or a doubled attribute changes no text; what does, ends in a tag that
            // does not fit.
            xml::Token::ParseError(_)
            | xml::Token::NullCharacter
            | xml::Token::Doctype(_)
            | xml::Token::ProcessingInstruction(_)
            | xml::Token::Comment(_)
            | xml::Token::EndOfFile => {}
        }
        xml::ProcessResult::Continue
    }
}

fn parse_xml(text: &str) -> Option<Tree> {
    let sink = XmlSink {
        tree: RefCell::new(Tree::new()),
        open: RefCell::default(),
        broken: Cell::new(false),
    };
    let tokenizer = xml::XmlTokenizer::new(sink, xml::XmlTokenizerOpts::default());
    let input = BufferQueue::default();
    // In parts: what is broken at its start is not read to its end.
    for part in parts(text) {
        input.push_back(StrTendril::from(part));
        while let TokenizerResult::Script(_) = tokenizer.feed(&input) {}
        if tokenizer.sink.broken.get() {
            return None;
        }
    }
    tokenizer.end();
    let XmlSink { tree, open, broken } = tokenizer.sink;
    let tree = tree.into_inner();
    let whole = open.into_inner().is_empty() && !broken.get();
    let one = tree
        .children(ROOT)
        .filter(|&id| tree.element(id).is_some())
        .count()
        == 1;
    (whole && one).then_some(tree)
}

/// Parts of some 64 kB.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (part, rest) = text.split_at(text.floor_char_boundary(text.len().min(1 << 16)).max(1));
        text = rest;
        Some(part)
    })
}

/// html5ever's tree builder over our tree.
struct HtmlTree {
    tree: RefCell<Tree>,
    /// Level of the last element that was put in.
    depth: Cell<usize>,
}

#[derive(Debug)]
struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl HtmlTree {
    fn put(&self, parent: Id, child: NodeOrText<Id>) {
        let mut tree = self.tree.borrow_mut();
        match child {
            NodeOrText::AppendNode(id) => {
                tree.detach(id);
                tree.append(parent, id);
                self.depth.set(tree.nodes[id].depth as usize);
            }
            NodeOrText::AppendText(text) => {
                tree.append_text(parent, &text);
                self.depth.set(tree.nodes[parent].depth as usize);
            }
        }
    }
}

impl TreeSink for HtmlTree {
    type Handle = Id;
    type Output = Tree;
    type ElemName<'a> = Name;

    fn finish(self) -> Tree {
        self.tree.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Id {
        ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Name {
        let tree = self.tree.borrow();
        Name(match tree.element(*target) {
            Some(element) => element.qualified.clone(),
            None => QualName::new(None, Namespace::default(), LocalName::default()),
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Id {
        self.tree.borrow_mut().add_element(name, attributes)
    }

    fn create_comment(&self, _: StrTendril) -> Id {
        self.tree.borrow_mut().add(Data::Text(String::new()))
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Id {
        self.tree.borrow_mut().add(Data::Text(String::new()))
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        self.put(*parent, child);
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        if self.tree.borrow().parent(*element).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.put(*previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, _: &Id) -> Id {
        // Not shown: a node of its own, outside the tree.
        self.tree.borrow_mut().add(Data::Root)
    }

    fn same_node(&self, x: &Id, y: &Id) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        let mut tree = self.tree.borrow_mut();
        let id = match child {
            NodeOrText::AppendNode(id) => {
                tree.detach(id);
                id
            }
            NodeOrText::AppendText(text) => {
                if let Some(previous) = some(tree.nodes[*sibling].previous)
                    && let Data::Text(before) = &mut tree.nodes[previous].data
                {
                    before.push_str(&text);
                    return;
                }
                tree.add(Data::Text(text.to_string()))
            }
        };
        tree.insert_before(*sibling, id);
    }

    fn add_attrs_if_missing(&self, target: &Id, attributes: Vec<Attribute>) {
        if let Data::Element(element) = &mut self.tree.borrow_mut().nodes[*target].data {
            for attribute in attributes {
                let name = written(&attribute.name);
                if element.attributes.iter().all(|(n, _)| *n != name) {
                    element.attributes.push((name, attribute.value.to_string()));
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Id) {
        self.tree.borrow_mut().detach(*target);
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        let mut tree = self.tree.borrow_mut();
        while let Some(child) = some(tree.nodes[*node].first) {
            tree.detach(child);
            tree.append(*new_parent, child);
        }
    }
}

/// Between html5ever's tokenizer and its tree builder: closes what XHTML closes, and keeps tags
/// from the builder where the tree is too deep or too large.
struct Gate {
    builder: TreeBuilder<Id, HtmlTree>,
    /// Start tags kept back, by name: as many end tags are too.
    kept_back: RefCell<HashMap<LocalName, usize>>,
}

impl html::TokenSink for Gate {
    type Handle = Id;

    fn process_token(&self, token: html::Token, line: u64) -> html::TokenSinkResult<Id> {
        let html::Token::TagToken(mut tag) = token else {
            return match token {
                html::Token::ParseError(_) => html::TokenSinkResult::Continue,
                token => self.builder.process_token(token, line),
            };
        };
        let tree = &self.builder.sink;
        let space = || html::Token::CharacterTokens(StrTendril::from(" "));
        if tag.kind == html::TagKind::EndTag {
            if let Some(count) = self.kept_back.borrow_mut().get_mut(&tag.name)
                && *count > 0
            {
                *count -= 1;
                return self.builder.process_token(space(), line);
            }
            return self.builder.process_token(html::Token::TagToken(tag), line);
        }
        let full = tree.tree.borrow().elements >= ELEMENTS;
        let deep = tree.depth.get() >= DEPTH && !void(&tag.name);
        if (full || deep) && !raw(&tag.name) {
            tree.tree.borrow_mut().flattened = true;
            if !tag.self_closing && !void(&tag.name) {
                *self.kept_back.borrow_mut().entry(tag.name).or_default() += 1;
            }
            return self.builder.process_token(space(), line);
        }
        let closes = tag.self_closing
            && !void(&tag.name)
            && !matches!(&*tag.name, "math" | "svg")
            && !self
                .builder
                .adjusted_current_node_present_but_not_in_html_namespace();
        if !closes {
            return self.builder.process_token(html::Token::TagToken(tag), line);
        }
        if raw(&tag.name) {
            // `<title/>`, `<script/>`: nothing in it, and the tokenizer must not wait for its end.
            return html::TokenSinkResult::Continue;
        }
        tag.self_closing = false;
        let end = html::Tag {
            kind: html::TagKind::EndTag,
            name: tag.name.clone(),
            self_closing: false,
            attrs: Vec::new(),
            had_duplicate_attributes: false,
        };
        let _ = self.builder.process_token(html::Token::TagToken(tag), line);
        self.builder.process_token(html::Token::TagToken(end), line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder
            .adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Elements that have no end tag in HTML.
fn void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Elements whose content HTML reads as text up to their end tag.
fn raw(name: &str) -> bool {
    matches!(
        name,
        "title"
            | "textarea"
            | "script"
            | "style"
            | "iframe"
            | "xmp"
            | "noembed"
            | "noframes"
            | "plaintext"
    )
}

fn parse_html(text: &str) -> Tree {
    let tree = HtmlTree {
        tree: RefCell::new(Tree::new()),
        depth: Cell::new(0),
    };
    // Scripts never run: what stands in `noscript` is shown.
    let options = TreeBuilderOpts {
        scripting_enabled: false,
        ..Default::default()
    };
    let gate = Gate {
        builder: TreeBuilder::new(tree, options),
        kept_back: RefCell::default(),
    };
    let tokenizer = html::Tokenizer::new(gate, html::TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    let mut tree = tokenizer.sink.builder.sink.finish();
    tree.repaired = true;
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(tree: &Tree, id: Id) -> String {
        match tree.data(id) {
            Data::Text(text) => text.clone(),
            _ => {
                let inner: String = tree.children(id).map(|c| shape(tree, c)).collect();
                format!("({}{inner})", tree.name(id))
            }
        }
    }

    #[test]
    fn xml_is_read_as_xml() {
        let tree =
            Tree::parse("<html><body><p>a<span/>b&nbsp;&lt;</p><m:mi>x</m:mi></body></html>");
        assert!(!tree.repaired);
        assert_eq!(shape(&tree, ROOT), "((html(body(pa(span)b\u{a0}<)(mix))))");
        let tree = Tree::parse("<a><![CDATA[<b>]]>c</a>");
        assert_eq!(shape(&tree, ROOT), "((a<b>c))");
    }

    #[test]
    fn what_is_no_xml_is_read_as_html_and_nothing_is_swallowed() {
        let tree = Tree::parse(
            "<html><head><title/></head><body><p>a<br>b<a id='x'/>c<p>d<span/>e</body></html>",
        );
        assert!(tree.repaired);
        assert_eq!(
            shape(&tree, ROOT),
            "((html(head)(body(pa(br)b(a)c)(pd(span)e))))"
        );
    }

    #[test]
    fn depth_is_flattened_and_no_text_is_lost() {
        for end in ["</div>", ""] {
            let text = format!(
                "<html>{}<script>no</script>deep{}after</html>",
                "<div>x".repeat(20_000),
                end.repeat(20_000)
            );
            let tree = Tree::parse(&text);
            assert!(tree.flattened);
            assert_eq!(tree.repaired, end.is_empty());
            let said: String = tree
                .walk(ROOT)
                .filter(|&n| tree.name(n).is_empty())
                .map(|n| match tree.data(n) {
                    Data::Text(text) => text.replace(' ', ""),
                    _ => String::new(),
                })
                .collect();
            assert_eq!(
                said.replace("no", ""),
                format!("{}deepafter", "x".repeat(20_000))
            );
            let depth = tree.nodes.iter().map(|n| n.depth).max().expect("nodes");
            assert!(depth < DEPTH as u32 + 5, "{depth}");
        }
    }

    #[test]
    fn any_text_gives_a_tree() {
        for text in [
            "",
            "<",
            "</",
            "&",
            "<a",
            "<a b='",
            "<!--",
            "<![CDATA[",
            "<?",
            "]]>",
            "\0",
            "<\0>",
        ] {
            Tree::parse(text);
        }
    }
}
