//! Tables of effects for people.

use motif_wire::{
    effects::{Anova, EffectKind, EffectRow, Importance},
    statistics::DivergedPolicy,
};

use super::tables::{or_dash, p_value, table};

/// Width of the longest bar, in characters.
const BAR_CHARS: f64 = 30.0;

/// The analysis of variance, or why there is none.
pub(crate) fn anova(anova: &Anova) -> String {
    if let Some(refused) = &anova.refused {
        return format!("{}: no analysis of variance: {refused}", anova.metric);
    }
    let header = ["source", "df", "sum of squares", "mean square", "F", "p", "η²", "partial η²"];
    let mut table = table(&header, &[1, 2, 3, 4, 5, 6, 7]);
    for row in &anova.rows {
        table.add_row(cells(row));
    }
    let mut text = format!("{}, n = {}\n{table}\n{}\n", anova.metric, anova.n, anova.method);
    let seeds: Vec<String> = anova.seeds.iter().map(u64::to_string).collect();
    text.push_str(&format!("seeds: {}{}\n", seeds.join(", "), policy(anova.diverged)));
    with_notes(text, &anova.notes)
}

fn cells(row: &EffectRow) -> Vec<String> {
    let source = match row.kind {
        EffectKind::Blocks => "seed (blocks)".to_owned(),
        EffectKind::Main | EffectKind::Interaction => row.factors.join(" × "),
        EffectKind::Residual => "residual".to_owned(),
        EffectKind::Total => "total".to_owned(),
    };
    let blank = |text: Option<String>| text.unwrap_or_default();
    vec![
        source,
        row.df.to_string(),
        format!("{:.4e}", row.sum_sq),
        blank(row.mean_sq.map(|x| format!("{x:.4e}"))),
        blank(row.f.map(|f| format!("{f:.2}"))),
        blank(row.p.map(|p| p_value(Some(p)))),
        or_dash(row.eta_sq.map(|share| format!("{share:.3}"))),
        blank(row.partial_eta_sq.map(|share| format!("{share:.3}"))),
    ]
}

/// The keys with bars, or why there are none.
pub(crate) fn importance(importance: &Importance) -> String {
    if let Some(refused) = &importance.refused {
        return format!("{}: no importance: {refused}", importance.metric);
    }
    let mut table = table(&["key", "values", "share", ""], &[1, 2]);
    let interactions = importance.interactions.map(|share| ("interactions".to_owned(), String::new(), share));
    let rows = importance.rows.iter().map(|row| (row.name.clone(), row.levels.to_string(), row.share));
    for (name, levels, share) in rows.chain(interactions) {
        let bar = "█".repeat((share * BAR_CHARS).round() as usize);
        table.add_row(vec![name, levels, format!("{:.1} %", 100.0 * share), bar]);
    }
    let mut text = format!(
        "{}\n{table}\n{}{}\n",
        importance.metric,
        importance.description,
        policy(importance.diverged)
    );
    if let Some(r_squared) = importance.r_squared {
        text.push_str(&format!("R² out of sample: {r_squared:.2} ({})\n", importance.r_squared_of));
    }
    with_notes(text, &importance.notes)
}

fn policy(diverged: DivergedPolicy) -> &'static str {
    match diverged {
        DivergedPolicy::Exclude => "",
        DivergedPolicy::Worst => "; diverged trials count with the sweep's worst value",
    }
}

fn with_notes(mut text: String, notes: &[String]) -> String {
    for note in notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use motif_wire::effects::{ImportanceMethod, ImportanceRow};

    use super::*;

    fn row(kind: EffectKind, factors: &[&str], p: Option<f64>) -> EffectRow {
        EffectRow {
            kind,
            factors: factors.iter().map(|&name| name.to_owned()).collect(),
            df: 2,
            sum_sq: 0.5,
            mean_sq: Some(0.25),
            f: p.map(|_| 9.0),
            p,
            eta_sq: Some(0.5),
            partial_eta_sq: p.map(|_| 0.75),
        }
    }

    #[test]
    fn a_table_names_effects_blocks_seeds_and_what_is_incomplete() {
        let text = anova(&Anova {
            sweep_id: uuid::Uuid::nil(),
            metric: "test_accuracy".into(),
            diverged: DivergedPolicy::Worst,
            factors: Vec::new(),
            seeds: vec![0, 2],
            n: 12,
            method: "with seeds as blocks".into(),
            refused: None,
            rows: vec![
                row(EffectKind::Blocks, &[], Some(0.2)),
                row(EffectKind::Interaction, &["ratio", "rule"], Some(1e-9)),
                row(EffectKind::Residual, &[], None),
            ],
            notes: vec!["incomplete: 2 of 3 seeds".into()],
        });
        for part in
            ["seed (blocks)", "ratio × rule", "< 0.001", "0.750", "seeds: 0, 2; diverged", "note: incomplete"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn importance_shows_bars_beside_what_was_predicted_out_of_sample() {
        let one = |name: &str, share| ImportanceRow {
            name: name.into(),
            keys: vec![name.into()],
            levels: 3,
            share,
        };
        let mut of = Importance {
            sweep_id: uuid::Uuid::nil(),
            metric: "test_accuracy".into(),
            diverged: DivergedPolicy::Exclude,
            method: Some(ImportanceMethod::Fanova),
            description: "over 64 trees".into(),
            conditions: 64,
            n: 64,
            r_squared: Some(-0.02),
            r_squared_of: "left out".into(),
            refused: None,
            rows: vec![one("rates.w", 0.5), one("ratio", 0.2)],
            interactions: Some(0.3),
            notes: Vec::new(),
        };
        let text = importance(&of);
        let line = text.lines().find(|line| line.contains("rates.w")).unwrap();
        assert!(line.contains("50.0 %") && line.matches('█').count() == 15, "{text}");
        assert!(
            text.contains("R² out of sample: -0.02 (left out)") && text.contains("interactions"),
            "{text}"
        );
        of.refused = Some("there are 10 places".into());
        assert_eq!(importance(&of), "test_accuracy: no importance: there are 10 places");
    }
}
