//! From figures to ratios, and from ratios to a table.

use serde::Serialize;

use crate::window::Figure;

/// The share of the processors from which unrelated processes make a figure doubtful.
const STRANGERS: f64 = 0.15;
/// A latency by timetable on a machine with less to spare than this is that of a queue for the processor.
const SATURATED: f64 = 0.05;
/// Rounds that differ by more than this factor are doubtful.
const APART: f64 = 1.6;

/// The target of a ratio.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {}", short(*least)),
            Self::AtMost(most) => write!(f, "≤ {}", short(*most)),
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// As in the list of goals.
    pub id: &'static str,
    /// The comparison in words.
    pub what: String,
    /// The median of the rounds. `None` if it could not be measured.
    pub ratio: Option<f64>,
    /// The smallest and the largest round.
    pub spread: Option<(f64, f64)>,
    /// The unit, if the value is not a ratio.
    pub unit: &'static str,
    /// The target. `None` if the line only adds to the one above.
    pub goal: Option<Goal>,
    /// True if the median meets the goal.
    pub met: Option<bool>,
    /// Why the figure is doubtful, or could not be measured.
    pub doubt: Option<String>,
}

impl Row {
    /// The median of one ratio for each round.
    pub fn of(id: &'static str, what: &str, mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let ratio = median(&rounds);
        let spread = rounds.first().copied().zip(rounds.last().copied());
        let apart = spread.is_some_and(|(least, most)| most > least * APART);
        let doubt = apart.then(|| "the rounds differ much".to_owned());
        Self { id, what: what.to_owned(), ratio, spread, unit: "", goal: None, met: None, doubt }
    }

    /// Creates a row for a goal that could not be measured.
    pub fn missing(id: &'static str, why: String) -> Self {
        Self { doubt: Some(why), ..Self::of(id, "could not be measured", Vec::new()) }
    }

    /// Sets the target.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), met: self.ratio.map(|ratio| goal.is_met(ratio)), ..self }
    }

    /// In this unit.
    #[must_use]
    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// Marks the row as doubtful if unrelated processes were busy during its measurement.
    #[must_use]
    pub fn seen_in(mut self, figures: &[Figure]) -> Self {
        let worst = |part: fn(&Figure) -> f64| {
            let mut parts: Vec<f64> = figures.iter().map(part).collect();
            parts.sort_by(f64::total_cmp);
            median(&parts)
        };
        let others = worst(|figure| figure.others).unwrap_or_default();
        let timetable = figures.iter().filter(|figure| figure.offered.is_some());
        let idle = timetable.map(|figure| figure.idle).fold(1.0, f64::min);
        if others > STRANGERS {
            self.doubts(format!("others used {:.0} % of the machine", others * 100.0));
        }
        if idle < SATURATED {
            self.doubts("no processor time was left: latencies are those of a queue".to_owned());
        }
        self
    }

    fn doubts(&mut self, why: String) {
        self.doubt = Some(match self.doubt.take() {
            Some(doubt) => format!("{doubt}; {why}"),
            None => why,
        });
    }

    fn cells(&self) -> [String; 6] {
        let ratio =
            self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{}{}", short(ratio), self.unit));
        let spread =
            self.spread.map_or_else(String::new, |(least, most)| format!("{}–{}", short(least), short(most)));
        let goal = self.goal.map_or_else(String::new, |goal| format!("{goal}{}", self.unit));
        let met = match (self.met, self.ratio) {
            (Some(true), _) => "met",
            (Some(false), _) => "NOT MET",
            (None, None) => "NOT MEASURED",
            (None, Some(_)) => "",
        };
        let doubt = self.doubt.as_ref().map_or_else(String::new, |doubt| format!(" (?) {doubt}"));
        [self.id.to_owned(), self.what.clone(), ratio, spread, goal, format!("{met}{doubt}")]
    }
}

/// The rows under their headings, in columns.
pub fn table(rows: &[Row]) -> String {
    let heading = ["id", "what", "ratio", "rounds", "goal", "met"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(heading).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..6).map(width).collect();
    let padded = |line: &[String; 6]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

/// Formats a value with two decimals if they are significant.
fn short(value: f64) -> String {
    if value.abs() >= 20.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The middle one of values in order.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides_and_the_spread_is_shown() {
        let row = Row::of("P5", "a / b", vec![0.7, 0.5, 0.65]).goal(Goal::AtLeast(0.6));
        assert_eq!((row.ratio, row.spread, row.met), (Some(0.65), Some((0.5, 0.7)), Some(true)));
        assert!(Row::of("P6", "a / b", vec![1.6]).goal(Goal::AtMost(1.5)).met == Some(false));
        assert!(Row::of("P6", "a / b", vec![1.0, 2.0]).doubt.is_some());
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }

    #[test]
    fn the_table_says_what_was_met_what_not_and_what_could_not_be_measured() {
        let rows = [
            Row::of("P4", "hot article / static", vec![0.9]).goal(Goal::AtLeast(0.8)),
            Row::of("P8", "reads", vec![12.0]).unit(" ×").goal(Goal::AtLeast(50.0)),
            Row::missing("P10", "no answer".to_owned()),
        ];
        let table = table(&rows);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[1].contains("0.90") && lines[1].ends_with("met"), "{table}");
        assert!(lines[2].contains("12.00 ×") && lines[2].ends_with("NOT MET"), "{table}");
        assert!(lines[3].ends_with("NOT MEASURED (?) no answer"), "{table}");
    }
}
