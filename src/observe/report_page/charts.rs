//! Charts as SVG inside of the page. Their colours are classes of the page's style, so they follow its light or dark look.

use maud::{Markup, html};

/// Size of a chart in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Lines of the grid between the axes.
const GRID_LINES: u32 = 4;

/// A line of a chart.
pub(super) struct Series<'a> {
    pub name: &'a str,
    /// The class that gives it its colour.
    pub class: &'a str,
    /// Pairs of x and y, with x growing.
    pub points: Vec<(f64, f64)>,
}

/// Returns lines over time. `x_text` and `y_text` write the numbers at the axes.
pub(super) fn lines(
    label: &str,
    series: &[Series<'_>],
    x_text: impl Fn(f64) -> String,
    y_text: impl Fn(f64) -> String,
) -> Markup {
    let largest = |pick: fn(&(f64, f64)) -> f64| {
        series.iter().flat_map(|line| &line.points).map(pick).filter(|value| value.is_finite()).fold(0.0, f64::max)
    };
    let (x_max, y_max) = (largest(|point| point.0).max(1e-9), rounded_up(largest(|point| point.1)));
    let x_at = |x: f64| LEFT + x / x_max * (WIDTH - LEFT - RIGHT);
    let y_at = |y: f64| HEIGHT - BOTTOM - y / y_max * (HEIGHT - TOP - BOTTOM);
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
                @for line in 0..=GRID_LINES {
                    @let y = y_max * f64::from(line) / f64::from(GRID_LINES);
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(number(y_at(y))) y2=(number(y_at(y))) {}
                    text.axis.end x=(LEFT - 6.0) y=(number(y_at(y) + 4.0)) { (y_text(y)) }
                }
                @for part in 0..=2 {
                    @let x = x_max * f64::from(part) / 2.0;
                    text class=(format!("axis {}", ["start", "middle", "end"][part as usize]))
                        x=(number(x_at(x))) y=(HEIGHT - 8.0) { (x_text(x)) }
                }
                @for line in series {
                    polyline class=(format!("line {}", line.class)) points=(path(&line.points, &x_at, &y_at)) {}
                }
            }
            figcaption {
                (label)
                @for line in series { " " span class=(format!("key {}", line.class)) { (line.name) } }
            }
        }
    }
}

fn path(points: &[(f64, f64)], x_at: &impl Fn(f64) -> f64, y_at: &impl Fn(f64) -> f64) -> String {
    let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    let texts: Vec<_> = finite.map(|&(x, y)| format!("{},{}", number(x_at(x)), number(y_at(y)))).collect();
    texts.join(" ")
}

/// A row of a chart of ranges: from `low` to `high`, with marks between.
pub(super) struct Range<'a> {
    pub name: &'a str,
    pub low: f64,
    pub high: f64,
    /// Marks, each with the class that gives it its colour.
    pub marks: Vec<(f64, &'a str)>,
    /// What stands behind the row.
    pub text: String,
}

/// Returns ranges on a logarithmic axis, one below the other.
pub(super) fn ranges(label: &str, rows: &[Range<'_>], x_text: impl Fn(f64) -> String) -> Markup {
    const ROW: f64 = 34.0;
    const LABELS: f64 = 92.0;
    let values = || {
        let marks = rows.iter().flat_map(|row| row.marks.iter().map(|mark| mark.0));
        rows.iter().flat_map(|row| [row.low, row.high]).chain(marks).filter(|value| value.is_finite() && *value > 0.0)
    };
    let low = values().fold(f64::INFINITY, f64::min).min(1e12);
    let high = values().fold(low, f64::max).max(low * 1.1);
    let x_at = |x: f64| {
        let share = (x.max(low) / low).ln() / (high / low).ln();
        LABELS + share.clamp(0.0, 1.0) * (WIDTH - LABELS - 24.0)
    };
    let height = ROW * rows.len() as f64 + BOTTOM;
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
                @for (at, row) in rows.iter().enumerate() {
                    @let y = ROW * at as f64 + 14.0;
                    text.axis.start x="0" y=(y + 4.0) { (row.name) }
                    line.grid x1=(LABELS) x2=(WIDTH - 24.0) y1=(y) y2=(y) {}
                    rect.range x=(number(x_at(row.low))) y=(y - 5.0)
                        width=(number((x_at(row.high) - x_at(row.low)).max(2.0))) height="10" rx="5" {}
                    @for (value, class) in &row.marks {
                        circle class=(format!("mark {class}")) cx=(number(x_at(*value))) cy=(y) r="5" {}
                    }
                    text.axis.end x=(WIDTH - 4.0) y=(y + 18.0) { (row.text) }
                }
                text.axis.start x=(LABELS) y=(height - 6.0) { (x_text(low)) }
                text.axis.end x=(WIDTH - 24.0) y=(height - 6.0) { (x_text(high)) }
            }
            figcaption { (label) }
        }
    }
}

/// Returns the next number of the form 1, 2 or 5 times a power of ten, so that the grid has round numbers.
fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(10.0 * power)
}

/// Writes a coordinate with one decimal: more would only make the page longer.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_round_numbers_that_hold_the_largest_value() {
        let tops = [0.0, 0.7, 1.0, 1.2, 3.0, 4.7, 6.0, 9.0, 12_345.0].map(rounded_up);
        assert_eq!(tops, [1.0, 0.8, 1.0, 2.0, 4.0, 5.0, 8.0, 10.0, 20_000.0]);
    }

    #[test]
    fn every_point_lies_inside_of_the_chart() {
        let points = vec![(0.0, 5.0), (1.0, f64::NAN), (2.0, 50.0)];
        let series = [Series { name: "a", class: "one", points }];
        let svg = lines("speed", &series, |x| x.to_string(), |y| y.to_string()).into_string();
        let (_, rest) = svg.split_once("points=\"").unwrap();
        let (coordinates, _) = rest.split_once('"').unwrap();
        let pairs: Vec<(f64, f64)> = coordinates
            .split(' ')
            .map(|pair| pair.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap())
            .collect();
        assert_eq!(pairs.len(), 2);
        assert!(pairs.iter().all(|(x, y)| (LEFT..=WIDTH).contains(x) && (0.0..=HEIGHT).contains(y)), "{pairs:?}");
    }

    #[test]
    fn a_range_of_nothing_is_still_drawn() {
        for (low, high) in [(0.0, 0.0), (1.0, 1.0), (f64::NAN, f64::INFINITY)] {
            let row = Range { name: "run", low, high, marks: vec![(low, "one")], text: String::new() };
            let svg = ranges("time", &[row], |x| x.to_string()).into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let series = [Series { name: "<b>\"", class: "one", points: vec![(0.0, 1.0)] }];
        let svg = lines("<i>", &series, |x| x.to_string(), |y| y.to_string()).into_string();
        assert!(!svg.contains("<b>") && !svg.contains("<i>"));
    }
}
