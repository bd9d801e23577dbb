//! What a browser is, in two words, from how it names itself (RFC 9110 §10.1.5).

/// Browsers, those first whose names others bear too.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Its name and its system; or its own words, cut; empty if it says nothing.
pub(super) fn browser_name(agent: &str) -> String {
    let known = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(BROWSERS), known(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} · {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => agent.chars().filter(|c| !c.is_control()).take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_their_own_words() {
        const KHTML: &str = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0";
        for (agent, name) in [
            (&*format!("Mozilla/5.0 (Windows NT 10.0) {KHTML} Safari/537.36 Edg/140.0"), "Edge · Windows"),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Safari/604.1", "Safari · iPhone"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox · Linux"),
            (&*format!("Mozilla/5.0 (Linux; Android 15) {KHTML} Mobile Safari/537.36"), "Chrome · Android"),
            ("curl/8.5", "curl"),
            ("PostPet\u{7}", "PostPet"),
            ("", ""),
        ] {
            assert_eq!(browser_name(agent), name);
        }
    }
}
