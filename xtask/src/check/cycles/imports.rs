//! What one module names: its `use` trees and the paths in its code. Says what is written, and does not look it up.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Token, UseTree, Visibility, punctuated::Punctuated};

/// How a module names something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `use`
    Use,
    /// `pub use`, with any extent
    ReExport,
    /// A path in the code.
    Path,
}

/// Something that a module names.
#[derive(Debug)]
pub struct Import {
    /// The line of the last name.
    pub line: usize,
    /// The names of the path.
    pub path: Vec<String>,
    /// How it is written.
    pub kind: Kind,
}

/// One name that a `use` brings into a module, or all names of another module.
pub struct Leaf {
    /// The line it is on.
    pub line: usize,
    /// The path of the item; for a glob that of the module.
    pub path: Vec<String>,
    /// What it is called here.
    pub name: Name,
}

/// What a `use` calls an item.
pub enum Name {
    /// Its own name or the one after `as`.
    As(String),
    /// `as _`
    Nothing,
    /// `*`
    Glob,
}

/// The leaves of a `use` tree.
pub fn leaves(tree: &UseTree) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    add_leaves(tree, &mut Vec::new(), &mut leaves);
    leaves
}

fn add_leaves(tree: &UseTree, above: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(part) => {
            above.push(part.ident.to_string());
            add_leaves(&part.tree, above, leaves);
            above.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| add_leaves(tree, above, leaves)),
        UseTree::Name(leaf) => {
            let path = joined(above, &leaf.ident);
            let name = path.last().cloned().map_or(Name::Nothing, Name::As);
            leaves.push(Leaf { line: leaf.ident.span().start().line, path, name });
        }
        UseTree::Rename(leaf) => {
            let name = if leaf.rename == "_" { Name::Nothing } else { Name::As(leaf.rename.to_string()) };
            let path = joined(above, &leaf.ident);
            leaves.push(Leaf { line: leaf.ident.span().start().line, path, name });
        }
        UseTree::Glob(glob) => {
            let line = glob.star_token.spans[0].start().line;
            leaves.push(Leaf { line, path: above.clone(), name: Name::Glob });
        }
    }
}

/// `self` in braces is the module before the braces.
fn joined(above: &[String], name: &syn::Ident) -> Vec<String> {
    let mut path = above.to_vec();
    if name != "self" || path.is_empty() {
        path.push(name.to_string());
    }
    path
}

/// Whether attributes leave code out of every build but that of the tests.
pub fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args().is_ok_and(|condition| needs_test(&condition))
        }
        _ => false,
    })
}

/// Whether a condition of `cfg` holds in tests alone.
fn needs_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else { return false };
    if list.path.is_ident("all") {
        parts.iter().any(needs_test)
    } else {
        list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_test)
    }
}

/// The attributes of an item.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Everything that an item of a module names, outside code of tests. A module in braces is not an item of this one.
pub fn imports(item: &Item, found: &mut Vec<Import>) {
    Collector { found }.visit_item(item);
}

struct Collector<'a> {
    found: &'a mut Vec<Import>,
}

impl Visit<'_> for Collector<'_> {
    fn visit_item(&mut self, item: &Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, _: &syn::ItemMod) {}

    fn visit_impl_item(&mut self, item: &ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test_only(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &syn::Local) {
        if !is_test_only(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_field(&mut self, field: &syn::Field) {
        if !is_test_only(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &syn::FieldValue) {
        if !is_test_only(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &syn::Variant) {
        if !is_test_only(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        if !is_test_only(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        // `use ::name` is an item of another crate.
        if item.leading_colon.is_some() {
            return;
        }
        let kind = if matches!(item.vis, Visibility::Inherited) { Kind::Use } else { Kind::ReExport };
        self.found.extend(leaves(&item.tree).into_iter().map(|leaf| Import { line: leaf.line, path: leaf.path, kind }));
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none()
            && let Some(last) = path.segments.last()
        {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.found.push(Import { line: last.ident.span().start().line, path: names, kind: Kind::Path });
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &syn::Macro) {
        self.visit_path(&called.path);
        self.visit_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.visit_tokens(list.tokens.clone());
        }
    }

    // The path in `pub(in path)` grants access and uses nothing.
    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {}
}

impl Collector<'_> {
    /// Paths of two names or more in the arguments of a macro, which may be anything. One name may be a variable.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let (mut names, mut line, mut colons) = (Vec::new(), 0, 0);
        let mut end_path = |names: &mut Vec<String>, line: usize| {
            if names.len() > 1 {
                self.found.push(Import { line, path: std::mem::take(names), kind: Kind::Path });
            }
            names.clear();
        };
        let mut groups = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Punct(mark)
                    if mark.as_char() == ':' && (mark.spacing() == Spacing::Joint || colons == 1) =>
                {
                    colons += 1;
                }
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        end_path(&mut names, line);
                    }
                    // `::name` is an item of another crate.
                    if colons != 2 || !names.is_empty() {
                        line = name.span().start().line;
                        names.push(name.to_string());
                    }
                    colons = 0;
                }
                other => {
                    end_path(&mut names, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        groups.push(group.stream());
                    }
                }
            }
        }
        end_path(&mut names, line);
        groups.into_iter().for_each(|group| self.visit_tokens(group));
    }
}
