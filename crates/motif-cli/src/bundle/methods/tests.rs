use super::*;
use crate::bundle::tests::material;

fn text(material: &Material) -> String {
    markdown("t", &blocks(material))
}

/// Each of these sentences is in the text.
fn has(text: &str, sentences: &[&str]) {
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence:?} is not in:\n{text}");
    }
}

#[test]
fn every_number_of_the_methods_is_the_sweep_s() {
    let text = text(&material("plain", false));
    has(
        &text,
        &[
            "The sweep “plain” compares 2 conditions on test accuracy, each trained from 2 seeds (seeds 0 and 1): 4 trials in all.",
            "Of these, 3 succeeded and 1 diverged.",
            "Dataset glyphs (built into Motif): 28 × 28 pixels in 1 channel, 10 classes, 20,000 training examples and 1 test example; BLAKE3 of its content data0.",
            "Networks have 2 hidden layers of 20 and 10 units (upstream).",
            "The downstream layers are 2.0 times as wide as the upstream ones.",
            "The learning rules are self-assembling learning, the four-synapse motif of Liao et al. (arXiv:2412.20018) (sal); exact backpropagation with stochastic gradient descent (bp).",
            "Each trial trained for 1 epoch.",
            "Learning rates fall to zero along a cosine.",
            "Intervals for the mean are 95 % intervals by Student t.",
            "p-values are adjusted by Holm’s method over 0 tests (the family).",
            "1 trial that diverged was left out of means, intervals and tests.",
            "by Motif 0.1.0 on 1 machine (linux x86\\_64), by 1 worker, with matrix products in the instruction set avx2+fma.",
            "Training took 2.00 hours of one thread in all.",
            "submitted on 2026-01-02 03:00 UTC and finished on 2026-01-02 04:00 UTC",
            "The results of 4 trials are recorded by hash",
            "| rates.v | 0.2 |",
            "| plain | 1 | 90.00 % | — | +1.00 pp | — | — | — |",
            "| plain | incomplete: 1 of 2 seeds |",
        ],
    );
    assert!(!text.contains("Wilcoxon") && !text.contains("| rule | bp |"), "{text}");
}

#[test]
fn what_is_one_is_singular() {
    let mut material = material("plain", false);
    material.sweep.condition_rows.truncate(1);
    material.sweep.seed_values = vec![7];
    material.sweep.row.conditions = 1;
    material.sweep.row.counts = Default::default();
    material.sweep.row.counts.leased = 1;
    material.sweep.baseline = None;
    material.comparisons.baseline = None;
    material.comparisons.rows.clear();
    material.trials.truncate(1);
    material.summary.conditions.truncate(1);
    let text = text(&material);
    has(
        &text,
        &[
            "This sweep is unfinished: 0 of 1 trial had ended",
            "compares 1 condition on test accuracy, each trained from 1 seed (seed 7): 1 trial in all.",
            "Of these, 1 is running.",
            "The learning rule is exact backpropagation",
            "The sweep declares no baseline, so nothing was tested.",
            "No trial diverged.",
            "The results of 1 trial are recorded by hash",
            "trains the one trial again",
        ],
    );
}

#[test]
fn markdown_shows_text_as_it_is() {
    let blocks = [Block::Table { header: vec!["a|b".into()], rows: vec![vec!["<i>\n[x](y)".into()]] }];
    assert_eq!(markdown("*t*", &blocks), "# \\*t\\*\n\n| a\\|b |\n| --- |\n| \\<i\\> \\[x\\](y) |\n");
}
