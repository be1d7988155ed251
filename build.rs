//! With the feature `cuda`: compiles `cuda/*.cu` with nvcc into a static library and links it with CUDA's static runtime.
//! Without the feature this does nothing. It never writes outside `OUT_DIR`.
//!
//! What it asks of the environment:
//! - `CUDA_HOME`: the folder with `bin/nvcc`. Without it: the nvcc in PATH, NVIDIA's wheels in the Python of `VIRTUAL_ENV`
//!   or of PATH, `/usr/local/cuda`, in this order.
//! - `ARGPICK_CUDA_ARCHS`: the architectures to compile for, separated by commas or blanks, in place of all ("90": quicker,
//!   for one machine).
//! - `ARGPICK_CUDA_HOST=1`: compiles the same code for the CPU (`cuda/host`), for tests on a machine without a GPU. "Device"
//!   memory is the host's then. It is slow, not for threads, and never for a release.
//! - `ARGPICK_CUDA_CHECK_ONLY=1`: compiles nothing for the device. Rust's checks and documentation need no nvcc then; what
//!   links will fail to. clippy and docs.rs have it so without asking.
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// What is compiled if nobody says otherwise: the A100, the H100 and H200, the B200 and the GeForce 50 series. Others of the
/// same generation run them too.
const ARCHITECTURES: &str = "80,90,100,120";

/// Where nobody else's code fits, the driver compiles this.
const PTX: &str = "80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(argpick_cuda_host)");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in [
        "CUDA_HOME",
        "PATH",
        "VIRTUAL_ENV",
        "NVCC_CCBIN",
        "ARGPICK_CUDA_ARCHS",
        "ARGPICK_CUDA_CHECK_ONLY",
        "ARGPICK_CUDA_HOST",
        "CXX",
        "RUSTC_WORKSPACE_WRAPPER",
        "DOCS_RS",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if is_on("ARGPICK_CUDA_HOST") {
        println!("cargo::rustc-cfg=argpick_cuda_host");
    }
    if only_checked() {
        return;
    }
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("cuda");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rustc-link-search=native={}", out.display());
    // An archive is added to, not written anew.
    let _ = std::fs::remove_file(out.join(LIBRARY));
    if is_on("ARGPICK_CUDA_HOST") {
        build_for_host(&folder, &out);
    } else {
        build(&folder, &out);
    }
}

const LIBRARY: &str = "libargpick_cuda.a";

fn is_on(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| value == "1")
}

/// Whether nothing will be linked: documentation, lints, or because somebody says so.
fn only_checked() -> bool {
    let is_clippy = |wrapper: std::ffi::OsString| wrapper.to_string_lossy().contains("clippy-driver");
    is_on("ARGPICK_CUDA_CHECK_ONLY")
        || env::var_os("DOCS_RS").is_some()
        || env::var_os("RUSTC_WORKSPACE_WRAPPER").is_some_and(is_clippy)
}

/// The files with code in a folder.
fn sources(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let mut sources: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    sources.sort();
    sources
}

fn build(folder: &Path, out: &Path) {
    let (target, host) = (variable("TARGET"), variable("HOST"));
    if target != host || variable("CARGO_CFG_TARGET_OS") != "linux" {
        fail(&format!("the feature `cuda` is built on Linux for the same machine; here {target} is built on {host}"));
    }
    let toolkit = find();
    let mut nvcc = Command::new(&toolkit.nvcc);
    nvcc.args(["-lib", "-std=c++17", "-O3", "-cudart", "none"]);
    // The rules of the numbers: no operation is fused with another, nothing is flushed to zero, divisions and roots are IEEE's.
    nvcc.args(["--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"]);
    // The host's part: nothing of it is exported from a library that holds it.
    nvcc.args(["-Xcompiler", "-fPIC,-fvisibility=hidden,-ffp-contract=off"]);
    nvcc.arg(format!("--threads={}", env::var("NUM_JOBS").unwrap_or_else(|_| "1".into())));
    nvcc.args(code(&toolkit)).arg("-I").arg(folder).args(sources(folder, "cu")).arg("-o").arg(out.join(LIBRARY));
    run(&mut nvcc);

    println!("cargo::rustc-link-search=native={}", toolkit.libraries.display());
    // In the order in which they need each other.
    println!("cargo::rustc-link-lib=static=argpick_cuda");
    println!("cargo::rustc-link-lib=static=cudart_static");
    // What the runtime itself stands on; all but the last are part of newer C libraries. The last: the guards of nvcc's
    // own local statics.
    for name in ["dl", "rt", "pthread", "stdc++"] {
        println!("cargo::rustc-link-lib=dylib={name}");
    }
}

/// The same code as C++, its blocks and threads run by fibers.
fn build_for_host(folder: &Path, out: &Path) {
    println!("cargo::warning=ARGPICK_CUDA_HOST: the CUDA path runs on the CPU; for tests only");
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut objects = Vec::new();
    for source in sources(folder, "cu").into_iter().chain([folder.join("host/shim.cpp")]) {
        let object = out.join(source.file_name().unwrap_or_default()).with_extension("host.o");
        let mut command = Command::new(&compiler);
        command.args(["-x", "c++", "-std=c++17", "-O2", "-g", "-fPIC", "-ffp-contract=off", "-c", "-I"]).arg(folder);
        run(command.arg(&source).arg("-o").arg(&object));
        objects.push(object);
    }
    run(Command::new("ar").arg("crs").arg(out.join(LIBRARY)).args(&objects));
    println!("cargo::rustc-link-lib=static=argpick_cuda");
    println!("cargo::rustc-link-lib=dylib=stdc++");
}

/// The options that say which processors to compile for.
fn code(toolkit: &Toolkit) -> Vec<String> {
    let known = run(Command::new(&toolkit.nvcc).arg("--list-gpu-code"));
    let known: Vec<&str> = known.split_whitespace().filter_map(|name| name.strip_prefix("sm_")).collect();
    let asked = env::var("ARGPICK_CUDA_ARCHS").ok().filter(|value| !value.trim().is_empty());
    let wanted = asked.as_deref().unwrap_or(ARCHITECTURES);
    let mut options = Vec::new();
    for name in wanted.split([',', ' ', ';']).filter(|name| !name.is_empty()) {
        let name = name.trim_start_matches("sm_");
        if known.contains(&name) {
            options.push(format!("-gencode=arch=compute_{name},code=sm_{name}"));
        } else if asked.is_some() {
            fail(&format!("ARGPICK_CUDA_ARCHS: {} knows no sm_{name}, only {known:?}", toolkit.nvcc.display()));
        } else {
            println!("cargo::warning={} knows no sm_{name}: such a GPU will compile PTX", toolkit.nvcc.display());
        }
    }
    if options.is_empty() {
        fail(&format!("{} knows none of the architectures {wanted}", toolkit.nvcc.display()));
    }
    if asked.is_none() {
        options.push(format!("-gencode=arch=compute_{PTX},code=compute_{PTX}"));
    }
    options
}

struct Toolkit {
    nvcc: PathBuf,
    /// The folder with `libcudart_static.a`.
    libraries: PathBuf,
}

/// The first complete toolkit. A `CUDA_HOME` that has none is an error, not a hint.
fn find() -> Toolkit {
    if let Some(home) = env::var_os("CUDA_HOME").filter(|home| !home.is_empty()) {
        let home = PathBuf::from(home);
        return toolkit_at(&home)
            .unwrap_or_else(|missing| fail(&format!("CUDA_HOME is {}: {missing}", home.display())));
    }
    let mut tried = Vec::new();
    for home in in_path().into_iter().chain(in_wheels()).chain([PathBuf::from("/usr/local/cuda")]) {
        match toolkit_at(&home) {
            Ok(toolkit) => return toolkit,
            Err(missing) => tried.push(format!("{}: {missing}", home.display())),
        }
    }
    fail(&format!(
        "the feature `cuda` needs nvcc, and there is none here. Either\n\
         - set CUDA_HOME to a CUDA toolkit (12.8 or newer), or put its nvcc into PATH; or\n\
         - python3 -m venv VENV && VENV/bin/pip install --no-deps nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-crt \
         nvidia-nvvm nvidia-cuda-cccl\n  and build with VIRTUAL_ENV=VENV (no GPU and no driver are needed to build); or\n\
         - build without the feature: everything but the GPU works the same; or\n\
         - for `cargo check` and `cargo doc` alone, set ARGPICK_CUDA_CHECK_ONLY=1.\n\
         Tried: {}",
        tried.join("; ")
    ))
}

/// The toolkit in a folder, or what it lacks.
fn toolkit_at(home: &Path) -> Result<Toolkit, String> {
    let nvcc = home.join("bin/nvcc");
    if !nvcc.is_file() {
        return Err("no bin/nvcc".into());
    }
    // NVIDIA's packages, its wheels, and Debian's package.
    let machine = variable("CARGO_CFG_TARGET_ARCH");
    let folders = [
        "lib64".to_owned(),
        "lib".to_owned(),
        format!("targets/{machine}-linux/lib"),
        "targets/sbsa-linux/lib".to_owned(),
        format!("lib/{machine}-linux-gnu"),
    ];
    let libraries = folders.iter().map(|folder| home.join(folder));
    match libraries.into_iter().find(|folder| folder.join("libcudart_static.a").is_file()) {
        Some(libraries) => Ok(Toolkit { nvcc, libraries }),
        None => Err(format!("no libcudart_static.a in any of {folders:?} (wheel nvidia-cuda-runtime)")),
    }
}

/// The folder above the nvcc in PATH, which may be a link, or a link to a script elsewhere.
fn in_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let Some(nvcc) = env::split_paths(&path).map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file()) else {
        return Vec::new();
    };
    let real = nvcc.canonicalize().unwrap_or_else(|_| nvcc.clone());
    [nvcc, real].iter().filter_map(|nvcc| Some(nvcc.parent()?.parent()?.to_owned())).collect()
}

/// The folders `nvidia/cu*` of Python's packages: that of the virtual environment first.
fn in_wheels() -> Vec<PathBuf> {
    // The namespace may be spread over the user's packages and the system's.
    const ASK: &str = "import importlib.util as u; s = u.find_spec('nvidia'); \
                       print('\\n'.join(s.submodule_search_locations or []) if s else '')";
    let mut found = Vec::new();
    let environment = env::var_os("VIRTUAL_ENV").map(|home| Path::new(&home).join("bin/python3"));
    for python in environment.into_iter().chain([PathBuf::from("python3")]) {
        let Ok(answer) = Command::new(python).args(["-c", ASK]).output() else { continue };
        for folder in String::from_utf8_lossy(&answer.stdout).lines().filter(|line| !line.is_empty()) {
            let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let is_toolkit = |path: &PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cu"))
                    && path.join("bin/nvcc").is_file()
            };
            let mut homes: Vec<PathBuf> = entries.filter(is_toolkit).collect();
            // The newest first.
            homes.sort();
            found.extend(homes.into_iter().rev());
        }
    }
    found
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

/// What a command prints; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| fail(&format!("{command:?}: {error}")));
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        fail(&format!("{command:?}: {}\n{out}{err}", output.status));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    // Each line on its own, or cargo shows the first only.
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
