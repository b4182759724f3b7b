//! Completeness: condition × seed, with each trial's state.

use std::collections::BTreeMap;

use motif_sweep::lifecycle::TrialState;
use motif_wire::statistics::{Ledger, LedgerCell};

use super::{
    Figure, SMALL_PX, TEXT_PX, WIDTH_PX, letters, palette,
    svg::{Anchor, Svg},
    text_width,
};
use crate::bundle::{
    table::{cell, csv, inert},
    words::{clip, count, one_line, plural},
};

const CELL_PX: (f64, f64) = (24.0, 20.0);
const GAP_PX: f64 = 3.0;
const TOP_PX: f64 = 50.0;
const LABEL_MAX_PX: f64 = 230.0;
/// Conditions that are drawn; the table has all of them.
const ROWS_MAX: usize = 200;

/// The figure and its data.
pub(super) fn figure(ledger: &Ledger) -> anyhow::Result<Figure> {
    let title = "Completeness".to_owned();
    let caption = caption(ledger);
    let rows = &ledger.rows[..ledger.rows.len().min(ROWS_MAX)];
    let widths = rows.iter().map(|row| text_width(&clip(&one_line(&row.label), 60), TEXT_PX));
    let left = (widths.fold(60.0, f64::max) + 14.0).min(LABEL_MAX_PX);
    let columns = (((WIDTH_PX - left) / (CELL_PX.0 + GAP_PX)) as usize).max(1);
    let seeds = &ledger.seeds[..ledger.seeds.len().min(columns)];
    let cut = rows.len() < ledger.rows.len() || seeds.len() < ledger.seeds.len();
    let step = CELL_PX.1 + GAP_PX;
    let bottom = TOP_PX + step * rows.len() as f64 + 8.0;
    let mut svg = Svg::new(WIDTH_PX, bottom + if cut { 22.0 } else { 4.0 }, &title, &caption);
    legend(&mut svg, ledger);
    for (index, seed) in seeds.iter().enumerate() {
        let x = left + (CELL_PX.0 + GAP_PX) * index as f64 + CELL_PX.0 / 2.0;
        svg.text((x, TOP_PX - 7.0), Anchor::Middle, SMALL_PX, palette::MUTED, &clip(&seed.to_string(), 4));
    }
    svg.text((left - 12.0, TOP_PX - 7.0), Anchor::End, SMALL_PX, palette::MUTED, "seed");
    for (index, row) in rows.iter().enumerate() {
        let y = TOP_PX + step * index as f64;
        let text = clip(&one_line(&row.label), letters(left - 12.0, TEXT_PX));
        svg.text((left - 12.0, y + 14.5), Anchor::End, TEXT_PX, palette::TEXT, &text);
        for (column, one) in row.cells.iter().take(seeds.len()).enumerate() {
            draw_cell(&mut svg, (left + (CELL_PX.0 + GAP_PX) * column as f64, y), one);
        }
    }
    if cut {
        let text = format!(
            "{} of {} and {} of {} shown; ledger.csv has all",
            count(rows.len() as u64),
            plural(ledger.rows.len() as u64, "condition", "conditions"),
            count(seeds.len() as u64),
            plural(ledger.seeds.len() as u64, "seed", "seeds")
        );
        svg.text((4.0, bottom + 12.0), Anchor::Start, SMALL_PX, palette::MUTED, &text);
    }
    Ok(Figure { name: "ledger", title, caption, svg: svg.finish(), csv: data(ledger)? })
}

fn look(one: &LedgerCell) -> (&'static str, &'static str, &'static str, &'static str) {
    one.state.map_or(("missing", "·", "#ffffff", palette::MUTED), palette::look)
}

fn draw_cell(svg: &mut Svg, at: (f64, f64), one: &LedgerCell) {
    let (_, letter, ground, ink) = look(one);
    svg.group("cell", |svg| {
        svg.cell(at, CELL_PX, ground, if one.state.is_some() { ground } else { palette::LINE_STRONG });
        svg.text((at.0 + CELL_PX.0 / 2.0, at.1 + 14.5), Anchor::Middle, SMALL_PX, ink, letter);
    });
}

/// Cells by state, in the order of the states; those without a trial last.
fn counts(ledger: &Ledger) -> Vec<(&LedgerCell, u64)> {
    let mut counts: BTreeMap<usize, (&LedgerCell, u64)> = BTreeMap::new();
    for one in ledger.rows.iter().flat_map(|row| &row.cells) {
        let place = one.state.and_then(|state| TrialState::ALL.iter().position(|other| *other == state));
        counts.entry(place.unwrap_or(usize::MAX)).or_insert((one, 0)).1 += 1;
    }
    counts.into_values().collect()
}

fn legend(svg: &mut Svg, ledger: &Ledger) {
    let mut x = 4.0;
    for (one, n) in counts(ledger) {
        let (name, letter, ground, ink) = look(one);
        svg.cell(
            (x, 4.0),
            (16.0, 16.0),
            ground,
            if one.state.is_some() { ground } else { palette::LINE_STRONG },
        );
        svg.text((x + 8.0, 16.0), Anchor::Middle, 10.5, ink, letter);
        let text = format!("{} {name}", count(n));
        svg.text((x + 22.0, 16.0), Anchor::Start, SMALL_PX, palette::TEXT, &text);
        x += text_width(&text, SMALL_PX) + 38.0;
    }
}

fn caption(ledger: &Ledger) -> String {
    let parts: Vec<String> =
        counts(ledger).iter().map(|(one, n)| format!("{} {}", count(*n), look(one).0)).collect();
    format!("Condition × seed, with the state of each trial: {}.", parts.join(", "))
}

fn data(ledger: &Ledger) -> anyhow::Result<String> {
    let rows = ledger.rows.iter().flat_map(|row| {
        row.cells.iter().map(|one| {
            vec![
                row.condition.to_string(),
                inert(&row.label),
                one.seed.to_string(),
                one.state.map_or("missing", TrialState::name).to_owned(),
                cell(one.trial_id),
            ]
        })
    });
    csv(&["condition", "label", "seed", "state", "trial_id"], rows)
}
