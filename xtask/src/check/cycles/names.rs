//! From a path in a module to the modules that define what it names, through re-exports. What another crate defines, and what is no
//! item (a variable, a generic type), has none.

use super::imports::{Import, Kind};
use super::tree::{ModuleId, ROOT, Tree};

/// A name that is being looked up, and where. Looked up once more on its own way, it is an item of another crate.
type Pending = Vec<(ModuleId, String)>;

/// The modules whose files an import needs, other than its own.
pub fn targets(tree: &Tree, from: ModuleId, import: &Import) -> Vec<ModuleId> {
    let module = &tree.modules[from];
    let [first, ..] = import.path.as_slice() else { return Vec::new() };
    // The `use` that brings in a single name counts already, unless it only re-exports.
    let plain = import.kind == Kind::Path && import.path.len() == 1;
    if plain && !module.bindings.get(first).is_some_and(|binding| binding.is_public) {
        return Vec::new();
    }
    let mut found = resolve(tree, from, &import.path, &mut Vec::new());
    if import.kind == Kind::ReExport {
        let own = if first == "self" { import.path.get(1) } else { Some(first) };
        let of_a_child = own.is_some_and(|name| module.children.contains_key(name));
        found.retain(|found| !of_a_child && !tree.is_within(*found, from));
    }
    found.retain(|found| tree.modules[*found].file != module.file);
    found
}

fn resolve(tree: &Tree, from: ModuleId, path: &[String], pending: &mut Pending) -> Vec<ModuleId> {
    let [first, rest @ ..] = path else { return Vec::new() };
    match first.as_str() {
        "crate" => walk(tree, ROOT, rest, pending),
        "self" => walk(tree, from, rest, pending),
        "super" => {
            let (mut above, mut rest) = (tree.modules[from].parent, rest);
            while let [name, more @ ..] = rest
                && name == "super"
            {
                above = above.and_then(|above| tree.modules[above].parent);
                rest = more;
            }
            above.map_or(Vec::new(), |above| walk(tree, above, rest, pending))
        }
        _ => look_up(tree, from, first, rest, pending).unwrap_or_default(),
    }
}

/// Goes down from a module of this crate. What it does not seem to define is made by a macro there.
fn walk(tree: &Tree, at: ModuleId, path: &[String], pending: &mut Pending) -> Vec<ModuleId> {
    let [first, rest @ ..] = path else { return vec![at] };
    look_up(tree, at, first, rest, pending).unwrap_or_else(|| vec![at])
}

/// The definitions behind a name of a module, and behind the names after it. None if the module has no such name.
fn look_up(tree: &Tree, at: ModuleId, name: &str, rest: &[String], pending: &mut Pending) -> Option<Vec<ModuleId>> {
    let module = &tree.modules[at];
    let child = module.children.get(name).copied();
    // Modules and functions may have one name. Only a module has names below it here.
    if let Some(child) = child
        && !rest.is_empty()
    {
        return Some(walk(tree, child, rest, pending));
    }
    let item = match pending.iter().any(|(id, pending)| *id == at && pending == name) {
        true => None,
        false => {
            pending.push((at, name.to_owned()));
            let item = item(tree, at, name, rest, pending);
            pending.pop();
            item
        }
    };
    match (child, item) {
        (None, None) => None,
        (child, item) => Some(child.into_iter().chain(item.unwrap_or_default()).collect()),
    }
}

/// [`look_up`] among what is not a module declared here.
fn item(tree: &Tree, at: ModuleId, name: &str, rest: &[String], pending: &mut Pending) -> Option<Vec<ModuleId>> {
    let module = &tree.modules[at];
    if module.items.contains(name) {
        return Some(vec![at]);
    }
    if let Some(binding) = module.bindings.get(name) {
        let path: Vec<String> = binding.path.iter().chain(rest).cloned().collect();
        let found = resolve(tree, at, &path, pending);
        // An item of another crate under a name that this module gives it.
        return Some(if found.is_empty() { vec![at] } else { found });
    }
    module.globs.iter().find_map(|glob| {
        let modules = resolve(tree, at, glob, pending);
        modules.into_iter().filter(|module| *module != at).find_map(|module| look_up(tree, module, name, rest, pending))
    })
}
