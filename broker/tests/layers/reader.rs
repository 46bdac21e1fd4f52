//! Reads a source file as tokens and finds which names it takes from where.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Stands for the name in `crate::*` and `use crate as other`.
pub(crate) const WHOLE_CRATE: &str = "*";

#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) line: usize,
}

#[derive(Default)]
pub(crate) struct Found {
    /// `X` of each path that resolves to `crate::X`.
    pub(crate) references: Vec<Name>,
    /// Paths into the network modules of std and tokio.
    pub(crate) sockets: Vec<Name>,
    /// Every identifier.
    pub(crate) names: Vec<Name>,
}

impl Found {
    /// `module` is where the tokens stand: their path from the crate's root.
    pub(crate) fn read(&mut self, tokens: TokenStream, module: &[String]) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            match (&trees[at], trees.get(at + 1), trees.get(at + 2)) {
                (
                    TokenTree::Ident(keyword),
                    Some(TokenTree::Ident(name)),
                    Some(TokenTree::Group(body)),
                ) if keyword == "mod" => {
                    let inner = [module, &[name.to_string()]].concat();
                    self.read(body.stream(), &inner);
                    at += 3;
                }
                (TokenTree::Ident(_), ..) => at = self.read_path(&trees, at, &[], module),
                (TokenTree::Group(group), ..) => {
                    self.read(group.stream(), module);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Reads the path at `at`, which continues `prefix`, and the braces it may end in; returns where it ends.
    fn read_path(
        &mut self,
        trees: &[TokenTree],
        mut at: usize,
        prefix: &[Name],
        module: &[String],
    ) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match trees.get(at) {
                Some(TokenTree::Ident(ident)) => {
                    let name = Name {
                        name: ident.to_string(),
                        line: ident.span().start().line,
                    };
                    self.names.push(name.clone());
                    path.push(name);
                    at += 1;
                    if !is_colons(trees, at) {
                        let renamed =
                            matches!(trees.get(at), Some(TokenTree::Ident(next)) if next == "as");
                        self.resolve(&path, module, renamed);
                        return at;
                    }
                    at += 2;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let mut next = 0;
                    while next < inner.len() {
                        next = self.read_path(&inner, next, &path, module);
                        while next < inner.len() && !is_punct(&inner[next], ',') {
                            next += 1;
                        }
                        next += 1;
                    }
                    return at + 1;
                }
                Some(star) if is_punct(star, '*') => {
                    path.push(Name {
                        name: WHOLE_CRATE.to_owned(),
                        line: star.span().start().line,
                    });
                    self.resolve(&path, module, false);
                    return at + 1;
                }
                // A turbofish, whose own paths the caller reads, or the end.
                _ => {
                    self.resolve(&path, module, false);
                    return at;
                }
            }
        }
    }

    fn resolve(&mut self, path: &[Name], module: &[String], renamed: bool) {
        let Some(first) = path.first() else { return };
        if path.len() > 1
            && ["std", "tokio"].contains(&first.name.as_str())
            && path[1].name == "net"
        {
            self.sockets.push(Name {
                name: format!("{}::net", first.name),
                line: path[1].line,
            });
        }
        // Names of the folder itself carry no line: they are not written here.
        let mut target: Vec<(String, Option<usize>)> = match first.name.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.iter().map(|name| (name.clone(), None)).collect(),
            _ => return,
        };
        for part in path {
            match part.name.as_str() {
                "crate" | "self" => {}
                "super" => {
                    target.pop();
                }
                _ => target.push((part.name.clone(), Some(part.line))),
            }
        }
        match target.first() {
            Some((name, line)) => self.references.push(Name {
                name: name.clone(),
                line: line.unwrap_or(first.line),
            }),
            // `pub(crate)` and `pub(super)` import nothing.
            None if path.len() == 1 && !renamed => {}
            None => self.references.push(Name {
                name: WHOLE_CRATE.to_owned(),
                line: first.line,
            }),
        }
    }
}

fn is_colons(trees: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| trees.get(at).is_some_and(|tree| is_punct(tree, ':'));
    colon(at) && colon(at + 1)
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
