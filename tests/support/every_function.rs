//! A C program that is made from the header: every function with each of its pointers NULL, misaligned, and with structs of
//! sizes that no release had. A function that is added to the header is in it without a line written here, unless it takes
//! something new.

use std::fmt::Write;
use std::path::Path;

/// A parameter of a function.
struct Parameter {
    /// The type without the name, as `const struct argpick_config *`.
    kind: String,
    name: String,
}

/// A function of the header.
struct Function {
    name: String,
    answers_status: bool,
    parameters: Vec<Parameter>,
    /// What the header says of it.
    text: String,
}

/// What there is in `tests/capi/every.h` to pass for a parameter.
fn value_of(function: &str, parameter: &Parameter) -> String {
    let Parameter { kind, name } = parameter;
    let fixed = match (kind.as_str(), name.as_str()) {
        ("size_t", "mask_words") => "1",
        // An output of so many bytes.
        ("size_t", "size" | "memory_size") => "sizeof world.memory",
        ("size_t", "memory_words") => "sizeof world.memory / 8",
        ("size_t" | "uint64_t", _) => "2",
        ("uint32_t", "struct_size") => "sizeof world.config",
        ("uint32_t", "vocab" | "features") => "2",
        ("uint32_t" | "argpick_dtype", _) => "0",
        ("argpick_status", _) => "ARGPICK_OK",
        ("argpick_trace_sink", _) => "NULL",
        ("float", _) => "1.0f",
        ("const char *", _) => "\"no such folder/x\"",
        ("const uint32_t *", "lengths") => "world.ones",
        ("const uint32_t *", "mask") => "world.mask",
        ("const uint32_t *", _) => "world.ids",
        ("const uint64_t *", _) => "world.positions",
        ("const float *", _) => "world.row",
        ("const void *", _) => "world.row",
        ("void *", _) => "world.memory.bytes",
        ("uint64_t *", _) => "world.memory.words",
        ("uint32_t *" | "argpick_status *", _) => "world.numbers",
        ("float *", _) => "world.floats",
        ("double *", _) => "&world.real",
        ("size_t *", _) => "&world.size",
        ("float **", _) => "&world.array",
        ("const void **", _) => "&world.bytes",
        ("const void *const *", _) => "world.rows",
        ("const uint32_t *const *", _) => "world.masks",
        ("struct argpick_pick *", "picks") => "world.picks",
        ("const struct argpick_config *const *", _) => "world.configs",
        ("struct argpick_decoder *const *", _) => "world.decoders",
        _ => "",
    };
    let fixed = match (function, name.as_str()) {
        // Outputs that begin with another size, and lists of rows that decoders of their own go with.
        ("argpick_beam_config_init", "struct_size") => "sizeof world.beam_config",
        ("argpick_beam_step", "rows") => "1",
        ("argpick_beam_step", "capacity") => "4",
        ("argpick_trace_note", "size") => "2",
        // Bytes that are what they have to be.
        ("argpick_decoder_load", "bytes") => "world.saved",
        ("argpick_decoder_load", "size") => "world.saved_size",
        ("argpick_replay_new", "bytes") => "world.recorded",
        ("argpick_replay_new", "size") => "world.recorded_size",
        ("argpick_weights_from_memory" | "argpick_weights_init_from_memory", "bytes") => "world.file.bytes",
        ("argpick_weights_from_memory" | "argpick_weights_init_from_memory", "size") => "sizeof world.file.bytes",
        ("argpick_status_message", _) => "0",
        ("argpick_decoder_undo" | "argpick_trace_undo", "count") => "0",
        _ => fixed,
    };
    if !fixed.is_empty() {
        let cast = if kind == "argpick_status *" { "(argpick_status *)(void *)" } else { "" };
        return format!("{cast}{fixed}");
    }
    let name = struct_of(kind).unwrap_or_else(|| panic!("{function}: what is a {kind:?} ({name}) here?"));
    let handles = ["decoder", "weights", "trace", "replay", "beam"];
    let arrays = ["candidate", "stage", "beam_continuation", "cuda_row"];
    match kind.matches('*').count() {
        2 => format!("&world.made_{name}"),
        _ if handles.contains(&name) => format!("world.{name}"),
        _ if arrays.contains(&name) => format!("world.{name}"),
        _ => format!("&world.{name}"),
    }
}

/// `config` of `const struct argpick_config *`.
fn struct_of(kind: &str) -> Option<&str> {
    let rest = kind.split_once("struct argpick_")?.1;
    rest.split_whitespace().next()
}

/// Whether any address will do for it: bytes and text.
fn is_bytes(parameter: &Parameter) -> bool {
    let kind = parameter.kind.trim_start_matches("const ");
    kind == "char *" || kind == "void *" && !matches!(parameter.name.as_str(), "logits" | "memory")
}

/// Whether the header says that this parameter may be NULL: a sentence with its name and the word, at the function or at one
/// that it names.
fn may_be_null(functions: &[Function], function: &Function, parameter: &Parameter) -> bool {
    let is_named = |other: &&Function| {
        let mut words = function.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        other.name == function.name || words.any(|word| word == other.name)
    };
    functions.iter().filter(is_named).any(|function| says_null(function, parameter))
}

fn says_null(function: &Function, parameter: &Parameter) -> bool {
    let sentences = function.text.split(['.', ';', ':']).filter(|sentence| sentence.contains("NULL"));
    let is_name = |word: &str| word == parameter.name;
    sentences.into_iter().any(|sentence| {
        sentence.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_name) && !sentence.contains("ERR_NULL")
    })
}

/// The functions of the header, in order.
fn functions(header: &str) -> Vec<Function> {
    let (mut found, mut text, mut declaration) = (Vec::new(), String::new(), String::new());
    // Past the heading, whose example calls functions.
    let (_, declarations) = header.split_once("#define ARGPICK_H").expect("its guard");
    for line in declarations.lines() {
        if let Some(comment) = line.strip_prefix("//") {
            let _ = writeln!(text, "{comment}");
            continue;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            text.clear();
            declaration.clear();
            continue;
        }
        let _ = write!(declaration, "{} ", line.trim());
        if !line.trim_end().ends_with(';') {
            continue;
        }
        if let Some(function) = function(&declaration, &text) {
            found.push(function);
        }
        text.clear();
        declaration.clear();
    }
    found
}

fn function(declaration: &str, text: &str) -> Option<Function> {
    let (head, rest) = declaration.split_once('(')?;
    let list = rest.split_once(");")?.0;
    let (answer, name) = head.rsplit_once([' ', '*'])?;
    if !name.starts_with("argpick_") || head.contains("typedef") {
        return None;
    }
    let parameter = |text: &str| {
        let text = text.trim();
        let start = text.rfind([' ', '*']).map_or(0, |at| at + 1);
        Parameter { kind: text[..start].trim().to_owned(), name: text[start..].to_owned() }
    };
    let parameters = if list == "void" { Vec::new() } else { list.split(',').map(parameter).collect() };
    Some(Function {
        name: name.to_owned(),
        answers_status: answer.trim() == "argpick_status",
        parameters,
        text: text.to_owned(),
    })
}

/// The growing structs and their released sizes, from the source: `config`, `72, 208`.
fn released(sources: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(sources).expect("src/capi") {
        let source = std::fs::read_to_string(entry.expect("an entry").path()).expect("a source file");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for part in source.split("unsafe impl Growing for argpick_").skip(1) {
            let name = part.split_whitespace().next().expect("a name").to_owned();
            let list = part.split_once("const RELEASED: &'static [u32] = &[").expect("its sizes").1;
            let list =
                list.split_once("];").expect("their end").0.replace("size_of::<usize>() as u32", "sizeof(size_t)");
            found.push((name, list));
        }
    }
    found.sort();
    found
}

/// The program.
pub fn program(root: &Path) -> String {
    let header = std::fs::read_to_string(root.join("include/argpick.h")).expect("the header");
    let functions = functions(&header);
    let listed = std::fs::read_to_string(root.join("include/argpick.symbols")).expect("the list of symbols");
    let listed = listed.lines().filter(|line| line.starts_with("argpick_")).count();
    assert_eq!(functions.len(), listed, "the functions of the header, and of the list of symbols");
    let growing = released(&root.join("src/capi"));
    assert!(growing.len() > 12, "only {} growing structs", growing.len());

    let mut out =
        String::from("/* Made by tests/support/every_function.rs from the header. */\n#include \"every.h\"\n\n");
    for (name, sizes) in &growing {
        let _ = writeln!(out, "static const uint32_t sizes_of_{name}[] = {{{sizes}}};");
    }
    out += "\nint main(void) {\n";
    for function in &functions {
        let values: Vec<String> =
            function.parameters.iter().map(|parameter| value_of(&function.name, parameter)).collect();
        let call = |values: &[String]| format!("{}({})", function.name, values.join(", "));
        let with = |at: usize, value: &str| {
            let mut values = values.clone();
            values[at] = value.to_owned();
            call(&values)
        };
        let is_pointer = |parameter: &&Parameter| parameter.kind.contains('*');
        if !function.answers_status {
            // It cannot fail: NULL is allowed, and does nothing.
            let nothing: Vec<String> = (function.parameters.iter().zip(&values))
                .map(|(parameter, value)| if is_pointer(&parameter) { "NULL".to_owned() } else { value.clone() })
                .collect();
            let _ = writeln!(out, "  HARMLESS({});", call(&nothing));
            continue;
        }
        // Without any of what follows it succeeds, so that it is refused for nothing else. There is no such folder.
        let expected = match function.name.as_str() {
            "argpick_weights_open" | "argpick_weights_save" => "ARGPICK_ERR_FILE",
            _ => "ARGPICK_OK",
        };
        let _ = writeln!(out, "  TAKES({expected}, {});", call(&values));
        let nothing: Vec<String> = (function.parameters.iter().zip(&values))
            .map(|(parameter, value)| if is_pointer(&parameter) { "NULL".to_owned() } else { value.clone() })
            .collect();
        let _ = writeln!(out, "  SURVIVES({});", call(&nothing));
        for (at, parameter) in function.parameters.iter().enumerate() {
            if !is_pointer(&parameter) {
                continue;
            }
            let Parameter { name, kind } = parameter;
            // The elements of this one are told about by the name of their type.
            let name = if name == "picks" { "pick" } else { name };
            let check = if may_be_null(&functions, function, parameter) { "SURVIVES" } else { "REFUSES_NULL" };
            match check {
                "SURVIVES" => drop(writeln!(out, "  SURVIVES({});", with(at, "NULL"))),
                _ => drop(writeln!(out, "  REFUSES_NULL({name:?}, {});", with(at, "NULL"))),
            }
            if !is_bytes(parameter) {
                let odd = format!("({kind})odd({})", values[at]);
                let _ = writeln!(out, "  REFUSES_ODD({name:?}, {});", with(at, &odd));
            }
            let Some(of) = struct_of(kind).filter(|_| kind.matches('*').count() == 1) else { continue };
            let sized = function.parameters.iter().any(|parameter| parameter.name == "struct_size");
            if sized || !growing.iter().any(|(growing, _)| growing == of) {
                continue;
            }
            let block = format!("({kind})block");
            let _ = writeln!(out, "  SIZES({of}, {}, {});", with(at, &block), call(&values));
        }
    }
    out += "  printf(\"%d calls of every function: passed\\n\", calls);\n  return 0;\n}\n";
    out
}
