//! The C ABI from C: the programs in `tests/capi` and the example, linked with the static library, plain, under
//! AddressSanitizer with UndefinedBehaviorSanitizer, and under valgrind; and the exported names of the shared library.
//!
//! The libraries are built here, from `bindings/c`, with the function that panics on purpose. What this machine cannot try
//! is printed as skipped.

#[path = "support/every_function.rs"]
mod every_function;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs in `tests/capi`.
const PROGRAMS: &[&str] = &[
    "version",
    "config",
    "older",
    "decoder",
    "lists",
    "batch",
    "cuda",
    "beam",
    "sweep",
    "weights",
    "trace",
    "null",
    "every",
    "bad_input",
    "no_heap",
    "speculative",
    "threads",
    "conformance",
];

/// What a static library of Rust needs from the system.
const SYSTEM: &[&str] = &["-lpthread", "-ldl", "-lm"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}", output.status);
    printed
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A compiler of this name, or a line that says it was skipped.
fn compiler(name: &'static str) -> Option<&'static str> {
    if cfg!(unix) && is_here(name) {
        return Some(name);
    }
    println!("skipped: {name} is not here");
    None
}

/// The folder with `libargpick.a` and `libargpick.so`.
fn libraries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
        // Assertions stay on; without any optimisation valgrind would take minutes.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--offline", "--package", "argpick-c", "--features", "test-hooks"]);
        cargo.current_dir(root()).arg("--target-dir").arg(&target);
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        cargo.env_remove("RUSTFLAGS");
        run(&mut cargo);
        target.join("debug")
    })
}

/// A folder for this test's programs.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi_programs").join(name);
    fs::create_dir_all(&folder).expect("a folder below target");
    folder
}

/// Compiles a program with the static library.
fn compile(compiler: &str, standard: &str, source: &Path, program: &Path, flags: &[&str]) {
    let mut command = Command::new(compiler);
    command.args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).args(flags);
    command.arg("-I").arg(root().join("include")).arg("-I").arg(root().join("tests/capi"));
    if fs::read_to_string(source).expect("the source").contains("__wrap_malloc") {
        // Names with two underscores are the linker's here.
        command.args(["-Wno-reserved-identifier", "-Wno-unknown-warning-option"]);
        for function in ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"] {
            command.arg(format!("-Wl,--wrap={function}"));
        }
    }
    if source.ends_with("older.c") {
        command.arg(format!("-DARGPICK_TEST_CONFIG_SIZES={}", released("config.rs")));
        command.arg(format!("-DARGPICK_TEST_PICK_SIZES={}", released("pick.rs")));
    }
    command.arg(source).arg(libraries().join("libargpick.a")).args(SYSTEM).arg("-o").arg(program);
    run(&mut command);
}

/// The sizes of a growing struct that were released, as its source lists them: "72, 208".
fn released(file: &str) -> String {
    let source = fs::read_to_string(root().join("src/capi").join(file)).expect("the source");
    let list = source.split_once("const RELEASED: &'static [u32] = &[").expect("a list of released sizes").1;
    list.split_once(']').expect("its end").0.to_owned()
}

fn source_of(name: &str) -> PathBuf {
    if name == "every" {
        // Made from the header.
        static MADE: OnceLock<PathBuf> = OnceLock::new();
        let make = || {
            let path = folder("made").join("every.c");
            fs::write(&path, every_function::program(root())).expect("a file below target");
            path
        };
        return MADE.get_or_init(make).clone();
    }
    root().join("tests/capi").join(name).with_extension("c")
}

/// The standard a test is written in: those with threads or atomics need C11.
fn standard_of(name: &str) -> &'static str {
    if name == "threads" { "-std=c11" } else { "-std=c99" }
}

/// Runs a compiled program, behind `runner` if there is one.
fn execute(program: &Path, runner: &[&str], variables: &[(&str, &str)]) -> String {
    let writable = program.with_extension("files");
    fs::create_dir_all(&writable).expect("a folder below target");
    let mut command = match runner {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    if program.file_name().is_some_and(|name| name == "weights") {
        command.arg(&writable);
    }
    if program.file_name().is_some_and(|name| name == "conformance") {
        // One line of so many: a program that is watched is slow.
        let lines = match (runner, variables) {
            ([], [("ASAN_OPTIONS", _)]) => "8",
            ([], _) => "1",
            _ => "64",
        };
        command.arg(root().join("tests/golden")).arg(lines);
    }
    command.env_remove("ARGPICK_KERNEL").envs(variables.iter().copied());
    let printed = run(&mut command);
    fs::remove_dir_all(&writable).expect("the folder made above");
    printed
}

#[test]
fn every_program_is_in_the_list() {
    for entry in fs::read_dir(root().join("tests/capi")).expect("tests/capi") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            assert!(PROGRAMS.contains(&name), "{name}.c is not in the list of PROGRAMS");
        }
    }
}

#[test]
fn the_header_compiles_without_a_warning() {
    let include = root().join("include");
    let source = folder("header").join("header.c");
    fs::write(&source, "#include \"argpick.h\"\n#include \"argpick.h\"\nint main(void) { return 0; }\n")
        .expect("a file");
    let mut tried = 0;
    for (name, language, standards) in [
        ("gcc", "c", &["-std=c99", "-std=c11"][..]),
        ("clang", "c", &["-std=c99", "-std=c11"]),
        ("g++", "c++", &["-std=c++17"]),
        ("clang++", "c++", &["-std=c++17"]),
    ] {
        let Some(compiler) = compiler(name) else { continue };
        for standard in standards {
            let mut command = Command::new(compiler);
            command.args(["-x", language, standard, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
            run(command.arg("-I").arg(&include).arg(&source));
            tried += 1;
        }
    }
    println!("the header compiled {tried} times");
}

#[test]
fn the_programs_pass() {
    for (name, first) in [("gcc", true), ("clang", false)] {
        let Some(compiler) = compiler(name) else { continue };
        let folder = folder(name);
        for program in PROGRAMS {
            let binary = folder.join(program);
            compile(compiler, standard_of(program), &source_of(program), &binary, &[]);
            print!("{}", execute(&binary, &[], &[("ARGPICK_TEST_SECCOMP", "1")]));
        }
        if !first {
            continue;
        }
        // Every kernel level of this processor picks the same tokens.
        let binary = folder.join("decode");
        compile(compiler, "-std=c99", &root().join("examples/decode.c"), &binary, &[]);
        let tokens = |level: &str| {
            let printed = execute(&binary, &[], &[("ARGPICK_KERNEL", level)]);
            let (head, rest) = printed.split_once('\n').expect("a first line");
            assert!(level.is_empty() || head.ends_with(level), "{head}");
            rest.to_owned()
        };
        let expected = tokens("");
        assert_eq!(expected.lines().count(), 4, "{expected}");
        assert_eq!(tokens("scalar"), expected);
        assert_eq!(tokens("portable"), expected);
        let refused = Command::new(&binary).env("ARGPICK_KERNEL", "abacus").output().expect("the example runs");
        assert!(!refused.status.success() && text(&refused.stderr).contains("ARGPICK_KERNEL"), "{refused:?}");
    }
}

/// The reader of the golden files fails where one expectation is wrong, or where a case says what it does not read.
#[test]
fn the_conformance_program_fails_on_a_broken_case() {
    let Some(compiler) = compiler("gcc") else { return };
    let folder = folder("broken");
    let binary = folder.join("conformance");
    compile(compiler, "-std=c99", &source_of("conformance"), &binary, &[]);
    let golden = |name: &str| fs::read_to_string(root().join("tests/golden").join(name)).expect("a golden file");
    let files = ["huggingface.jsonl", "llama_cpp.jsonl", "vllm.jsonl"].map(|name| (name, golden(name)));
    // One line in 64, of which the first, which is changed here.
    let tried = |change: &dyn Fn(&str) -> String| {
        for (name, text) in &files {
            let (first, rest) = text.split_once('\n').expect("lines");
            let first = if name.starts_with("vllm") { change(first) } else { first.to_owned() };
            fs::write(folder.join(name), format!("{first}\n{rest}")).expect("a file");
        }
        let output = Command::new(&binary).arg(&folder).arg("64").output().expect("the program runs");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let replaced = |from: &'static str, to: &'static str| {
        move |line: &str| {
            assert!(line.contains(from), "{from} is not in {line}");
            line.replacen(from, to, 1)
        }
    };
    let (passes, printed) = tried(&str::to_owned);
    assert!(passes, "{printed}");
    for (change, said) in [
        (replaced("\"kept\":[", "\"kept\":[3,"), "keeps another number"),
        (replaced("\"probabilities\":[", "\"probabilities\":[0.98,"), "another probability"),
        (replaced("\"token\":", "\"token\":1"), "another token at temperature 0"),
        (replaced("\"expect\":{", "\"expect\":{\"watermark\":1,"), "nobody reads: watermark"),
        (replaced("\"params\":{", "\"params\":{\"watermark\":1,"), "not so: known"),
        (replaced("\"stages\"", "\"watermark\":1,\"stages\""), "nobody reads: watermark"),
    ] {
        let (passes, printed) = tried(&change);
        assert!(!passes && printed.contains(said), "{said}: {printed}");
    }
}

#[test]
fn the_programs_pass_under_sanitizers() {
    let Some(compiler) = compiler("gcc") else { return };
    let folder = folder("sanitized");
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
    let probe = folder.join("probe.c");
    fs::write(&probe, "int main(void) { return 0; }\n").expect("a file");
    let probed = Command::new(compiler).args(flags).arg(&probe).arg("-o").arg(folder.join("probe")).output();
    if !probed.is_ok_and(|output| output.status.success()) {
        println!("skipped: {compiler} has no sanitizers here");
        return;
    }
    for program in PROGRAMS {
        let binary = folder.join(program);
        compile(compiler, standard_of(program), &source_of(program), &binary, &flags);
        // The sanitizers are in the binary, and only in this one.
        let symbols = run(Command::new("nm").arg(&binary));
        for needed in ["__asan_init", "__ubsan_handle"] {
            assert!(symbols.contains(needed), "{program}: no {needed} in the binary");
        }
        print!("{}", execute(&binary, &[], &[("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")]));
    }
    // They see what they must: a program that writes past its row is stopped.
    let bad = folder.join("bad.c");
    let code = "#include \"check.h\"\nint main(void) {\n  float *row = malloc(4 * sizeof *row);\n  fill_row(row, 5, 1);\n  \
                free(row);\n  return 0;\n}\n";
    fs::write(&bad, code).expect("a file");
    compile(compiler, "-std=c99", &bad, &folder.join("bad"), &flags);
    let caught = Command::new(folder.join("bad")).output().expect("the program runs");
    let report = text(&caught.stderr);
    let seen = report.contains("AddressSanitizer") || report.contains("runtime error");
    assert!(!caught.status.success() && seen, "{report}");
    let plain = folder.join("plain");
    compile(compiler, "-std=c99", &source_of("version"), &plain, &[]);
    assert!(!run(Command::new("nm").arg(&plain)).contains("__asan"), "the sanitizer is in a plain binary");
}

#[test]
fn the_programs_pass_under_valgrind() {
    let Some(compiler) = compiler("gcc") else { return };
    if !is_here("valgrind") {
        println!("skipped: valgrind is not here");
        return;
    }
    let folder = folder("valgrind");
    let runner =
        ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,possible"];
    for program in PROGRAMS {
        let binary = folder.join(program);
        compile(compiler, standard_of(program), &source_of(program), &binary, &[]);
        print!("{}", execute(&binary, &runner, &[]));
    }
}

#[test]
fn the_shared_library_exports_what_is_listed() {
    if !cfg!(target_os = "linux") || !is_here("nm") || !is_here("readelf") {
        println!("skipped: nm and readelf are not here, or this is not Linux");
        return;
    }
    let library = libraries().join("libargpick.so");
    let printed = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let exported: BTreeSet<&str> = printed.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let list = fs::read_to_string(root().join("include/argpick.symbols")).expect("the symbol list");
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or("")).filter(|line| !line.trim().is_empty());
    let mut listed: BTreeSet<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    // Only in this build, see above.
    listed.insert("argpick_test_panic");
    let missing: Vec<_> = listed.difference(&exported).collect();
    let surplus: Vec<_> = exported.difference(&listed).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "not exported: {missing:?}; not listed: {surplus:?}");
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("[libargpick.so.0]"), "no SONAME libargpick.so.0:\n{dynamic}");
}
