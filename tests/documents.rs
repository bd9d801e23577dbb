//! The documents speak of what is there.

use std::path::Path;

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/operator.md",
    "docs/sendmail.md",
    "docs/sendmail.ja.md",
];

/// Whatever a document names as a file of ours, in back quotes or as the target of a link.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    quoted.chain(linked).filter(|name| {
        let ours = ["crates/", "tests/", "docs/", "bench/", "xtask/"];
        let top = name.ends_with(".md") && !name.contains('/');
        !name.contains([' ', '*']) && (top || ours.iter().any(|folder| name.starts_with(folder)))
    })
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        for name in named_files(&text) {
            let beside = root.join(document).with_file_name(name);
            assert!(
                root.join(name).exists() || beside.exists(),
                "{document} names {name}, which is not there"
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} files are named");
}

#[test]
fn the_operators_book_tells_every_setting_with_its_default() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let book = std::fs::read_to_string(root.join("docs/operator.md")).unwrap();
    let source = std::fs::read_to_string(root.join("crates/hikyaku/src/config.rs")).unwrap();
    let settings = source
        .lines()
        .take_while(|line| !line.starts_with("impl Config"))
        .filter_map(|line| line.strip_prefix("    pub ")?.split(':').next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let mut seen = 0;
    for name in settings {
        let told = [format!("{name} = "), format!("[{name}]"), format!(".{name}]")];
        let told = told.iter().any(|form| book.contains(form));
        assert!(told, "docs/operator.md does not tell of {name}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} settings were found");
}

/// What a customer meets, told in two languages, is what the program says.
#[test]
fn the_customers_pages_are_alike_and_quote_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let (english, japanese) = (read("docs/sendmail.md"), read("docs/sendmail.ja.md"));
    // Headings, tables and examples stand in the same order.
    let shape = |text: &str| -> Vec<String> {
        let mut example = false;
        let line = |line: &str| {
            example ^= line.starts_with("```");
            match line.split(['`', ' ']).next().unwrap_or_default() {
                _ if example => line.into(),
                mark @ ("#" | "##" | "|" | "1." | "2." | "3." | "4.") => mark.into(),
                _ => String::new(),
            }
        };
        text.lines().map(line).filter(|part| !part.is_empty()).collect()
    };
    assert_eq!(shape(&english), shape(&japanese));

    let refusals = read("crates/sendmail/src/refusal.rs");
    let sentences: Vec<&str> = refusals
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#[error(\"")?.split('"').next())
        .filter(|sentence| *sentence != "{0}")
        .collect();
    for page in [&english, &japanese] {
        let quoted: Vec<&str> = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
        for sentence in &sentences {
            let told = quoted.iter().any(|quoted| says(quoted, sentence));
            assert!(told, "a page for customers does not tell of: {sentence}");
        }
    }
    assert!(sentences.len() > 20, "only {} sentences were found", sentences.len());
}

/// Whether a text has all parts of a sentence, whatever stands where it has `{something}`.
fn says(mut text: &str, sentence: &str) -> bool {
    sentence.split('{').map(|part| part.split_once('}').map_or(part, |(_, fixed)| fixed)).all(|fixed| {
        let rest = text.split_once(fixed).map(|(_, rest)| rest);
        text = rest.unwrap_or_default();
        rest.is_some()
    })
}
