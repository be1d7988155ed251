//! The sessions in README.md are what the tool prints: each ```` ```console ```` block is run and compared line by line.
//!
//! A line `[...]` in the block stands for lines left out; the name of the kernel level may differ.
#![cfg(feature = "cli")]

use std::process::Command;

const PROMPT: &str = "$ cargo run --release --features cli -- ";

/// The console blocks of README.md: the arguments, and the lines that follow.
fn sessions(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let blocks = text.split("```console\n").skip(1).map(|block| block.split("\n```").next().unwrap_or(block));
    let session = |block: &str| {
        let mut lines = block.lines();
        let command = lines.next().and_then(|line| line.strip_prefix(PROMPT)).expect("a block begins with the command");
        // Words, and text in double quotes.
        let arguments = command.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(str::to_owned).collect(),
        });
        (arguments.collect(), lines.map(str::to_owned).collect())
    };
    blocks.map(session).collect()
}

/// The line without what depends on the processor.
fn anywhere(line: &str) -> String {
    let before = line.split(", kernels ").next().unwrap_or(line);
    before.trim_end().to_owned()
}

#[test]
fn sessions_print_what_the_readme_shows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let sessions = sessions(&readme);
    assert!(sessions.len() >= 2, "README.md shows {} sessions", sessions.len());
    for (arguments, shown) in sessions {
        let output = Command::new(env!("CARGO_BIN_EXE_argpick")).args(&arguments).output().expect("the tool runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("text");
        let printed: Vec<_> = printed.lines().map(anywhere).collect();
        assert!(shown.len() > 5, "{arguments:?}: the session is empty");
        let (mut at, mut gap) = (0, false);
        for line in shown.iter().map(|line| anywhere(line)) {
            if line == "[...]" {
                gap = true;
                continue;
            }
            let found = printed[at..].iter().position(|printed| *printed == line);
            match found {
                Some(skipped) if skipped == 0 || gap => at += skipped + 1,
                _ => panic!("{arguments:?} does not print, after {at} lines:\n{line}\nbut:\n{:?}", printed.get(at)),
            }
            gap = false;
        }
        assert!(gap || at == printed.len(), "{arguments:?} prints more: {:?}", printed.get(at));
    }
}
