//! The modules of one crate: which file each is in, which names it defines and which it brings in from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use syn::{Expr, ExprLit, Item, ItemMod, Lit, Meta, Visibility};

use super::imports::{self, Import, Leaf, Name};

/// A module by its place in [`Tree::modules`].
pub type ModuleId = usize;

/// Where the tree begins.
pub const ROOT: ModuleId = 0;

/// What reads a file; `None` if it does not exist.
pub type Read<'a> = &'a dyn Fn(&Path) -> Result<Option<String>>;

/// All modules of a crate that are not of the tests alone.
#[derive(Default)]
pub struct Tree {
    /// The crate's root is the first.
    pub modules: Vec<Module>,
}

/// One module.
#[derive(Default)]
pub struct Module {
    /// The file that its items are in.
    pub file: PathBuf,
    /// None for the root.
    pub parent: Option<ModuleId>,
    /// Modules that it declares.
    pub children: BTreeMap<String, ModuleId>,
    /// Names of the items that it defines.
    pub items: BTreeSet<String>,
    /// Names from a `use`.
    pub bindings: BTreeMap<String, Binding>,
    /// Modules all of whose names it uses.
    pub globs: Vec<Vec<String>>,
    /// What its code names, and where.
    pub imports: Vec<Import>,
}

/// A name that a `use` brings in.
pub struct Binding {
    /// What it stands for.
    pub path: Vec<String>,
    /// Whether it is handed on to other modules.
    pub is_public: bool,
}

/// Where declarations of modules are looked for.
struct Place {
    /// The folder of the file.
    folder: PathBuf,
    /// The folder of the files of modules that are declared here.
    below: PathBuf,
}

impl Tree {
    /// Reads the file of a crate's root and those of all modules.
    ///
    /// # Errors
    /// If a file is missing or is not Rust.
    pub fn read(root: &Path, read: Read<'_>) -> Result<Self> {
        let mut tree = Self::default();
        let source = read(root)?.with_context(|| format!("{} does not exist", root.display()))?;
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        tree.add_file(root, &source, None, folder, read)?;
        Ok(tree)
    }

    /// Whether a module is another or inside it.
    pub fn is_within(&self, mut inner: ModuleId, outer: ModuleId) -> bool {
        while inner != outer {
            let Some(parent) = self.modules[inner].parent else { return false };
            inner = parent;
        }
        true
    }

    fn add_file(
        &mut self,
        file: &Path,
        source: &str,
        parent: Option<ModuleId>,
        below: PathBuf,
        read: Read<'_>,
    ) -> Result<Option<ModuleId>> {
        let parsed = syn::parse_file(source).map_err(|error| {
            let line = error.span().start().line;
            anyhow::anyhow!("cannot parse {}, line {line}: {error}", file.display())
        })?;
        // The condition may be in the file, as `#![cfg(test)]`, in place of the declaration.
        if imports::is_test_only(&parsed.attrs) && parent.is_some() {
            return Ok(None);
        }
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        self.add_module(file, parent, &parsed.items, &Place { folder, below }, read).map(Some)
    }

    fn add_module(
        &mut self,
        file: &Path,
        parent: Option<ModuleId>,
        items: &[Item],
        place: &Place,
        read: Read<'_>,
    ) -> Result<ModuleId> {
        let id = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        for item in items.iter().filter(|item| !imports::is_test_only(imports::attributes(item))) {
            if let Item::Mod(module) = item {
                let name = module.ident.to_string();
                if let Some(child) = self.add_child(id, module, &name, place, read)? {
                    self.modules[id].children.insert(name, child);
                }
            } else {
                self.modules[id].add(item);
            }
        }
        Ok(id)
    }

    fn add_child(
        &mut self,
        parent: ModuleId,
        module: &ItemMod,
        name: &str,
        place: &Place,
        read: Read<'_>,
    ) -> Result<Option<ModuleId>> {
        let declaring = self.modules[parent].file.clone();
        if let Some((_, items)) = &module.content {
            let below = place.below.join(name);
            let place = Place { folder: below.clone(), below };
            return self.add_module(&declaring, Some(parent), items, &place, read).map(Some);
        }
        let name = name.trim_start_matches("r#");
        // Of a file that is given by its path, and of `mod.rs`, the modules are in the same folder.
        let candidates = match path_attribute(module) {
            Some(path) => {
                let file = normal(&place.folder.join(path));
                let below = file.parent().unwrap_or(Path::new("")).to_owned();
                vec![(file, below)]
            }
            None => {
                let below = place.below.join(name);
                vec![(place.below.join(format!("{name}.rs")), below.clone()), (below.join("mod.rs"), below)]
            }
        };
        for (file, below) in candidates {
            if let Some(source) = read(&file)? {
                return self.add_file(&file, &source, Some(parent), below, read);
            }
        }
        bail!("{}: no file of `mod {name}` is found", declaring.display())
    }
}

impl Module {
    fn add(&mut self, item: &Item) {
        let defined = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        self.items.extend(defined.map(ToString::to_string));
        if let Item::Use(item) = item
            && item.leading_colon.is_none()
        {
            let is_public = !matches!(item.vis, Visibility::Inherited);
            for Leaf { path, name, .. } in imports::leaves(&item.tree) {
                match name {
                    Name::As(name) => _ = self.bindings.insert(name, Binding { path, is_public }),
                    Name::Glob => self.globs.push(path),
                    Name::Nothing => {}
                }
            }
        }
        imports::imports(item, &mut self.imports);
    }
}

/// The text of `#[path = "…"]`.
fn path_attribute(module: &ItemMod) -> Option<String> {
    module.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

/// A path without `..` and `.`, so that one file has one path.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => _ = normal.pop(),
            std::path::Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}
