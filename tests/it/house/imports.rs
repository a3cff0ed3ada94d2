//! Which file of the library imports which: `use` declarations and paths in the code, followed through re-exports to the
//! file that defines what they name.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Source, Token, tokens, without_tests};

/// Names from the root of the crate, without `crate`.
type Path = Vec<String>;

/// The files that a file imports, by path.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// A module: what its code says of names.
#[derive(Default)]
struct Module {
    file: String,
    /// What `use` declarations bind, by name.
    bound: BTreeMap<String, Path>,
    /// What a `*` brings in.
    globs: Vec<Path>,
    defined: BTreeSet<String>,
    /// Paths that the code goes to, apart from re-exports that the module has no use for itself.
    used: Vec<Path>,
}

/// A name that a `use` declaration brings in.
struct Imported {
    path: Path,
    /// Nothing for a `*`.
    name: Option<String>,
    is_public: bool,
}

/// Returns the imports among the files of the library, tests left out.
pub fn graph(sources: &[Source]) -> Graph {
    let modules = modules(sources);
    let mut graph = Graph::new();
    for module in modules.values() {
        let imports = graph.entry(module.file.clone()).or_default();
        for path in &module.used {
            let targets = target(&modules, path, 0).into_iter();
            imports.extend(targets.filter(|file| *file != module.file));
        }
    }
    graph
}

fn modules(sources: &[Source]) -> BTreeMap<Path, Module> {
    let mut modules = BTreeMap::new();
    let mut test_modules = BTreeSet::new();
    // The binary is another crate.
    for source in sources.iter().filter(|source| source.path != "main.rs") {
        let (code, tests) = without_tests(&tokens(&source.text));
        let path = module_path(&source.path);
        test_modules.extend(tests.into_iter().map(|name| child(&path, &name)));
        read(&code, &path, &source.path, &mut modules);
    }
    modules.retain(|path, _| !(1..=path.len()).any(|len| test_modules.contains(&path[..len])));
    resolve_names(&mut modules);
    modules
}

/// The module that a file below `src` is.
fn module_path(file: &str) -> Path {
    let path = file.strip_suffix(".rs").expect("a source");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Path::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn child(path: &[String], name: &str) -> Path {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Reads the code of a module and of the modules inside of it.
fn read(code: &[Token], path: &Path, file: &str, modules: &mut BTreeMap<Path, Module>) {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    let (mut imported, mut names, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < code.len() {
        let next = code.get(at + 1).map_or("", String::as_str);
        match code[at].as_str() {
            "use" if next != "<" => {
                let end = at + code[at..].iter().position(|token| token == ";").unwrap_or(code.len() - at - 1);
                let is_public = is_public(&code[..at]);
                use_tree(&code[at + 1..end], &Path::new(), is_public, &mut imported);
                at = end;
            }
            "mod" if code.get(at + 2).is_some_and(|token| token == "{") => {
                let len = braces_len(&code[at + 2..]);
                read(&code[at + 3..at + 1 + len], &child(path, next), file, modules);
                at += 1 + len;
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" | "macro_rules" => {
                let name = if next == "!" { code.get(at + 2) } else { code.get(at + 1) };
                module.defined.extend(name.cloned());
            }
            token if is_name(token) && (at == 0 || !["::", "."].contains(&code[at - 1].as_str())) => {
                names.insert(token.to_owned());
                let (used, len) = inline_path(&code[at..]);
                module.used.extend((used.len() > 1).then_some(used));
                at += len - 1;
            }
            _ => {}
        }
        at += 1;
    }
    for Imported { path, name, is_public } in imported {
        let is_used = !is_public || name.as_ref().is_some_and(|name| names.contains(name));
        module.used.extend(is_used.then(|| path.clone()));
        match name {
            Some(name) => _ = module.bound.insert(name, path),
            None => module.globs.push(path),
        }
    }
    modules.insert(path.clone(), module);
}

/// True if the code ends in `pub` or in `pub(…)`.
fn is_public(code: &[Token]) -> bool {
    let tail: Vec<_> = code.iter().rev().take(4).map(String::as_str).collect();
    matches!(tail[..], ["pub", ..] | [")", _, "(", "pub"])
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Number of tokens from an opening brace to the one that closes it.
fn braces_len(code: &[Token]) -> usize {
    let mut depth = 0;
    let end = code.iter().position(|token| {
        depth += i32::from(token == "{") - i32::from(token == "}");
        depth == 0
    });
    end.map_or(code.len(), |at| at + 1)
}

/// The path that the code begins with, and its number of tokens.
fn inline_path(code: &[Token]) -> (Path, usize) {
    let (mut path, mut at) = (vec![code[0].clone()], 1);
    while code.get(at).is_some_and(|token| token == "::") && code.get(at + 1).is_some_and(|token| is_name(token)) {
        path.push(code[at + 1].clone());
        at += 2;
    }
    (path, at)
}

/// Collects what the tree of a `use` declaration brings in.
fn use_tree(tree: &[Token], prefix: &Path, is_public: bool, found: &mut Vec<Imported>) {
    let mut path = prefix.clone();
    let mut at = 0;
    while at < tree.len() {
        match tree[at].as_str() {
            "::" => {}
            "{" => {
                let inner = &tree[at + 1..at + braces_len(&tree[at..]) - 1];
                for part in split_at_commas(inner) {
                    use_tree(part, &path, is_public, found);
                }
                return;
            }
            "*" => return found.push(Imported { path, name: None, is_public }),
            "as" => {
                let name = tree.get(at + 1).cloned();
                return found.push(Imported { path, name, is_public });
            }
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned();
    if name.is_some() {
        found.push(Imported { path, name, is_public });
    }
}

fn split_at_commas(tree: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, token) in tree.iter().enumerate() {
        depth += i32::from(token == "{") - i32::from(token == "}");
        if depth == 0 && token == "," {
            parts.push(&tree[start..at]);
            start = at + 1;
        }
    }
    parts.push(&tree[start..]);
    parts
}

/// Makes the paths of all modules begin at the root of the crate, and drops those that lead out of it.
fn resolve_names(modules: &mut BTreeMap<Path, Module>) {
    let known: BTreeSet<Path> = modules.keys().cloned().collect();
    for (own, module) in modules.iter_mut() {
        let bound: BTreeMap<_, _> = module
            .bound
            .iter()
            .filter_map(|(name, path)| Some((name.clone(), absolute(path, own, &known, &BTreeMap::new())?)))
            .collect();
        let resolve = |paths: &[Path]| -> Vec<Path> {
            paths.iter().filter_map(|path| absolute(path, own, &known, &bound)).collect()
        };
        (module.globs, module.used) = (resolve(&module.globs), resolve(&module.used));
        module.bound = bound;
    }
}

fn absolute(path: &[String], own: &Path, known: &BTreeSet<Path>, bound: &BTreeMap<String, Path>) -> Option<Path> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Path::new(),
        "self" => own.clone(),
        "super" => own.split_last()?.1.to_vec(),
        name if bound.contains_key(name) => bound[name].clone(),
        name if known.contains(&child(own, name)) => child(own, name),
        _ => return None,
    };
    for name in rest {
        if name == "super" {
            base.pop();
        } else {
            base.push(name.clone());
        }
    }
    Some(base)
}

/// The file that defines what a path names; nothing for a module as such, which is no more than a prefix of other paths.
fn target(modules: &BTreeMap<Path, Module>, path: &[String], depth: usize) -> Option<String> {
    let len = (0..=path.len()).rev().find(|len| modules.contains_key(&path[..*len]))?;
    let module = &modules[&path[..len]];
    let Some(name) = path.get(len) else {
        return module_itself(modules, path, depth);
    };
    // Re-exports that lead in a circle are an error of the compiler's.
    if depth > 20 || module.defined.contains(name) {
        return Some(module.file.clone());
    }
    let through = |base: &Path, rest: &[String]| [base, rest].concat();
    if let Some(bound) = module.bound.get(name) {
        return target(modules, &through(bound, &path[len + 1..]), depth + 1);
    }
    let brings = |glob: &&Path| modules.get(*glob).is_some_and(|module| module.defined.contains(name));
    match module.globs.iter().find(brings) {
        Some(glob) => target(modules, &through(glob, &path[len..]), depth + 1),
        None => Some(module.file.clone()),
    }
}

/// The file that re-exports or defines a function of the same name as a module, which a path may mean as well.
fn module_itself(modules: &BTreeMap<Path, Module>, path: &[String], depth: usize) -> Option<String> {
    let (name, parent) = path.split_last()?;
    let parent = modules.get(parent)?;
    if parent.defined.contains(name) {
        return Some(parent.file.clone());
    }
    let bound = parent.bound.get(name).filter(|bound| bound.as_slice() != path)?;
    target(modules, bound, depth + 1)
}

/// Returns the circles: the largest groups of files each of which leads to every other.
pub fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|file| (file, reachable(graph, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, from) in &reached {
        if from.contains(file) {
            let group = from.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)));
            circles.insert(group.map(|other| (*other).clone()).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

fn reachable<'a>(graph: &'a Graph, file: &String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<_> = graph[file].iter().collect();
    while let Some(next) = pending.pop() {
        if found.insert(next) {
            pending.extend(graph.get(next).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph_of(files: &[(&str, &str)]) -> Graph {
        let source = |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
        graph(&files.iter().map(source).collect::<Vec<_>>())
    }

    fn imports(graph: &Graph, file: &str) -> Vec<String> {
        graph[file].iter().cloned().collect()
    }

    #[test]
    fn imports_are_found_in_every_form() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
            ("a/mod.rs", "mod x; mod y; mod z; fn one() {}"),
            ("a/x.rs", "use super::y::Y; use crate::b::{self, B, deep::{D as E}}; fn f() { b::g(); }"),
            ("a/y.rs", "pub struct Y; fn f() { crate::c::h() }"),
            ("a/z.rs", "fn f() { super::one(); std::fs::read(); }"),
            ("b/mod.rs", "pub mod deep; pub struct B; pub fn g() {}"),
            ("b/deep.rs", "pub struct D; use super::super::c::*;"),
            ("c.rs", "// use crate::a;\n#[cfg(test)] mod tests { use crate::b::B; } pub fn h() {}"),
        ];
        let graph = graph_of(&files);
        assert_eq!(imports(&graph, "a/x.rs"), ["a/y.rs", "b/deep.rs", "b/mod.rs"]);
        assert_eq!(imports(&graph, "a/y.rs"), ["c.rs"]);
        assert_eq!(imports(&graph, "a/z.rs"), ["a/mod.rs"]);
        assert_eq!(imports(&graph, "c.rs"), [""; 0]);
        assert!(circles(&graph).is_empty());
    }

    #[test]
    fn a_re_export_leads_to_what_it_names_and_is_no_import_itself() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b;"),
            ("a/mod.rs", "mod x; mod y; pub use x::{X, load}; pub use y::*;"),
            ("a/x.rs", "pub struct X; pub fn load() {} use super::Y;"),
            ("a/y.rs", "pub struct Y;"),
            ("b.rs", "use crate::a::{X, Y}; fn f() { crate::a::load() }"),
        ];
        let graph = graph_of(&files);
        assert_eq!(imports(&graph, "a/mod.rs"), [""; 0]);
        assert_eq!(imports(&graph, "a/x.rs"), ["a/y.rs"]);
        assert_eq!(imports(&graph, "b.rs"), ["a/x.rs", "a/y.rs"]);
    }

    #[test]
    fn circles_are_found_with_all_of_their_files() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "fn f() { crate::a::A } pub struct C;"),
            ("d.rs", "use crate::a::A;"),
        ];
        assert_eq!(circles(&graph_of(&files)), [["a.rs", "b.rs", "c.rs"]]);
    }
}
