//! Charts: a few figures over time, drawn as SVG here, so that they need neither a library nor a script.
//!
//! The drawing stretches with the page; what is written beside it is HTML and keeps its size. No colour says
//! anything alone: each figure stands in the tip of its column and in the table below, which screen readers get.

use askama::Template;

use crate::figures::Figures;
use crate::words::Words;

/// Columns whose height is a figure, one upon another.
#[derive(Template)]
#[template(path = "operator/chart.html")]
pub(crate) struct Chart {
    words: Words,
    /// For ids in the page.
    name: &'static str,
    title: String,
    /// What the table's first column is.
    of: String,
    series: Vec<Series>,
    columns: Vec<Column>,
    top: u64,
}

/// One sort of figure.
pub(crate) struct Series {
    /// What it is.
    pub(crate) name: String,
    /// Which of the colours: `one` to `seven` in the style sheet.
    pub(crate) colour: &'static str,
}

/// What belongs to one moment.
pub(crate) struct Column {
    /// When, in full.
    pub(crate) label: String,
    /// When, in a word or two, if that stands below the column.
    pub(crate) tick: Option<String>,
    /// A figure for each series.
    pub(crate) values: Vec<u64>,
}

impl Column {
    fn sum(&self) -> u64 {
        self.values.iter().fold(0, |sum, value| sum.saturating_add(*value))
    }
}

/// The drawing is so wide and high, in units of its own.
const WIDTH: u64 = 1000;
const HEIGHT: u64 = 200;
/// As many figures stand in a column's tip.
const TIP_MAX: usize = 4;

impl Chart {
    /// A chart of these columns, each with a figure for each series.
    pub(crate) fn new(
        words: Words,
        name: &'static str,
        (title, of): (String, String),
        series: Vec<Series>,
        columns: Vec<Column>,
    ) -> Chart {
        let highest = columns.iter().map(Column::sum).max().unwrap_or(0);
        Chart { words, name, title, of, series, columns, top: round_up(highest) }
    }

    /// All figures of one series as one outline.
    fn outline(&self, nth: &usize) -> String {
        let mut path = String::new();
        for (place, column) in self.columns.iter().enumerate() {
            let value = column.values.get(*nth).copied().unwrap_or(0);
            if value == 0 {
                continue;
            }
            let below: u64 = column.values.iter().take(*nth).sum();
            let (left, right) = self.edges(place);
            let (low, high) = (self.y(below), self.y(below + value));
            path.push_str(&format!("M{left} {low}V{high}H{right}V{low}z"));
        }
        path
    }

    /// Where a column begins and ends.
    fn edges(&self, place: usize) -> (u64, u64) {
        let (count, place) = (self.columns.len().max(1) as u64, place as u64);
        let (left, right) = (place * WIDTH / count, (place + 1) * WIDTH / count);
        let gap = ((right - left) / 6).max(1);
        (left + gap, right.saturating_sub(gap).max(left + gap + 1))
    }

    fn y(&self, value: u64) -> u64 {
        HEIGHT - (u128::from(value) * u128::from(HEIGHT) / u128::from(self.top)).min(HEIGHT.into()) as u64
    }

    /// Where the tip of a column is: all of its height, so that low columns have one too.
    fn tip(&self, place: &usize) -> String {
        let count = self.columns.len().max(1) as u64;
        let place = *place as u64;
        let (left, right) = (place * WIDTH / count, (place + 1) * WIDTH / count);
        format!("M{left} 0H{right}V{HEIGHT}H{left}z")
    }

    /// What stands in a column's tip: each figure, or their sum if there are many.
    fn told(&self, column: &Column) -> String {
        if self.series.len() > TIP_MAX {
            return format!("{}\n{}", column.label, column.sum().grouped());
        }
        let figures = self.series.iter().zip(&column.values);
        let some = figures.filter(|(_, value)| **value > 0);
        let some: Vec<String> =
            some.map(|(series, value)| format!("{} {}", series.name, value.grouped())).collect();
        format!("{}\n{}", column.label, some.join("\n"))
    }

    /// The figures at the side, from the highest down.
    fn scale(&self) -> [String; 3] {
        [self.top, self.top / 2, 0].map(Figures::grouped)
    }

    /// What stands below.
    fn ticks(&self) -> Vec<&str> {
        self.columns.iter().filter_map(|column| column.tick.as_deref()).collect()
    }

    /// The columns that have any figure.
    fn told_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.values.iter().any(|value| *value > 0))
    }

    fn total(&self, nth: &usize) -> String {
        self.columns.iter().filter_map(|column| column.values.get(*nth)).sum::<u64>().grouped()
    }

    /// What a figure is.
    fn name_of(&self, nth: &usize) -> &str {
        self.series.get(*nth).map_or("", |series| &series.name)
    }

    fn shown(&self, figure: &u64) -> String {
        figure.grouped()
    }

    fn is_empty(&self) -> bool {
        self.told_columns().next().is_none()
    }
}

/// An even round number that is no smaller: 2, 4, 6, 8, 10, 20, 40, …
fn round_up(value: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [2, 4, 6, 8, 10] {
            match unit.checked_mul(step) {
                Some(round) if round >= value => return round,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use envelope::Language;

    use super::*;

    fn chart(values: &[(u64, u64)]) -> Chart {
        let series = ["one", "two"].map(|colour| Series { name: format!("<{colour}>"), colour });
        let columns = values.iter().enumerate().map(|(hour, (a, b))| Column {
            label: format!("{hour}:00"),
            tick: (hour % 6 == 0).then(|| hour.to_string()),
            values: vec![*a, *b],
        });
        let title = ("Mail & more".to_owned(), "Hour".to_owned());
        Chart::new(Words(Language::En), "mail", title, series.into(), columns.collect())
    }

    #[test]
    fn columns_stand_upon_one_another_within_the_drawing() {
        let chart = chart(&[(30, 10), (0, 0), (0, 5)]);
        assert_eq!(chart.top, 40);
        assert_eq!(chart.outline(&0), "M55 200V50H278V200z");
        assert_eq!(chart.outline(&1), "M55 50V0H278V50zM721 200V175H945V200z");
        assert_eq!(chart.scale(), ["40", "20", "0"]);
    }

    #[test]
    fn every_figure_is_in_the_table_and_hostile_names_are_only_text() {
        let html = chart(&[(1_234, 0), (0, 0)]).render().unwrap();
        assert!(html.contains("1,234") && html.contains("Mail &#38; more"), "{html}");
        assert!(!html.contains("<one>") && !html.contains(" style="), "{html}");
    }

    #[test]
    fn a_chart_of_nothing_and_one_of_the_largest_figures_are_drawn() {
        assert!(chart(&[]).render().is_ok());
        assert!(chart(&[(0, 0)]).is_empty());
        let chart = chart(&[(u64::MAX / 2, u64::MAX / 2)]);
        assert!(chart.render().unwrap().contains("M166 "), "{}", chart.outline(&0));
    }

    #[test]
    fn the_scale_is_round() {
        for (value, round) in [(0, 2), (1, 2), (3, 4), (9, 10), (11, 20), (41, 60), (99, 100), (601, 800)] {
            assert_eq!(round_up(value), round);
        }
        assert!(round_up(u64::MAX) == u64::MAX);
    }
}
