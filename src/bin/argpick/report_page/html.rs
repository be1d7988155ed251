//! The page: its sources, the wrappers for JavaScript, the charting library, the decoder as WebAssembly and the data, in one
//! file.

use super::run::base64;
use serde_json::Value;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// In the order in which they need one another.
const MODULES: [(&str, &str); 15] = [
    ("layout.js", include_str!("../../../../bindings/wasm/layout.js")),
    ("values.js", include_str!("../../../../bindings/wasm/values.js")),
    ("library.js", include_str!("../../../../bindings/wasm/library.js")),
    ("decoder.js", include_str!("../../../../bindings/wasm/decoder.js")),
    ("beam.js", include_str!("../../../../bindings/wasm/beam.js")),
    ("argpick.js", include_str!("../../../../bindings/wasm/argpick.js")),
    ("elements.js", include_str!("page/elements.js")),
    ("data.js", include_str!("page/data.js")),
    ("redecode.js", include_str!("page/redecode.js")),
    ("charts.js", include_str!("page/charts.js")),
    ("text.js", include_str!("page/text.js")),
    ("step.js", include_str!("page/step.js")),
    ("sliders.js", include_str!("page/sliders.js")),
    ("branches.js", include_str!("page/branches.js")),
    ("main.js", include_str!("page/main.js")),
];
/// uPlot 1.6.32 by Leon Sorokin, MIT: see README.md beside it.
const CHARTS: &str = include_str!("uplot/uPlot.iife.min.js");
const CHARTS_STYLE: &str = include_str!("uplot/uPlot.min.css");
const CHARTS_LICENCE: &str = include_str!("uplot/LICENSE");
/// The decoder: `bindings/wasm/build.sh --report` makes it.
const MODULE: &[u8] = include_bytes!("page/argpick.wasm");

/// The page of a document.
pub fn page(title: &str, document: &Value) -> String {
    let module = base64(MODULE);
    let script = script(&MODULES);
    let data = for_script(&document.to_string());
    let title = for_text(title);
    let parts: [(&str, &str); 8] = [
        ("title", &title),
        ("style", STYLE),
        ("charts-style", CHARTS_STYLE),
        ("charts-licence", CHARTS_LICENCE),
        ("charts", CHARTS),
        ("data", &data),
        ("module", &module),
        ("script", &script),
    ];
    fill(PAGE, &parts)
}

/// Puts parts in the places `{{name}}` of a template. What is put in is not looked at again.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let part = parts.iter().find(|(known, _)| *known == name).map_or("", |(_, part)| part);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Modules as one script: each becomes a function that is called once, its imports and exports variables. They are our own
/// files, which write imports and exports at the beginning of a line.
fn script(modules: &[(&str, &str)]) -> String {
    let mut script = String::from("const modules = {};\n");
    for (name, source) in modules {
        script.push_str(&format!("\nmodules['./{name}'] = (() => {{\n"));
        let mut exported: Vec<String> = Vec::new();
        let mut text = *source;
        while !text.is_empty() {
            let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
            if line.starts_with("import ") {
                // Up to the semicolon, over several lines if need be.
                let (statement, rest) = text.split_once(';').unwrap_or((text, ""));
                script.push_str(&import(statement));
                text = rest;
                continue;
            }
            if let Some(list) = line.strip_prefix("export { ") {
                let (names, from) = list.split_once(" } from ").unwrap_or((list, ""));
                let from = from.trim_end_matches(';');
                exported.extend(names.split(", ").map(|name| format!("{name}: modules[{from}].{name}")));
            } else if let Some(declaration) = line.strip_prefix("export ") {
                script.push_str(declaration);
                exported.extend(declared(declaration));
            } else {
                script.push_str(line);
            }
            script.push('\n');
            text = rest;
        }
        script.push_str(&format!("return {{ {} }};\n}})();\n", exported.join(", ")));
    }
    script
}

/// `import { a, b } from './c.js'` and `import * as a from './c.js'` as declarations.
fn import(statement: &str) -> String {
    let Some((names, from)) = statement.trim_start_matches("import ").rsplit_once(" from ") else {
        return statement.to_owned();
    };
    let names = names.strip_prefix("* as ").unwrap_or(names);
    format!("const {names} = modules[{from}];")
}

/// The name that `const a = ...`, `function a(...)` and `class A ...` declare.
fn declared(declaration: &str) -> Option<String> {
    let after =
        ["const ", "function ", "async function ", "class "].iter().find_map(|kind| declaration.strip_prefix(kind))?;
    let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
    Some(after[..end].to_owned())
}

/// JSON that cannot end the script element it stands in, whatever texts it has.
fn for_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

/// Text for an element of HTML or an attribute in quotes.
fn for_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What HTML does not allow.
            c if c.is_control() && !c.is_whitespace() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_text_ends_its_element() {
        let hostile = "</script><script>alert(1)</script><!--\u{2028}&'\"";
        let page = page(hostile, &json!({ "title": hostile, "words": [hostile] }));
        assert!(!page.contains("alert(1)</script>"));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count(), "an element ends early");
        assert!(page.contains("&lt;/script&gt;") && page.contains("\\u003c/script\\u003e"));
        assert_eq!(serde_json::from_str::<Value>(&for_script(&json!(hostile).to_string())).unwrap(), json!(hostile));
    }

    #[test]
    fn the_template_is_filled_once() {
        let page = page("{{data}}", &json!({ "words": ["{{module}}"] }));
        assert!(page.contains("<title>{{data}}</title>") && page.contains("\"{{module}}\""));
        assert_eq!(fill("a{{b}}c{{d}}", &[("b", "{{d}}"), ("d", "e")]), "a{{d}}ce");
    }

    #[test]
    fn modules_become_one_script() {
        let modules = [
            (
                "a.js",
                "// a\nexport const one = 1;\nexport function two() {\n}\nexport class Three {\n}\nconst four = 4;\n",
            ),
            (
                "b.js",
                "import * as a from './a.js';\nimport {\n    one, two,\n} from './a.js';\nexport { one } from './a.js';\nuse(a);\n",
            ),
        ];
        let script = script(&modules);
        assert!(script.contains("return { one, two, Three };"), "{script}");
        assert!(script.contains("return { one: modules['./a.js'].one };"), "{script}");
        assert!(
            script.contains("const a = modules['./a.js'];") && script.contains("one, two,\n} = modules['./a.js'];")
        );
        assert!(!script.contains("import ") && !script.contains("export "), "{script}");
    }

    #[test]
    fn the_sources_are_fit_to_be_put_together() {
        let script = script(&MODULES);
        for line in script.lines() {
            assert!(!line.starts_with("import ") && !line.starts_with("export "), "{line}");
        }
        for (what, source) in [("the script", script.as_str()), ("uPlot", CHARTS), ("the style", STYLE)] {
            assert!(!source.contains("</script") && !source.contains("</style") && !source.contains("<!--"), "{what}");
        }
        let names: Vec<&str> = PAGE.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).collect();
        assert_eq!(names.len(), 8, "{names:?}");
    }
}
