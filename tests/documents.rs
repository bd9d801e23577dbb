//! The documents speak of what is there.

use std::path::Path;

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
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/operator.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        for name in named_files(&text) {
            assert!(root.join(name).exists(), "{document} names {name}, which is not there");
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
