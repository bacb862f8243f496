//! The small XML files of a container as a flat list: container, package, encryption, contents.
//!
//! xml5ever's tokenizer reads what is there and goes on after errors; it knows no entities but
//! XML's and HTML's, so that nothing expands. Nodes stand in the order of the file and name their
//! parent: depth costs no stack. Namespaces are taken from the prefixes, wherever declared.
//!
//! Invariant: the descendants of node `i` are `i + 1 .. nodes[i].end`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use markup5ever::buffer_queue::BufferQueue;
use xml5ever::tendril::StrTendril;
use xml5ever::tokenizer::{
    ProcessResult, Tag, TagKind, Token, TokenSink, XmlTokenizer, XmlTokenizerOpts,
};

use crate::document::encoding::decode;

/// Most nodes of one file: twice what 20,000 files in a package with 8 lines each come to.
const MAX_NODES: usize = 400_000;
/// Longest tag or comment, and most attributes of a tag. The tokenizer compares each attribute with
/// all before it: the first bounds what one tag costs, the second ends a file of such tags.
const MAX_TOKEN: usize = 64 << 10;
const MAX_ATTRIBUTES: usize = 256;
/// How far up an end tag looks for its start tag.
const MAX_UNCLOSED: usize = 256;

#[derive(Debug)]
pub(super) struct Node {
    pub parent: usize,
    pub end: usize,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Element {
        prefix: String,
        name: String,
        attributes: Vec<Attribute>,
    },
    Text(String),
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub prefix: String,
    pub name: String,
    pub value: String,
}

/// Node 0 is the document itself.
#[derive(Debug)]
pub(super) struct Markup {
    pub nodes: Vec<Node>,
    namespaces: HashMap<String, String>,
}

impl Markup {
    /// Any bytes make a list; an error only where a bound is passed.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (text, _) = decode(bytes);
        let tokenizer = XmlTokenizer::new(Builder::new(), XmlTokenizerOpts::default());
        let queue = BufferQueue::default();
        let mut rest = &*text;
        let mut silent = 0;
        while !rest.is_empty() {
            let mut cut = rest.len().min(4096);
            while !rest.is_char_boundary(cut) {
                cut += 1;
            }
            queue.push_back(StrTendril::from_slice(&rest[..cut]));
            rest = &rest[cut..];
            tokenizer.sink.spoke.set(false);
            let _ = tokenizer.feed(&queue);
            silent = if tokenizer.sink.spoke.get() {
                0
            } else {
                silent + cut
            };
            if silent > MAX_TOKEN {
                return Err(format!("has a tag of more than {} KB", MAX_TOKEN >> 10));
            }
            if let Some(over) = tokenizer.sink.over.take() {
                return Err(over);
            }
        }
        tokenizer.end();
        Ok(tokenizer.sink.finish())
    }

    /// Elements with their number, in order.
    pub fn elements(&self) -> impl Iterator<Item = (usize, Element<'_>)> {
        (0..self.nodes.len()).filter_map(|i| Some((i, self.element(i)?)))
    }

    pub fn element(&self, index: usize) -> Option<Element<'_>> {
        match &self.nodes.get(index)?.content {
            Content::Element {
                prefix,
                name,
                attributes,
            } => Some(Element {
                prefix,
                name,
                attributes,
            }),
            Content::Text(_) => None,
        }
    }

    /// The elements right under `index` that bear `name`.
    pub fn children<'a>(
        &'a self,
        index: usize,
        name: &'a str,
    ) -> impl Iterator<Item = (usize, Element<'a>)> {
        (index + 1..self.nodes[index].end).filter_map(move |i| {
            let element = self.element(i)?;
            (self.nodes[i].parent == index && element.name == name).then_some((i, element))
        })
    }

    /// The text under `index`, white space folded.
    pub fn text(&self, index: usize) -> String {
        let mut text = String::new();
        for node in &self.nodes[index + 1..self.nodes[index].end] {
            if let Content::Text(t) = &node.content {
                text.push_str(t);
            }
        }
        fold(&text)
    }

    /// The URI that a prefix stands for; the first declaration counts.
    pub fn namespace(&self, prefix: &str) -> &str {
        self.namespaces.get(prefix).map_or("", String::as_str)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub prefix: &'a str,
    pub name: &'a str,
    pub attributes: &'a [Attribute],
}

impl<'a> Element<'a> {
    /// By local name, whatever the prefix.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| a.value.as_str())
    }
}

/// Single spaces, none at the ends.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

struct Builder {
    nodes: RefCell<Vec<Node>>,
    open: RefCell<Vec<usize>>,
    namespaces: RefCell<HashMap<String, String>>,
    /// A token came since the last look.
    spoke: Cell<bool>,
    /// The bound that was passed.
    over: Cell<Option<String>>,
}

impl Builder {
    fn new() -> Self {
        let root = Node {
            parent: 0,
            end: 0,
            content: Content::Text(String::new()),
        };
        Self {
            nodes: RefCell::new(vec![root]),
            open: RefCell::new(vec![0]),
            namespaces: RefCell::default(),
            spoke: Cell::new(false),
            over: Cell::default(),
        }
    }

    fn finish(&self) -> Markup {
        let mut nodes = self.nodes.take();
        let end = nodes.len();
        for index in self.open.take() {
            nodes[index].end = end;
        }
        Markup {
            nodes,
            namespaces: self.namespaces.take(),
        }
    }

    fn push(&self, content: Content) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        let index = nodes.len();
        if index >= MAX_NODES {
            self.over
                .set(Some(format!("has more than {MAX_NODES} elements")));
            return 0;
        }
        nodes.push(Node {
            parent: self.open.borrow().last().copied().unwrap_or(0),
            end: index + 1,
            content,
        });
        index
    }

    fn text(&self, text: &str) {
        {
            let mut nodes = self.nodes.borrow_mut();
            let parent = self.open.borrow().last().copied().unwrap_or(0);
            if let Some(Node {
                parent: p,
                content: Content::Text(last),
                ..
            }) = nodes.last_mut()
                && *p == parent
            {
                last.push_str(text);
                return;
            }
        }
        self.push(Content::Text(text.to_owned()));
    }

    fn start(&self, tag: Tag) {
        if tag.attrs.len() > MAX_ATTRIBUTES {
            let over = format!("has a tag of more than {MAX_ATTRIBUTES} attributes");
            self.over.set(Some(over));
            return;
        }
        let attributes = tag
            .attrs
            .iter()
            .map(|a| Attribute {
                prefix: a.name.prefix.as_ref().map_or("", |p| p).to_owned(),
                name: a.name.local.to_string(),
                value: a.value.to_string(),
            })
            .collect::<Vec<_>>();
        for a in &attributes {
            let prefix = match (&*a.prefix, &*a.name) {
                ("xmlns", prefix) => prefix,
                ("", "xmlns") => "",
                _ => continue,
            };
            self.namespaces
                .borrow_mut()
                .entry(prefix.to_owned())
                .or_insert_with(|| a.value.clone());
        }
        let index = self.push(Content::Element {
            prefix: tag.name.prefix.as_ref().map_or("", |p| p).to_owned(),
            name: tag.name.local.to_string(),
            attributes,
        });
        if tag.kind == TagKind::StartTag && index != 0 {
            self.open.borrow_mut().push(index);
        }
    }

    fn close(&self, tag: &Tag) {
        let mut open = self.open.borrow_mut();
        let mut nodes = self.nodes.borrow_mut();
        let prefix = tag.name.prefix.as_ref().map_or("", |p| p);
        let depth = open.iter().rev().take(MAX_UNCLOSED).position(|&i| {
            tag.kind == TagKind::ShortTag
                || matches!(&nodes[i].content, Content::Element { name, prefix: p, .. }
                    if **name == *tag.name.local && **p == *prefix)
        });
        if let Some(depth) = depth {
            let end = nodes.len();
            let keep = open.len() - 1 - depth;
            // Node 0 stays open: a short tag may stand where nothing is.
            for index in open.drain(keep.max(1)..) {
                nodes[index].end = end;
            }
        }
    }
}

impl TokenSink for Builder {
    type Handle = ();

    fn process_token(&self, token: Token) -> ProcessResult<()> {
        // An error says nothing of how long the tag has become.
        if !matches!(token, Token::ParseError(_)) {
            self.spoke.set(true);
        }
        match token {
            Token::Characters(text) => self.text(&text),
            Token::Tag(tag) => match tag.kind {
                TagKind::StartTag | TagKind::EmptyTag => self.start(tag),
                TagKind::EndTag | TagKind::ShortTag => self.close(&tag),
            },
            _ => {}
        }
        ProcessResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(markup: &Markup) -> Vec<String> {
        markup.elements().map(|(_, e)| e.name.to_owned()).collect()
    }

    #[test]
    fn broken_markup_is_read_as_far_as_it_goes() {
        let markup =
            Markup::parse(b"<a x='1'><b>R&D &nbsp;&eacute;<br></b><c/></a></a><d>").unwrap();
        assert_eq!(names(&markup), ["a", "b", "br", "c", "d"]);
        let (a, element) = markup.elements().next().unwrap();
        assert_eq!(element.get("x"), Some("1"));
        assert_eq!(markup.children(a, "c").count(), 1);
        let (b, _) = markup.children(a, "b").next().unwrap();
        assert_eq!(markup.text(b), "R&D \u{a0}é");
    }

    #[test]
    fn entities_of_a_doctype_are_not_expanded() {
        let bomb = b"<!DOCTYPE a [<!ENTITY x 'yyyy'><!ENTITY z '&x;&x;'>]><a>&z;</a>";
        let markup = Markup::parse(bomb).unwrap();
        assert!(!markup.text(0).contains("yyyy"), "{}", markup.text(0));
    }

    #[test]
    fn depth_and_attributes_cost_no_stack_and_little_time() {
        let deep = "<a>".repeat(300_000);
        assert_eq!(
            names(&Markup::parse(deep.as_bytes()).unwrap()).len(),
            300_000
        );
        let ends = format!("{}{}", "<a>".repeat(300_000), "</b>".repeat(300_000));
        assert!(Markup::parse(ends.as_bytes()).is_ok());
        let wide = "<a/>".repeat(500_000);
        assert!(
            Markup::parse(wide.as_bytes())
                .unwrap_err()
                .contains("elements")
        );
        let tag = format!(
            "<a {}>",
            (0..257)
                .map(|i| format!("b{i}=''"))
                .collect::<Vec<_>>()
                .join(" ")
        );
        assert!(
            Markup::parse(tag.repeat(8192).as_bytes())
                .unwrap_err()
                .contains("attributes")
        );
        let mut tag = String::from("<a ");
        for i in 0..1_000_000 {
            tag.push_str(&format!("b{i} "));
        }
        assert!(Markup::parse(tag.as_bytes()).unwrap_err().contains("tag"));
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_list(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let markup = Markup::parse(&bytes).unwrap();
            let all = markup.nodes.len();
            prop_assert!(markup.nodes.iter().enumerate().all(|(i, n)| n.end > i && n.end <= all));
        }

        #[test]
        fn any_tags_make_a_tree(text in "(<[ab]>|</[ab]>|<b/>|</>|x| |<!--|-->|&a;|<a b='){0,60}") {
            let markup = Markup::parse(text.as_bytes()).unwrap();
            for (i, node) in markup.nodes.iter().enumerate().skip(1) {
                prop_assert!(node.parent < i && node.end <= markup.nodes[node.parent].end);
            }
        }
    }
}
