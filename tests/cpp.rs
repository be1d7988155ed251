//! The hosts that link the C libraries: C++ (`bindings/cpp`), Lua (`bindings/lua`) and C# (`bindings/csharp`), compiled and
//! run with what this machine has. What it lacks is printed as skipped.
//!
//! The libraries are those that hosts link, as `bindings/c/install.sh` builds them.
#![cfg(all(feature = "capi", unix))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const STANDARDS: [&str; 2] = ["-std=c++17", "-std=c++20"];
/// The C++ headers, which are installed together.
const HEADERS: [&str; 5] =
    ["argpick.hpp", "argpick_beam.hpp", "argpick_cuda.hpp", "argpick_trace.hpp", "argpick_values.hpp"];
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a program is on the path.
fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether all of these programs are here; says so if not.
fn needs(programs: &[&str], what: &str) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !have(program)).collect();
    if !missing.is_empty() {
        println!("skipped: {what}: there is no {missing:?} here");
    }
    missing.is_empty()
}

/// The C++ compilers that are here.
fn compilers() -> Vec<&'static str> {
    let (here, missing): (Vec<_>, Vec<_>) = ["g++", "clang++"].into_iter().partition(|compiler| have(compiler));
    for compiler in missing {
        println!("skipped: C++ with {compiler}, which is not here");
    }
    here
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed, with the kernels that the machine offers unless the command says otherwise.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

fn stdout(command: &mut Command) -> String {
    text(&run(command).stdout)
}

/// Where cargo builds for this test.
fn target() -> PathBuf {
    let here = std::env::current_exe().expect("this test is a file");
    // target/PROFILE/deps/cpp-...
    here.ancestors().nth(3).expect("a target folder").to_owned()
}

/// The folder with libargpick.a and libargpick.so, built if need be.
fn libraries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--profile", "library", "-p", "argpick-c", "--target-dir"]);
        run(cargo.current_dir(root()).arg(target()));
        target().join("library")
    })
}

/// A program built from sources under `bindings/cpp`, linked with the static library.
fn build(compiler: &str, options: &[&str], sources: &[&str], program: &Path) {
    let mut command = Command::new(compiler);
    command.args(options).args(WARNINGS).arg("-I").arg(root().join("include"));
    command.args(sources.iter().map(|source| root().join("bindings/cpp").join(source)));
    command.arg(libraries().join("libargpick.a")).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(program);
    run(&mut command);
}

/// A command with the kernels of one level; "" lets the library choose.
fn on_level(program: &Path, level: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("ARGPICK_KERNEL");
    if !level.is_empty() {
        command.env("ARGPICK_KERNEL", level);
    }
    command
}

#[test]
fn cpp_wraps_every_function_of_the_abi() {
    let cpp: String = HEADERS.iter().map(|name| read(Path::new("bindings/cpp").join(name))).collect();
    let words: BTreeSet<&str> = cpp.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let symbols = read("include/argpick.symbols");
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split('#').next().and_then(|line| line.split_whitespace().next()))
        .collect();
    assert!(names.len() > 40, "only {} functions are listed", names.len());
    let missing: Vec<_> = names.iter().filter(|name| !words.contains(**name)).collect();
    assert!(missing.is_empty(), "the C++ headers do not call {missing:?}");
}

#[test]
fn cpp_compiles_and_runs_both_ways_under_sanitizers() {
    let folder = tempfile::tempdir().expect("a folder");
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"];
    let probe = folder.path().join("probe.cpp");
    fs::write(&probe, "int main() {}\n").expect("a file");
    for compiler in compilers() {
        let probed =
            Command::new(compiler).args(sanitizers).arg(&probe).arg("-o").arg(folder.path().join("probe")).output();
        if !probed.is_ok_and(|output| output.status.success()) {
            println!("skipped: {compiler} has no sanitizers here");
            continue;
        }
        for standard in STANDARDS {
            let program = folder.path().join("both_ways");
            let sources = ["tests/exceptions.cpp", "tests/trace.cpp", "tests/results.cpp"];
            build(compiler, &[&[standard], &sanitizers[..]].concat(), &sources, &program);
            let symbols = run(Command::new("nm").arg(&program)).stdout;
            assert!(text(&symbols).contains("__asan_init"), "{compiler}: the sanitizer is not in the program");
            run(on_level(&program, "").arg(folder.path()));

            let sources = ["tests/no_exceptions.cpp", "tests/results.cpp"];
            build(compiler, &[standard, "-O2", "-fno-exceptions"], &sources, &program);
            run(on_level(&program, "").arg(folder.path()));
        }
    }
}

/// The names of the macros that a source defines.
fn macros(compiler: &str, standard: &str, source: &str, folder: &Path) -> BTreeSet<String> {
    let file = folder.join("macros.cpp");
    fs::write(&file, source).expect("a file");
    let mut command = Command::new(compiler);
    command.args([standard, "-dM", "-E", "-I"]).arg(root().join("include")).arg("-I").arg(root().join("bindings/cpp"));
    let defined = stdout(command.arg(file));
    defined.lines().filter_map(|line| line.split([' ', '(']).nth(1)).map(str::to_owned).collect()
}

#[test]
fn cpp_leaks_no_macro() {
    let folder = tempfile::tempdir().expect("a folder");
    let headers = HEADERS.map(|name| read(Path::new("bindings/cpp").join(name)));
    let includes = headers.iter().flat_map(|header| header.lines()).filter(|line| line.starts_with("#include"));
    let includes: Vec<_> = includes.filter(|line| !line.contains(".hpp")).collect();
    assert!(includes.contains(&"#include \"argpick.h\""), "{includes:?}");
    for compiler in compilers() {
        for standard in STANDARDS {
            let present = includes.iter().filter(|line| standard == "-std=c++20" || !line.contains("<span>"));
            let source: String = present.map(|line| format!("{line}\n")).collect();
            let before = macros(compiler, standard, &source, folder.path());
            assert!(before.contains("ARGPICK_OK"));
            let after = macros(
                compiler,
                standard,
                &(source + "#include \"argpick.hpp\"\n#include \"argpick_cuda.hpp\"\n"),
                folder.path(),
            );
            let guards =
                ["ARGPICK_BEAM_HPP", "ARGPICK_CUDA_HPP", "ARGPICK_HPP", "ARGPICK_TRACE_HPP", "ARGPICK_VALUES_HPP"]
                    .map(str::to_owned)
                    .into();
            let leaked: BTreeSet<_> = after.difference(&before).cloned().collect();
            assert_eq!(leaked, guards, "{compiler} {standard}");
        }
    }
}

#[test]
fn the_trainer_learns_and_its_log_is_the_one_in_the_readme() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(compiler) = compilers().first().copied() else { return };
    let program = folder.path().join("trainer");
    build(compiler, &["-std=c++17", "-O2"], &["examples/trainer.cpp"], &program);

    let checked = stdout(on_level(&program, "").arg("--check"));
    assert_eq!(checked.lines().filter(|line| line.ends_with(": learnt")).count(), 5, "{checked}");

    let saved = folder.path().join("story.safetensors");
    let log = stdout(on_level(&program, "").arg("--save").arg(&saved));
    let same = log.lines().any(|line| line.ends_with("read back: the same bits"));
    assert!(same, "{log}");
    // The log in the README is one that was printed; the numbers are the same everywhere, whatever the kernels.
    let readme = read("bindings/cpp/README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a log");
    assert!(shown.lines().count() > 8, "the log is gone from the README");
    for line in shown.lines().filter(|line| !line.starts_with("$ ") && *line != "...") {
        assert!(log.lines().any(|printed| printed == line), "the README has {line:?}; now it is\n{log}");
    }
    let scalar = stdout(on_level(&program, "scalar").arg("--save").arg(&saved));
    assert_eq!(log, scalar, "another kernel level learns something else");

    let mut chat = on_level(&program, "");
    chat.arg("--load").arg(&saved).arg("--chat").stdin(std::process::Stdio::piped());
    let mut child = chat.stdout(std::process::Stdio::piped()).spawn().expect("the trainer starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"The ferryman\nno such word\n")
        .expect("a line");
    let said = child.wait_with_output().expect("the trainer ends");
    let said = text(&said.stdout);
    assert!(said.starts_with("> the ferryman ") && said.lines().count() == 2, "{said}");
}

#[test]
fn a_game_recorded_on_one_kernel_level_replays_on_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    for compiler in compilers() {
        let program = folder.path().join("game_loop");
        build(compiler, &["-std=c++17", "-O2", "-fno-exceptions"], &["examples/game_loop.cpp"], &program);
        let file = folder.path().join("town.game");
        let live = stdout(on_level(&program, "").arg("record").arg(&file).arg("200"));
        let recorded_on = live.split_whitespace().nth(2).expect("the log names the kernel").to_owned();
        let mut replayed = 0;
        for level in ["scalar", "portable"].into_iter().filter(|level| *level != recorded_on) {
            let log = stdout(on_level(&program, level).arg("replay").arg(&file));
            let same = log.lines().any(|line| line.starts_with("the same ") && line.contains(level));
            assert!(same, "{log}");
            if cfg!(all(target_os = "linux", target_env = "gnu")) {
                assert!(log.contains("no allocation while frames ran"), "{log}");
            }
            replayed += 1;
        }
        assert!(replayed > 0);

        // Neither the same level nor a damaged record proves anything.
        let refused = on_level(&program, &recorded_on).arg("replay").arg(&file).output().expect("it runs");
        assert!(!refused.status.success(), "a replay on the same level was taken for a proof");
        let mut bytes = fs::read(&file).expect("the record");
        let last = bytes.len() - 1;
        bytes.truncate(last);
        fs::write(&file, bytes).expect("the record");
        let refused = on_level(&program, "scalar").arg("replay").arg(&file).output().expect("it runs");
        assert!(text(&refused.stderr).contains("no record of a game"), "{refused:?}");
    }
}

/// What tests/tokens.c prints.
fn tokens_of_c(folder: &Path) -> Option<String> {
    let compiler = ["cc", "gcc", "clang"].into_iter().find(|compiler| have(compiler));
    let Some(compiler) = compiler else {
        println!("skipped: there is no C compiler here");
        return None;
    };
    let program = folder.join("tokens");
    build(compiler, &["-std=c99"], &["tests/tokens.c"], &program);
    let tokens = stdout(&mut on_level(&program, ""));
    assert_eq!(tokens.split_whitespace().count(), 24, "{tokens}");
    assert_eq!(tokens, stdout(&mut on_level(&program, "scalar")));
    Some(tokens)
}

#[test]
fn lua_decodes_from_the_header_alone_what_c_decodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(tokens) = tokens_of_c(folder.path()).filter(|_| needs(&["luajit"], "Lua")) else { return };
    let mut lua = on_level(Path::new("luajit"), "");
    lua.arg(root().join("bindings/lua/example.lua")).arg(root().join("include/argpick.h"));
    assert_eq!(stdout(lua.arg(libraries().join("libargpick.so"))), tokens);
}

#[test]
fn csharp_decodes_what_c_decodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(tokens) = tokens_of_c(folder.path()).filter(|_| needs(&["mcs", "mono"], "C#")) else { return };
    let program = folder.path().join("Example.exe");
    let source = root().join("bindings/csharp/Example.cs");
    run(Command::new("mcs").arg("-warnaserror").arg(format!("-out:{}", program.display())).arg(source));
    let mut mono = on_level(Path::new("mono"), "");
    assert_eq!(stdout(mono.arg(program).env("LD_LIBRARY_PATH", libraries())), tokens);
}

#[test]
fn cmake_builds_the_examples_and_passes_their_tests() {
    if !needs(&["cmake", "c++"], "CMake") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let built = folder.path().join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root().join("bindings/cpp")).arg("-B").arg(&built);
    configure.arg(format!("-DARGPICK_INCLUDE_DIR={}", root().join("include").display()));
    configure.arg(format!("-DARGPICK_LIBRARY={}", libraries().join("libargpick.a").display()));
    run(&mut configure);
    run(Command::new("cmake").arg("--build").arg(&built));
    let log = stdout(Command::new("ctest").arg("--output-on-failure").current_dir(&built));
    assert!(log.contains("100% tests passed") && log.contains("out of 4"), "{log}");
}

/// The first C++ block of the README as a program.
fn program_of_the_readme() -> String {
    let readme = read("bindings/cpp/README.md");
    let block = readme.split("```cpp\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let (include, body) = block.split_once('\n').expect("an include, then the rest");
    // The row is the reader's.
    let body = body.replace("row = ...;", "row(vocab);");
    format!(
        "{include}\n#include <cstdio>\nint main() {{\nconst std::uint32_t vocab = 5;\n{body}\n\
         std::printf(\"token %u\\n\", static_cast<unsigned>(pick.token));\n}}\n"
    )
}

#[test]
fn the_program_in_the_readme_builds_with_what_is_installed() {
    if !needs(&["cmake", "c++", "bash", "strip"], "the installed C++ headers") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (prefix, built, project) =
        (folder.path().join("prefix"), folder.path().join("build"), folder.path().join("project"));
    let mut install = Command::new("bash");
    install.arg(root().join("bindings/c/install.sh")).arg(&prefix);
    run(install.env("CARGO_TARGET_DIR", target()).env("CARGO", env!("CARGO")));

    // A project that adds the folder.
    fs::create_dir(&project).expect("a folder");
    fs::write(project.join("main.cpp"), program_of_the_readme()).expect("a file");
    let lists = format!(
        "cmake_minimum_required(VERSION 3.18)\nproject(reader LANGUAGES C CXX)\n\
         add_subdirectory(\"{}\" argpick)\nadd_executable(main main.cpp)\n\
         target_link_libraries(main PRIVATE argpick::cpp)\n",
        root().join("bindings/cpp").display()
    );
    fs::write(project.join("CMakeLists.txt"), lists).expect("a file");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&project).arg("-B").arg(&built);
    run(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    run(Command::new("cmake").arg("--build").arg(&built));
    let first = stdout(&mut on_level(&built.join("main"), ""));
    assert!(first.starts_with("token "), "{first}");

    // And a plain compiler with pkg-config, after the headers have been installed, too.
    run(Command::new("cmake").arg("--install").arg(&built).arg("--prefix").arg(&prefix));
    for name in HEADERS {
        assert!(prefix.join("include").join(name).is_file(), "{name} was not installed");
    }
    if needs(&["pkg-config"], "C++ by pkg-config") {
        let mut ask = Command::new("pkg-config");
        ask.args(["--cflags", "--libs", "argpick"]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        let flags = stdout(&mut ask);
        let program = folder.path().join("main");
        let mut compile = Command::new("c++");
        compile.arg("-std=c++17").arg(project.join("main.cpp")).args(flags.split_whitespace()).arg("-o").arg(&program);
        run(&mut compile);
        let mut again = on_level(&program, "");
        assert_eq!(stdout(again.env("LD_LIBRARY_PATH", prefix.join("lib"))), first);
    }
}
