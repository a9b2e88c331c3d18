//! The files of each crate as modules, and which file uses which other.
//!
//! A path such as `crate::store::Database` is followed through every re-export to the file that defines the
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::tokens::{Token, tokens_without_tests};
use crate::workspace::{Source, sources};

/// The use of one file by another of the same crate. Uses between a module and the modules inside it are left
/// out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileUse {
    /// The folder of the crate's sources, as `crates/users/src/`.
    pub folder: String,
    /// The file that uses, below the folder.
    pub from: String,
    /// The file that is used, below the folder.
    pub to: String,
}

type Names = Vec<String>;

/// One file as a module.
struct Module {
    file: String,
    path: Names,
    /// The names that the file declares.
    items: BTreeSet<String>,
    /// The names that `use` brings in, with the paths that they stand for.
    imports: BTreeMap<String, Names>,
    /// The modules that are imported with `*`.
    globs: Vec<Names>,
    /// Every path in the file, those of `use` among them.
    mentions: Vec<Names>,
}

/// The uses of the workspace. Reading them takes seconds, so it happens once.
pub static FILE_USES: LazyLock<Vec<FileUse>> = LazyLock::new(|| file_uses(&sources()));

/// Finds which file uses which other, in every crate.
pub fn file_uses(sources: &[Source]) -> Vec<FileUse> {
    let mut crates = BTreeMap::<&str, Vec<(&str, &str)>>::new();
    for source in sources {
        let Some((member, file)) = source.path.split_once("/src/") else { continue };
        if file.ends_with(".rs") && !file.starts_with("bin/") {
            let folder = &source.path[..member.len() + "/src/".len()];
            crates.entry(folder).or_default().push((file, &source.text));
        }
    }
    let mut uses = BTreeSet::new();
    for (folder, files) in crates {
        uses.extend(uses_of_crate(folder, &files));
    }
    uses.into_iter().collect()
}

fn uses_of_crate(folder: &str, files: &[(&str, &str)]) -> Vec<FileUse> {
    let has_library = files.iter().any(|(file, _)| *file == "lib.rs");
    let files = files.iter().filter(|(file, _)| !(has_library && *file == "main.rs"));
    let modules: BTreeMap<Names, Module> = files
        .map(|(file, text)| Module::read(file, text))
        .map(|module| (module.path.clone(), module))
        .collect();
    let mut uses = Vec::new();
    for module in modules.values() {
        for mention in &module.mentions {
            let Some(path) = absolute(&modules, module, mention) else { continue };
            let Some(target) = resolve(&modules, &path, 0) else { continue };
            let related = target.path.starts_with(&module.path) || module.path.starts_with(&target.path);
            if !related {
                let (from, to) = (module.file.clone(), target.file.clone());
                uses.push(FileUse { folder: folder.to_owned(), from, to });
            }
        }
    }
    uses
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let mut path: Names = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod") || ["lib.rs", "main.rs"].contains(&file) {
            path.pop();
        }
        let mut module = Self {
            file: file.to_owned(),
            path,
            items: BTreeSet::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            mentions: Vec::new(),
        };
        module.fill(&tokens_without_tests(text));
        module
    }

    fn fill(&mut self, tokens: &[Token]) {
        const DECLARE: [&str; 9] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                Token::Name(name)
                    if name == "use" && !matches!(tokens.get(at + 1), Some(Token::Mark('<'))) =>
                {
                    at = self.import(tokens, at + 1, Vec::new());
                }
                Token::Name(name) if DECLARE.contains(&name.as_str()) => {
                    let declared = tokens[at + 1..].iter().find_map(Token::name);
                    self.items.extend(declared.filter(|name| *name != "fn").map(str::to_owned));
                    at += 1;
                }
                Token::Name(first) => {
                    let mut path = vec![first.clone()];
                    while let (Some(Token::Path), Some(Token::Name(next))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        path.push(next.clone());
                        at += 2;
                    }
                    if path.len() > 1 {
                        self.mentions.push(path);
                    }
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Reads one tree of a `use`. Returns the position behind it.
    fn import(&mut self, tokens: &[Token], mut at: usize, mut path: Names) -> usize {
        loop {
            match tokens.get(at) {
                Some(Token::Name(name)) if name == "as" => {
                    if let Some(alias) = tokens.get(at + 1).and_then(Token::name) {
                        self.imports.insert(alias.to_owned(), path.clone());
                    }
                    self.mentions.push(path);
                    return at + 2;
                }
                Some(Token::Name(name)) => path.push(name.clone()),
                Some(Token::Path) => {}
                Some(Token::Mark('*')) => {
                    self.mentions.push(path.clone());
                    self.globs.push(path);
                    return at + 1;
                }
                Some(Token::Mark('{')) => {
                    at += 1;
                    while !matches!(tokens.get(at), None | Some(Token::Mark('}'))) {
                        at = self.import(tokens, at, path.clone());
                        // A comma, or a mark that no path has: in a macro, the `$` of a parameter.
                        if !matches!(tokens.get(at), Some(Token::Mark('}'))) {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                _ => {
                    if path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    if let Some(name) = path.last() {
                        self.imports.insert(name.clone(), path.clone());
                    }
                    self.mentions.push(path);
                    return at;
                }
            }
            at += 1;
        }
    }
}

/// The path from the root of the crate. `None` for a path into another crate.
fn absolute(modules: &BTreeMap<Names, Module>, module: &Module, path: &[String]) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    let mut start = module.path.clone();
    match first.as_str() {
        "crate" => start.clear(),
        "self" => {}
        "super" => {
            start.pop()?;
            let above = modules.get(&start)?;
            let stays = rest.first().is_some_and(|next| next == "super");
            return if stays {
                absolute(modules, above, rest)
            } else {
                Some([start, rest.to_vec()].concat())
            };
        }
        name => {
            start.push(name.to_owned());
            if !modules.contains_key(&start) {
                let import = module.imports.get(name).filter(|import| import.first() != Some(first))?;
                start = absolute(modules, module, import)?;
            }
        }
    }
    Some([start, rest.to_vec()].concat())
}

/// The module that defines what an absolute path names.
fn resolve<'a>(modules: &'a BTreeMap<Names, Module>, path: &[String], depth: u32) -> Option<&'a Module> {
    const DEEPEST: u32 = 16;
    let known = (0..=path.len()).rev().find_map(|length| Some((length, modules.get(&path[..length])?)));
    let (length, module) = known?;
    let Some((name, rest)) = path[length..].split_first() else { return Some(module) };
    if module.items.contains(name) || depth == DEEPEST {
        return Some(module);
    }
    let follow = |target: &Names| resolve(modules, &absolute(modules, module, target)?, depth + 1);
    if let Some(target) = module.imports.get(name) {
        return follow(&[target.clone(), rest.to_vec()].concat());
    }
    let behind_globs = module.globs.iter().find_map(|glob| {
        let target = follow(&[glob.clone(), path[length..].to_vec()].concat())?;
        target.items.contains(name).then_some(target)
    });
    // A name that a macro declares is not among the items.
    behind_globs.or(Some(module))
}
