//! The arrows between the rooms of `src/`: who may import whom, where `unsafe` may stand, how long a file may be.
//!
//! Data flows one way, and a room knows only rooms to its left:
//!
//! ```text
//! types error numeric rng | kernels | plan | weights > logits > history > constrain > distribution > selection > trace | decoder > beam, speculative, replay
//! sandbox, and lab after it, are clients of what is public; src/bin/argpick is another crate and sees nothing else
//! ```
//! The test reads text, not types: comments and strings are blanked, then every path that begins with `crate::` is
//! looked up. It judges test modules too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const GROUND: &[&str] = &["types", "error", "numeric", "rng"];

/// Room, and what it may import beside itself. Two places differ from the picture above, with a reason each.
const ARROWS: &[(&str, &[&[&str]])] = &[
    ("types", &[]),
    ("numeric", &[]),
    ("rng", &[]),
    ("error", &[&["types"]]),
    ("kernels", &[GROUND]),
    // Plain data compiled from a configuration; the stages read their parameters from it, so it stands before them.
    ("plan", &[GROUND]),
    ("weights", &[GROUND, &["kernels"]]),
    // Tokens only: it sees no row.
    ("history", &[GROUND, &["plan"]]),
    // `constrain`: the first pass over a row (logits/surface.rs) applies the adjustments while it reads.
    ("logits", &[GROUND, &["kernels", "weights", "constrain"]]),
    // Not `logits`: with the exception above that would be a circle.
    ("constrain", &[GROUND, &["kernels", "plan", "history"]]),
    ("distribution", &[GROUND, &["kernels", "plan", "logits", "constrain"]]),
    ("selection", &[GROUND, &["kernels", "plan", "logits", "constrain", "distribution"]]),
    ("trace", &[GROUND, &["kernels", "plan", "logits", "constrain", "distribution", "selection"]]),
    (
        "decoder",
        &[
            GROUND,
            &["kernels", "plan", "weights", "logits", "history", "constrain", "distribution", "selection", "trace"],
        ],
    ),
    // A conductor as well: it runs many beams, and a decoder beside each.
    (
        "beam",
        &[
            GROUND,
            &[
                "kernels",
                "plan",
                "weights",
                "logits",
                "history",
                "constrain",
                "distribution",
                "selection",
                "trace",
                "decoder",
            ],
        ],
    ),
    // A conductor as well: it walks a target's decoder, and a draft model's beside it, along drafted tokens.
    ("speculative", &[GROUND, &["kernels", "plan", "logits", "distribution", "selection", "trace", "decoder"]]),
    // A conductor as well, one step further right: it writes down and repeats what a decoder does.
    // The history for its answer about a text.
    ("replay", &[GROUND, &["kernels", "plan", "weights", "logits", "history", "trace", "decoder"]]),
    // It repeats what a decoder does, on a GPU: the configuration in, a pick or a score out. The device code is `cuda/`.
    ("cuda", &[GROUND, &["plan", "logits", "trace"]]),
    // A client: only modules that are public, and what the crate root re-exports.
    ("sandbox", &[GROUND, &["kernels", "weights", "logits", "plan", "decoder", "trace", "beam", "replay"]]),
    // A client as well: sweeps decode with the sandbox's model or a host's, and diagnoses sum up what the decoder says. The
    // sandbox does not know it.
    ("lab", &[GROUND, &["kernels", "plan", "decoder", "trace", "sandbox"]]),
    // The rim: it knows the whole library, and nothing knows it.
    (
        "capi",
        &[
            GROUND,
            &["kernels", "plan", "weights", "logits", "decoder", "trace", "beam", "speculative", "replay", "cuda"],
        ],
    ),
    ("docs", &[]),
];

/// The rooms where `unsafe` may be written.
const UNSAFE_ROOMS: &[&str] = &["kernels/isa/", "kernels/dispatch.rs", "weights/map.rs", "cuda/", "capi/"];

const MAX_LINES: usize = 600;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below `src`, by their path from there.
fn files() -> BTreeMap<String, String> {
    fn visit(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                visit(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below src").to_str().expect("a name in UTF-8");
                found.insert(name.replace('\\', "/"), fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(&source(), &source(), &mut found);
    found
}

/// The text with comments, strings and character literals blanked; lines stay where they are.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let previous_is_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let hashes = |from: usize| (from..).take_while(|&k| at(k) == '#').count();
        if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if at(i) == 'r' && !previous_is_word && at(i + 1 + hashes(i + 1)) == '"' {
            let count = hashes(i + 1);
            i += count + 2;
            while i < chars.len() && !(at(i) == '"' && hashes(i + 1) >= count) {
                i += 1;
            }
            i += count + 1;
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else {
            code.push(at(i));
            i += 1;
            continue;
        }
        code.push('"');
        code.extend((start..i.min(chars.len())).map(|k| if at(k) == '\n' { '\n' } else { ' ' }));
    }
    code
}

/// The words of a text with the number of their line, in order.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let word = |c: char| !(c.is_alphanumeric() || c == '_');
    code.lines().enumerate().flat_map(move |(line, text)| text.split(word).map(move |word| (line + 1, word)))
}

/// The first names of all paths that begin with `crate::`, groups in braces taken apart, with their lines.
fn names_from_crate(code: &str) -> Vec<(usize, String)> {
    let name_at = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, name_at(rest)));
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if fresh && !c.is_whitespace() => {
                    found.push((line, name_at(&group[i..])));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// The room of a file: its folder, or its own name.
fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// What the crate root re-exports (`pub use room::{A, b}` in lib.rs): the room of each name.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let code = code_only(lib);
    let mut found = BTreeMap::new();
    for statement in code.split(';') {
        let Some((_, path)) = statement.rsplit_once("pub use ") else { continue };
        let Some((room, names)) = path.split_once("::") else { continue };
        for name in names.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty()) {
            found.insert(name.to_owned(), room.trim().to_owned());
        }
    }
    found
}

/// Imports of a file against the arrows, one line each.
fn wrong_imports(file: &str, text: &str, reexports: &BTreeMap<String, String>) -> Vec<String> {
    let room = room_of(file);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("src/{file}: room {room} has no line in the table of tests/layering.rs")];
    };
    let code = code_only(text);
    let mut wrong = Vec::new();
    for (line, name) in names_from_crate(&code) {
        let target = reexports.get(&name).map_or(name.as_str(), String::as_str);
        if target != room && !allowed.iter().any(|list| list.contains(&target)) {
            wrong.push(format!("src/{file}:{line}: {room} imports {target} (crate::{name})"));
        }
    }
    // `super` may not climb out of the room, where the look-up above would not see it. An inline module is one deeper.
    let depth = file.split('/').count() - usize::from(file.ends_with("/mod.rs"));
    for (line, text) in code.lines().enumerate() {
        let climbs = text.matches("super::").count();
        let chained = (1..=climbs).rev().find(|&n| text.contains(&"super::".repeat(n))).unwrap_or(0);
        let inline = usize::from(text.starts_with(' '));
        if chained >= depth + inline {
            wrong.push(format!("src/{file}:{}: `super` climbs out of room {room}; write crate::", line + 1));
        }
    }
    if words(&code).any(|(_, word)| word == "path") && code.contains("#[path") {
        wrong.push(format!("src/{file}: #[path] takes a file from another place"));
    }
    wrong
}

fn is_library(file: &str) -> bool {
    file != "lib.rs" && !file.starts_with("bin/")
}

fn report(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[test]
fn imports_follow_the_arrows() {
    let files = files();
    let reexports = reexports(&files["lib.rs"]);
    assert!(reexports.get("Decoder").is_some_and(|room| room == "decoder"), "lib.rs was not understood: {reexports:?}");
    let library: Vec<_> = files.iter().filter(|(file, _)| is_library(file)).collect();
    assert!(library.len() > 30, "only {} files were found", library.len());
    let wrong: Vec<_> = library.iter().flat_map(|(file, text)| wrong_imports(file, text, &reexports)).collect();
    report("imports against the arrows", &wrong);
}

#[test]
fn the_table_has_no_circle() {
    // Rooms that import only finished rooms are finished; what is left over stands in a circle.
    let mut finished: Vec<&str> = Vec::new();
    loop {
        let next = ARROWS.iter().find(|(room, lists)| {
            !finished.contains(room) && lists.iter().copied().flatten().all(|needed| finished.contains(needed))
        });
        match next {
            Some((room, _)) => finished.push(room),
            None => break,
        }
    }
    assert_eq!(finished.len(), ARROWS.len(), "rooms in a circle; not in one: {finished:?}");
}

#[test]
fn unsafe_stands_only_in_its_rooms() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, text) in files() {
        let code = code_only(&text);
        for (line, _) in words(&code).filter(|(_, word)| *word == "unsafe") {
            seen += 1;
            if !UNSAFE_ROOMS.iter().any(|room| file.starts_with(room)) {
                wrong.push(format!("src/{file}:{line}"));
            }
        }
    }
    assert!(seen > 0, "no unsafe at all was found: the search is broken");
    report("unsafe outside of its rooms", &wrong);
}

#[test]
fn the_tool_is_a_client_of_the_library() {
    let mut wrong = Vec::new();
    for (file, text) in files().iter().filter(|(file, _)| file.starts_with("bin/")) {
        let includes = words(&code_only(text)).any(|(_, word)| word == "include");
        // The measuring code is shared with the benchmarks, which are a client as well.
        let is_taken = |line: &str| line.contains("#[path") && !line.contains("../benches/support/");
        if includes || text.lines().any(is_taken) {
            wrong.push(format!("src/{file}: takes source text from another place"));
        }
    }
    report("the tool reaches past the public items", &wrong);
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<_> = files()
        .iter()
        .filter(|(_, text)| text.lines().count() > MAX_LINES)
        .map(|(file, text)| format!("src/{file}: {} lines", text.lines().count()))
        .collect();
    report("files past 600 lines: which second idea moved in?", &long);
}

#[test]
fn the_judge_sees_what_it_must() {
    let reexports = reexports("pub use decoder::{Decoder, softmax};\npub use error::{Error, Result};");
    let judge = |file: &str, text: &str| wrong_imports(file, text, &reexports).len();
    assert_eq!(judge("kernels/generic/mass.rs", "use crate::numeric::weight;\nuse super::block::RowView;"), 0);
    assert_eq!(judge("kernels/generic/mass.rs", "use crate::plan::Plan;"), 1);
    assert_eq!(judge("kernels/generic/mass.rs", "// use crate::plan::Plan;\nlet a = \"crate::plan\";"), 0);
    assert_eq!(judge("kernels/mod.rs", "use crate::{error::Error, decoder::{Decoder, x}, types};"), 1);
    assert_eq!(judge("trace/pick.rs", "fn f() { crate::weights::open(); }"), 1);
    assert_eq!(judge("selection/mod.rs", "use crate::softmax;"), 1);
    assert_eq!(judge("selection/mod.rs", "use super::decoder;"), 1);
    assert_eq!(judge("selection/walk.rs", "use super::super::decoder;"), 1);
    assert_eq!(judge("rng.rs", "mod tests {\n    use super::*;\n}"), 0);
    assert_eq!(judge("attic/mod.rs", ""), 1);
    let lexed = code_only("let c = '\"'; /* unsafe */ r#\"unsafe\"# 'a' b\"unsafe\" fn f<'a>() {} // unsafe");
    assert!(!lexed.contains("unsafe") && lexed.contains("fn f<'a>() {}"), "{lexed}");
}
