//! What was measured: figures, their medians, and the tables that are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

/// One figure of one server, from one round.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured, with its unit.
    pub measure: &'static str,
    /// At which load.
    pub point: String,
    pub server: &'static str,
    pub round: u32,
    pub value: f64,
}

/// All figures of a run, in the order in which they were measured.
#[derive(Default)]
pub struct Figures {
    figures: Vec<Figure>,
}

impl Figures {
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// A table for each measure: for each server the median over the rounds, with the least and
    /// the greatest value, and how our server's figure relates to the others' of the same round.
    pub fn tables(&self, ours: &str) -> String {
        let mut text = String::new();
        for measure in in_order(self.figures.iter().map(|figure| figure.measure)) {
            let figures: Vec<&Figure> =
                self.figures.iter().filter(|figure| figure.measure == measure).collect();
            text.push_str(&table(measure, ours, &figures));
        }
        text
    }

    /// Appends every figure to `path`, a line of JSON each, with `facts` of the run in each line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, path: &Path, facts: &str) -> anyhow::Result<()> {
        let mut lines = String::new();
        for Figure { measure, point, server, round, value } in &self.figures {
            let line = json!({
                "measure": measure, "point": point, "server": server, "round": round, "value": value, "run": facts,
            });
            writeln!(lines, "{line}")?;
        }
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .with_context(|| format!("cannot append to {}", path.display()))
    }
}

fn table(measure: &str, ours: &str, figures: &[&Figure]) -> String {
    let servers = in_order(figures.iter().map(|figure| figure.server));
    let peers: Vec<&str> = servers.iter().copied().filter(|server| *server != ours).collect();
    let compared = peers.len() < servers.len();
    let mut header = vec![measure.to_string()];
    header.extend(servers.iter().map(ToString::to_string));
    if compared {
        header.extend(peers.iter().map(|peer| format!("to {peer}")));
    }
    let mut rows = vec![header];
    for point in in_order(figures.iter().map(|figure| figure.point.as_str())) {
        let of = |server: &str| -> BTreeMap<u32, f64> {
            let here = figures.iter().filter(|figure| figure.point == point && figure.server == server);
            here.map(|figure| (figure.round, figure.value)).collect()
        };
        let mut row = vec![point.to_string()];
        row.extend(servers.iter().map(|server| cell(of(server).into_values(), "")));
        if compared {
            row.extend(peers.iter().map(|peer| {
                let theirs = of(peer);
                let pairs =
                    of(ours).into_iter().filter_map(|(round, value)| Some(value / theirs.get(&round)?));
                cell(pairs, "x")
            }));
        }
        rows.push(row);
    }
    aligned(&rows)
}

/// `median (least-greatest)`, or a dash where there is no value.
fn cell(values: impl Iterator<Item = f64>, unit: &str) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(greatest)) = (values.first(), values.last()) else { return "-".to_string() };
    let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
    let digits = match median.abs() {
        median if median >= 100.0 => 0,
        median if median >= 10.0 => 1,
        _ => 2,
    };
    if values.len() == 1 {
        return format!("{median:.digits$}{unit}");
    }
    format!("{median:.digits$}{unit} ({least:.digits$}-{greatest:.digits$})")
}

/// Columns of equal width; the first to the left, figures to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                text.push_str(&format!("{cell:<width$}"));
            } else {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Each value once, where it came first.
fn in_order<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&'static str, u32, f64)]) -> Figures {
        let mut figures = Figures::default();
        for (server, round, value) in values {
            let point = "1 session".to_string();
            figures.add(Figure { measure: "mail/s", point, server, round: *round, value: *value });
        }
        figures
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        // The machine was twice as fast in the second round: the ratio is 2 all the same.
        let figures = figures(&[("ours", 1, 20.0), ("peer", 1, 10.0), ("ours", 2, 40.0), ("peer", 2, 20.0)]);
        let expected = "\
mail/s                ours              peer           to peer
1 session  30.0 (20.0-40.0)  15.0 (10.0-20.0)  2.00x (2.00-2.00)

";
        // Only the widths differ from one line to the other.
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&figures.tables("ours")), words(expected));
    }

    #[test]
    fn a_round_that_one_of_them_missed_has_no_ratio() {
        let text = figures(&[("ours", 1, 20.0), ("peer", 2, 10.0)]).tables("ours");
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with('-')), "{text}");
    }

    #[test]
    fn the_median_of_three_is_the_middle_one() {
        assert_eq!(cell([9.0, 1.0, 3.0].into_iter(), ""), "3.00 (1.00-9.00)");
        assert_eq!(cell([1234.5].into_iter(), ""), "1234");
    }

    #[test]
    fn raw_figures_are_appended_line_by_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let figures = figures(&[("ours", 1, 20.0)]);
        figures.append(file.path(), "here").unwrap();
        figures.append(file.path(), "here").unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().count(), 2);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((line["server"].as_str(), line["value"].as_f64()), (Some("ours"), Some(20.0)));
    }
}
