//! A metric by condition: a dot per seed, under it the mean and its interval.

use std::collections::BTreeMap;

use motif_wire::statistics::{ConditionSummary, IntervalRow, Summary};

use super::{
    Figure, SMALL_PX, TEXT_PX, WIDTH_PX, letters, palette,
    scale::{self, Scale},
    svg::{Anchor, Svg},
    text_width,
};
use crate::bundle::{
    table::{cell, csv, inert},
    words::{clip, list, metric_name, metric_value, one_line, plural},
};

const ROW_PX: f64 = 44.0;
const TOP_PX: f64 = 14.0;
const BOTTOM_PX: f64 = 50.0;
const LABEL_MAX_PX: f64 = 230.0;
const RIGHT_PX: f64 = 66.0;
/// Dots keep within this share of a row of its centre.
const SPREAD: f64 = 0.16;
/// The interval lies this far below its row's centre.
const BELOW: f64 = 0.3;
const GOLDEN: f64 = 0.618_033_988_749_895;

/// The figure and its data.
pub(super) fn figure(summary: &Summary, baseline: Option<u32>) -> anyhow::Result<Figure> {
    let name = metric_name(&summary.metric);
    let title = format!("{name} by condition");
    let caption = caption(summary, baseline);
    let rows = summary.conditions.iter();
    let label_width = rows.map(|row| text_width(&label(row, baseline), TEXT_PX)).fold(60.0, f64::max) + 14.0;
    let label_width = label_width.min(LABEL_MAX_PX);
    let bottom = TOP_PX + ROW_PX * summary.conditions.len().max(1) as f64;
    let x = axis(summary, (label_width, WIDTH_PX - RIGHT_PX));
    let mut svg = Svg::new(WIDTH_PX, bottom + BOTTOM_PX, &title, &format!("{caption} {}", describe(summary)));
    draw_axis(&mut svg, &x, summary, bottom);
    let mean = summary.conditions.iter().find(|row| Some(row.condition) == baseline).and_then(|row| row.mean);
    if let Some(mean) = mean {
        svg.line((x.at(mean), TOP_PX), (x.at(mean), bottom), palette::MUTED, 1.0, "4 3");
    }
    let ranks = ranks(summary);
    for (index, row) in summary.conditions.iter().enumerate() {
        let centre = TOP_PX + ROW_PX * (index as f64 + 0.45);
        let text = clip(&label(row, baseline), letters(label_width - 12.0, TEXT_PX));
        svg.text((label_width - 12.0, centre + 4.5), Anchor::End, TEXT_PX, palette::TEXT, &text);
        let n = format!("n = {}", row.n);
        svg.text((WIDTH_PX - RIGHT_PX + 14.0, centre + 4.5), Anchor::Start, SMALL_PX, palette::MUTED, &n);
        draw_row(&mut svg, &x, row, centre, &ranks);
    }
    Ok(Figure { name: "conditions", title, caption, svg: svg.finish(), csv: data(summary)? })
}

fn label(row: &ConditionSummary, baseline: Option<u32>) -> String {
    let mark = if Some(row.condition) == baseline { " (baseline)" } else { "" };
    format!("{}{mark}{}", clip(&one_line(&row.label), 60), if row.complete { "" } else { " *" })
}

fn axis(summary: &Summary, range: (f64, f64)) -> Scale {
    let rows = &summary.conditions;
    let values: Vec<f64> = rows.iter().flat_map(|row| row.values.iter().map(|one| one.value)).collect();
    let log = scale::suits_log(&summary.metric, &values);
    let ends = rows.iter().flat_map(|row| {
        let interval = row.interval.as_ref();
        let low = interval.filter(|_| !log).map(|interval| interval.low);
        [row.mean, low, interval.map(|interval| interval.high)].into_iter().flatten()
    });
    let all: Vec<f64> = values.iter().copied().chain(ends).collect();
    let domain = if log { scale::log_domain(&all) } else { scale::padded(&summary.metric, &all, 0.06) };
    Scale { domain, range, log }
}

fn draw_axis(svg: &mut Svg, x: &Scale, summary: &Summary, bottom: f64) {
    for (tick, text) in scale::ticks(&summary.metric, x, 5.0) {
        svg.line((x.at(tick), TOP_PX), (x.at(tick), bottom), palette::LINE, 1.0, "");
        svg.text((x.at(tick), bottom + 17.0), Anchor::Middle, SMALL_PX, palette::MUTED, &text);
    }
    let middle = f64::midpoint(x.range.0, x.range.1);
    let unit = if x.log { " (logarithmic)" } else { "" };
    let name = format!("{}{unit}", metric_name(&summary.metric));
    svg.text((middle, bottom + 38.0), Anchor::Middle, TEXT_PX, palette::TEXT, &name);
}

/// Each seed's place among all seeds, on which its dot's offset depends.
fn ranks(summary: &Summary) -> BTreeMap<u64, usize> {
    let mut seeds: Vec<u64> =
        summary.conditions.iter().flat_map(|row| row.values.iter().map(|one| one.seed)).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.into_iter().enumerate().map(|(rank, seed)| (seed, rank)).collect()
}

fn draw_row(svg: &mut Svg, x: &Scale, row: &ConditionSummary, centre: f64, ranks: &BTreeMap<u64, usize>) {
    let colour = palette::colour(row.condition);
    svg.group("seeds", |svg| {
        for one in &row.values {
            let rank = ranks.get(&one.seed).copied().unwrap_or(0) as f64;
            let offset = ((rank * GOLDEN + 0.5).fract() - 0.5) * 2.0 * SPREAD - 0.06;
            svg.dot((x.at(one.value), centre + ROW_PX * offset), 4.0, colour, 0.55);
        }
    });
    let y = centre + ROW_PX * BELOW;
    svg.group("estimate", |svg| {
        if let Some(interval) = &row.interval {
            svg.line((x.at(interval.low), y), (x.at(interval.high), y), colour, 2.5, "");
        }
        if let Some(mean) = row.mean {
            svg.diamond((x.at(mean), y), 4.5, colour);
        }
    });
}

/// What the marks are.
fn caption(summary: &Summary, baseline: Option<u32>) -> String {
    let intervals: Vec<&IntervalRow> =
        summary.conditions.iter().filter_map(|row| row.interval.as_ref()).collect();
    let mut text = "One dot per seed; under the dots the mean (diamond)".to_owned();
    match intervals.first() {
        Some(first) => {
            let mut methods: Vec<String> = intervals.iter().map(|one| method(&one.method)).collect();
            methods.sort();
            methods.dedup();
            text.push_str(&format!(" with its {:.0} % interval by {}.", 100.0 * first.level, list(&methods)));
        }
        None => text.push_str("; there is no interval from a single seed."),
    }
    if summary.conditions.iter().any(|row| Some(row.condition) == baseline && row.mean.is_some()) {
        text.push_str(" Dashed: the baseline’s mean.");
    }
    let incomplete = summary.conditions.iter().filter(|row| !row.complete).count() as u64;
    if incomplete > 0 {
        let those = plural(incomplete, "condition is", "conditions are");
        text.push_str(&format!(" * {those} incomplete: not every seed has a value."));
    }
    text
}

/// An interval's method for people.
pub(crate) fn method(name: &str) -> String {
    match name {
        "student_t" => "Student t".to_owned(),
        "bca_bootstrap" => "BCa bootstrap".to_owned(),
        other => other.replace('_', " "),
    }
}

fn describe(summary: &Summary) -> String {
    let rows = summary.conditions.iter().map(|row| {
        let mean = metric_value(&summary.metric, row.mean, None);
        format!("{}: mean {mean}, n {}", one_line(&row.label), row.n)
    });
    rows.collect::<Vec<_>>().join("; ")
}

/// A row per seed, with its condition's estimate beside it.
fn data(summary: &Summary) -> anyhow::Result<String> {
    let header = [
        "condition",
        "label",
        "seed",
        summary.metric.as_str(),
        "n",
        "mean",
        "low",
        "high",
        "level",
        "method",
    ];
    let rows = summary.conditions.iter().flat_map(|row| {
        let interval = row.interval.as_ref();
        let estimate = [
            row.n.to_string(),
            cell(row.mean),
            cell(interval.map(|one| one.low)),
            cell(interval.map(|one| one.high)),
            cell(interval.map(|one| one.level)),
            cell(interval.map(|one| inert(&one.method))),
        ];
        let line = move |seed: String, value: String| {
            let lead = [row.condition.to_string(), inert(&row.label), seed, value];
            lead.into_iter().chain(estimate.clone()).collect::<Vec<_>>()
        };
        if row.values.is_empty() {
            return vec![line(String::new(), String::new())];
        }
        row.values.iter().map(|one| line(one.seed.to_string(), one.value.to_string())).collect()
    });
    let metric = inert(header[3]);
    let header: Vec<&str> =
        header.iter().map(|name| if *name == header[3] { metric.as_str() } else { name }).collect();
    csv(&header, rows)
}
