//! The sampler for llama.cpp (`bindings/llama.cpp`), compiled against llama.cpp's own headers where this machine has them.
//!
//! Headers are looked for in `ARGPICK_LLAMA_SOURCE` (a source tree of llama.cpp) and in the sources that cargo has fetched for
//! `benches/peers`. With `ARGPICK_LLAMA_LIBRARY` (a folder with the libllama of that tree) the chains are run, too.
//! What is missing is printed as skipped; `tests/real_models.sh` has everything.
#![cfg(all(feature = "capi", unix))]

use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = "bindings/llama.cpp/argpick_llama.hpp";
const PROGRAMS: [&str; 3] = [
    "bindings/llama.cpp/tests/chain.cpp",
    "bindings/llama.cpp/tests/model.cpp",
    "bindings/llama.cpp/examples/generate.cpp",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of llama.cpp, from the environment or from cargo's registry.
fn sources() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ARGPICK_LLAMA_SOURCE") {
        let named = PathBuf::from(named);
        assert!(
            named.join("include/llama.h").is_file(),
            "ARGPICK_LLAMA_SOURCE has no include/llama.h: {}",
            named.display()
        );
        return Some(named);
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cargo"))
    })?;
    let registries = home.join("registry/src").read_dir().ok()?;
    let crates = registries.flatten().filter_map(|registry| registry.path().read_dir().ok()).flatten().flatten();
    let mut found: Vec<_> = crates
        .filter(|krate| krate.file_name().to_string_lossy().starts_with("llama-cpp-sys-2-"))
        .map(|krate| krate.path().join("llama.cpp"))
        .filter(|tree| tree.join("include/llama.h").is_file())
        .collect();
    found.sort();
    found.pop()
}

fn compiler(name: &str, standard: &str, sources: &Path) -> Command {
    let mut command = Command::new(name);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).current_dir(root()).arg("-Iinclude");
    for headers in ["include", "ggml/include"] {
        command.arg("-isystem").arg(sources.join(headers));
    }
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
}

fn compilers() -> Vec<&'static str> {
    let is_here = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["g++", "clang++"].into_iter().filter(is_here).collect()
}

#[test]
fn the_header_compiles_against_llama_cpp() {
    let Some(sources) = sources() else {
        println!("skipped: {HEADER}: there is no llama.h here (ARGPICK_LLAMA_SOURCE)");
        return;
    };
    for name in compilers() {
        for program in PROGRAMS {
            run(compiler(name, "-std=c++17", &sources).args(["-fsyntax-only", program]));
        }
        run(compiler(name, "-std=c++20", &sources).args(["-fsyntax-only", PROGRAMS[0]]));
        // Without exceptions: hosts of llama.cpp may be built so.
        run(compiler(name, "-std=c++17", &sources).args(["-fno-exceptions", "-fsyntax-only", PROGRAMS[0]]));
    }
}

#[test]
fn argpick_in_chains_answers_as_the_decoder_does() {
    let (Some(sources), Some(libraries)) = (sources(), std::env::var_os("ARGPICK_LLAMA_LIBRARY")) else {
        println!("skipped: bindings/llama.cpp/tests/chain.cpp: there is no libllama here (ARGPICK_LLAMA_LIBRARY)");
        return;
    };
    let target = std::env::current_exe().expect("this test is a file");
    let target = target.ancestors().nth(3).expect("a target folder").to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--profile", "library", "-p", "argpick-c", "--target-dir"]);
    run(cargo.current_dir(root()).arg(&target));
    let program = target.join("llama_chain");
    let mut link = compiler("c++", "-std=c++17", &sources);
    let has_copy =
        std::fs::read_to_string(sources.join("include/llama.h")).is_ok_and(|text| text.contains("llama_sampler_copy"));
    if has_copy {
        link.arg("-DARGPICK_TEST_HAS_COPY");
    }
    link.args(["-O1", PROGRAMS[0]]).arg(target.join("library/libargpick.a")).arg("-L").arg(&libraries);
    link.args(["-lllama", "-lggml", "-lggml-base", "-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
    run(link.arg(format!("-Wl,-rpath,{}", Path::new(&libraries).display())));
    run(&mut Command::new(program));
}
