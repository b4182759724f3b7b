//! A metric over training: a mean per condition and a band over seeds.

use motif_wire::statistics::{ConditionCurve, CurvePoint, Curves};

use super::{
    Figure, SMALL_PX, TEXT_PX, WIDTH_PX, letters, palette,
    scale::{self, Scale},
    svg::{Anchor, Svg},
    text_width,
};
use crate::bundle::{
    table::{cell, csv, inert},
    words::{clip, metric_name, metric_value, one_line, runs},
};

const PLOT_PX: f64 = 290.0;
const LEGEND_ROW_PX: f64 = 20.0;
const LEGEND_MAX_ROWS: usize = 8;
const BOTTOM_PX: f64 = 50.0;
const RIGHT_PX: f64 = 18.0;
/// Many bands on top of each other would be mud.
const BANDS_CLEAR_MAX: usize = 6;

/// A legend's entry: its condition, its text, its place.
struct Entry {
    condition: u32,
    text: String,
    at: (f64, f64),
}

/// The figure and its data.
pub(super) fn figure(curves: &Curves) -> anyhow::Result<Figure> {
    let name = metric_name(&curves.metric);
    let title = format!("{name} over training");
    let caption = caption(curves);
    let (legend, legend_height) = legend(curves);
    let top = legend_height + 14.0;
    let bottom = top + PLOT_PX;
    let y = vertical(curves, (bottom, top));
    let up = scale::ticks(&curves.metric, &y, 6.0);
    let left = up.iter().map(|(_, text)| text_width(text, SMALL_PX)).fold(24.0, f64::max) + 38.0;
    let (x, by_epoch) = horizontal(curves, (left, WIDTH_PX - RIGHT_PX));
    let mut svg = Svg::new(WIDTH_PX, bottom + BOTTOM_PX, &title, &format!("{caption} {}", describe(curves)));
    for entry in &legend {
        let (colour, dash) = (palette::colour(entry.condition), palette::dash(entry.condition));
        let (at, line) = (entry.at, entry.at.1 - 4.0);
        svg.line((at.0, line), (at.0 + 22.0, line), colour, 2.5, dash);
        svg.text((at.0 + 28.0, at.1), Anchor::Start, SMALL_PX, palette::TEXT, &entry.text);
    }
    for (tick, text) in &up {
        svg.line((left, y.at(*tick)), (WIDTH_PX - RIGHT_PX, y.at(*tick)), palette::LINE, 1.0, "");
        svg.text((left - 8.0, y.at(*tick) + 4.0), Anchor::End, SMALL_PX, palette::MUTED, text);
    }
    for (tick, text) in scale::ticks("", &x, 7.0).iter().map(|(tick, _)| (*tick, scale::plain_tick(*tick))) {
        svg.line((x.at(tick), bottom), (x.at(tick), bottom + 5.0), palette::LINE_STRONG, 1.0, "");
        svg.text((x.at(tick), bottom + 19.0), Anchor::Middle, SMALL_PX, palette::MUTED, &text);
    }
    let middle = f64::midpoint(left, WIDTH_PX - RIGHT_PX);
    let across = if by_epoch { "epochs" } else { "minibatches" };
    svg.text((middle, bottom + 40.0), Anchor::Middle, TEXT_PX, palette::TEXT, across);
    let unit = if y.log { " (logarithmic)" } else { "" };
    svg.text((4.0, top - 3.0), Anchor::Start, TEXT_PX, palette::TEXT, &format!("{name}{unit}"));
    let place = |point: &CurvePoint| if by_epoch { point.epoch } else { point.step as f64 };
    draw(&mut svg, curves, &x, &y, place);
    Ok(Figure { name: "curves", title, caption, svg: svg.finish(), csv: data(curves)? })
}

fn drawn(curves: &Curves) -> impl Iterator<Item = &ConditionCurve> {
    curves.conditions.iter().filter(|curve| !curve.points.is_empty())
}

fn draw(svg: &mut Svg, curves: &Curves, x: &Scale, y: &Scale, place: impl Fn(&CurvePoint) -> f64) {
    let opacity = if drawn(curves).count() > BANDS_CLEAR_MAX { 0.06 } else { 0.14 };
    for curve in drawn(curves) {
        // A band never bridges points without one.
        for run in curve.points.split(|point| point.low.is_none() || point.high.is_none()) {
            let end =
                |point: &CurvePoint, of: Option<f64>| (x.at(place(point)), y.at(of.unwrap_or(point.mean)));
            let upper = run.iter().map(|point| end(point, point.high));
            let lower = run.iter().rev().map(|point| end(point, point.low));
            let outline: Vec<_> = upper.chain(lower).collect();
            if run.len() > 1 {
                svg.group("band", |svg| svg.area(&outline, palette::colour(curve.condition), opacity));
            }
        }
    }
    for curve in drawn(curves) {
        let (colour, dash) = (palette::colour(curve.condition), palette::dash(curve.condition));
        let points: Vec<_> =
            curve.points.iter().map(|point| (x.at(place(point)), y.at(point.mean))).collect();
        svg.group("curve", |svg| match points.as_slice() {
            // A line of one point cannot be seen.
            [only] => svg.dot(*only, 3.5, colour, 1.0),
            points => svg.curve(points, colour, dash),
        });
    }
}

/// The means set the scale, with some room: an interval of two seeds may be wider than everything else.
fn vertical(curves: &Curves, range: (f64, f64)) -> Scale {
    let points = || drawn(curves).flat_map(|curve| &curve.points);
    let means: Vec<f64> = points().map(|point| point.mean).collect();
    if scale::suits_log(&curves.metric, &means) {
        return Scale { domain: scale::log_domain(&means), range, log: true };
    }
    let ends = points().flat_map(|point| [point.low.unwrap_or(point.mean), point.high.unwrap_or(point.mean)]);
    let wide = scale::padded(&curves.metric, &means, 0.25);
    let bands = scale::padded(&curves.metric, &ends.collect::<Vec<_>>(), 0.03);
    let low = wide.0.max(bands.0);
    // No air below zero for what is never negative.
    let low = if means.iter().all(|mean| *mean >= 0.0) { low.max(0.0) } else { low };
    Scale { domain: (low, wide.1.min(bands.1)), range, log: false }
}

/// Against epochs, or against minibatches when nothing has reached a fraction of an epoch.
fn horizontal(curves: &Curves, range: (f64, f64)) -> (Scale, bool) {
    let points = || drawn(curves).flat_map(|curve| &curve.points);
    let by_epoch = points().any(|point| point.epoch > 0.0);
    let places = points().map(|point| if by_epoch { point.epoch } else { point.step as f64 });
    let (low, high) =
        places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    let domain = match (low, high) {
        (low, high) if low > high => (0.0, 1.0),
        (low, high) if low == high => (low - 0.5, high + 0.5),
        both => both,
    };
    (Scale { domain, range, log: false }, by_epoch)
}

fn legend(curves: &Curves) -> (Vec<Entry>, f64) {
    let (mut entries, mut left, mut row) = (Vec::new(), 4.0, 1usize);
    let all = drawn(curves).count();
    for (index, curve) in drawn(curves).enumerate() {
        let text = clip(&one_line(&curve.label), letters(WIDTH_PX / 2.0, SMALL_PX));
        let width = text_width(&text, SMALL_PX) + 44.0;
        if left + width > WIDTH_PX && left > 4.0 {
            (left, row) = (4.0, row + 1);
        }
        if row > LEGEND_MAX_ROWS {
            let (text, at) = (format!("… and {} more", all - index), (4.0, row as f64 * LEGEND_ROW_PX));
            entries.push(Entry { condition: curve.condition, text, at });
            break;
        }
        entries.push(Entry { condition: curve.condition, text, at: (left, row as f64 * LEGEND_ROW_PX) });
        left += width;
    }
    (entries, row as f64 * LEGEND_ROW_PX + 18.0)
}

fn caption(curves: &Curves) -> String {
    let ns: Vec<u64> = drawn(curves).flat_map(|curve| curve.points.iter().map(|point| point.n)).collect();
    let mut text = "Mean over seeds at each step that was logged".to_owned();
    if ns.iter().any(|n| *n > 1) {
        let n = runs(&ns);
        text.push_str(&format!(
            "; band: 95 % Student t interval where two seeds or more logged it (n = {n})"
        ));
    }
    text.push_str(". The scale follows the means; a wider band is cut off.");
    text
}

fn describe(curves: &Curves) -> String {
    let rows = drawn(curves).map(|curve| {
        let end =
            |point: Option<&CurvePoint>| metric_value(&curves.metric, point.map(|point| point.mean), None);
        let (first, last) = (end(curve.points.first()), end(curve.points.last()));
        format!("{} from {first} to {last}", one_line(&curve.label))
    });
    rows.collect::<Vec<_>>().join("; ")
}

fn data(curves: &Curves) -> anyhow::Result<String> {
    let header = ["condition", "label", "step", "epoch", "n", "mean", "low", "high"];
    let rows = drawn(curves).flat_map(|curve| {
        curve.points.iter().map(|point| {
            vec![
                curve.condition.to_string(),
                inert(&curve.label),
                point.step.to_string(),
                point.epoch.to_string(),
                point.n.to_string(),
                point.mean.to_string(),
                cell(point.low),
                cell(point.high),
            ]
        })
    });
    csv(&header, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_s_axis_ends_at_one() {
        let point = CurvePoint { step: 1, epoch: 1.0, n: 2, mean: 0.99, low: Some(0.9), high: Some(1.2) };
        let curve = ConditionCurve { condition: 0, label: "a".into(), points: vec![point] };
        let curves = Curves {
            sweep_id: uuid::Uuid::nil(),
            metric: "test_accuracy".into(),
            metrics: Vec::new(),
            diverged: Default::default(),
            conditions: vec![curve],
        };
        assert_eq!(vertical(&curves, (0.0, 1.0)).domain.1, 1.0);
    }
}
