//! A sweep's claims against its trials' values.
//!
//! Each claim becomes one number for each seed (its effect), over the seeds that have a value for every condition
//! involved; `motif_stats::verdict` answers. The tests of a sweep share one error of 5 %, by Bonferroni.

use std::collections::{BTreeMap, BTreeSet};

use motif_stats::{Decision, Verdict, verdict};
use motif_store::records::CurveSample;
use motif_sweep::{
    claims::{self, ALL_LAYERS, Claim, ClaimGroup, ClaimTest},
    lifecycle::TrialState,
    plan::Condition,
    spec::SweepSpec,
};
use motif_wire::{
    statistics::DivergedPolicy,
    verdicts::{ClaimVerdict, VerdictKind, Verdicts},
};

use super::{Material, interval_row};

/// The error that all tests of a sweep share.
const ALPHA: f64 = 1.0 - super::LEVEL;

/// A value for each condition and seed.
type Values = BTreeMap<(u32, u64), f64>;

/// Names of the metrics whose curves the claims need: those whose first and last logged values are compared.
pub(crate) fn curves_needed(claims: &[Claim], sweep_metric: &str, logged: &[String]) -> BTreeSet<String> {
    let changing = claims.iter().filter(|claim| claim.test.changes());
    let names = changing.flat_map(|claim| names(claim.metric.as_deref().unwrap_or(sweep_metric), logged));
    names.map(str::to_owned).collect()
}

/// The metrics that a name stands for: all layers' of a `family.*`.
fn names<'a>(metric: &'a str, known: &'a [String]) -> Vec<&'a str> {
    let Some(family) = metric.strip_suffix(ALL_LAYERS) else { return vec![metric] };
    let of_family = |name: &&String| {
        name.strip_prefix(family)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|layer| !layer.is_empty() && layer.bytes().all(|digit| digit.is_ascii_digit()))
    };
    known.iter().filter(of_family).map(String::as_str).collect()
}

/// All claims, each by each of its groups. `curves` are the samples of the metrics that [`curves_needed`] names.
pub(crate) fn verdicts(
    material: &Material,
    spec: &SweepSpec,
    conditions: &[Condition],
    curves: &BTreeMap<String, Vec<CurveSample>>,
) -> Verdicts {
    let tests: Vec<(usize, &Claim, ClaimGroup)> = spec
        .claims
        .iter()
        .enumerate()
        .flat_map(|(index, claim)| {
            claims::groups(spec, claim, conditions).into_iter().map(move |group| (index, claim, group))
        })
        .collect();
    let count = tests.len().max(1);
    let judge = Judge { material, curves, alpha: ALPHA / count as f64 };
    let (answers, rows): (Vec<Verdict>, Vec<ClaimVerdict>) =
        tests.iter().map(|(index, claim, group)| judge.row(*index, claim, group)).unzip();
    let involved: BTreeSet<u32> =
        tests.iter().flat_map(|(.., group)| group.of.iter().chain(&group.against).copied()).collect();
    let mut trials = material.trials.iter().filter(|trial| involved.contains(&trial.condition));
    Verdicts {
        sweep_id: material.sweep.id.0,
        verdict: (!answers.is_empty()).then(|| kind(Verdict::all(answers))),
        alpha: ALPHA,
        tests: tests.len() as u64,
        correction: format!(
            "Bonferroni: each of the {} tests of this sweep's claims has an error of {:.2} %, so that the error of the \
             whole family is at most {:.0} %",
            tests.len(),
            100.0 * judge.alpha,
            100.0 * ALPHA
        ),
        diverged: DivergedPolicy::Worst,
        complete: trials.all(|trial| trial.state.is_terminal()),
        claims: rows,
    }
}

fn kind(verdict: Verdict) -> VerdictKind {
    match verdict {
        Verdict::Supported => VerdictKind::Supported,
        Verdict::NotSupported => VerdictKind::NotSupported,
        Verdict::Undecided => VerdictKind::Undecided,
    }
}

struct Judge<'a> {
    material: &'a Material,
    curves: &'a BTreeMap<String, Vec<CurveSample>>,
    /// The error of one test.
    alpha: f64,
}

/// One number for each seed that has all it needs.
type Effects = Vec<f64>;

impl Judge<'_> {
    fn row(&self, index: usize, claim: &Claim, group: &ClaimGroup) -> (Verdict, ClaimVerdict) {
        let metric = claim.metric.clone().unwrap_or_else(|| self.material.sweep.metric.clone());
        let values = if claim.test.changes() { self.changes(&metric) } else { self.finals(&metric) };
        let mut notes = Vec::new();
        let (decision, test) = self.decide(claim, group, &values, &mut notes);
        self.note_missing(group, decision.n, &mut notes);
        let row = ClaimVerdict {
            claim: u32::try_from(index).unwrap_or(u32::MAX),
            text: claim.text.clone(),
            group: group.label.clone(),
            metric,
            verdict: kind(decision.verdict),
            test,
            n: decision.n as u64,
            effect: decision.mean,
            interval: decision.interval.map(interval_row),
            t: decision.t,
            p: decision.p,
            margin: claim.margin,
            notes,
        };
        (decision.verdict, row)
    }

    fn decide(
        &self,
        claim: &Claim,
        group: &ClaimGroup,
        values: &Values,
        notes: &mut Vec<String>,
    ) -> (Decision, String) {
        let margin = claim.margin;
        let told = |what: &str| {
            format!("{what}; supported if the interval is above {margin}, not supported if it is below")
        };
        match claim.test {
            ClaimTest::Greater => {
                let effects = self.difference(values, &group.of, &group.against);
                (
                    self.positive(&effects, margin),
                    told("difference of means, paired on shared seeds, t interval"),
                )
            }
            ClaimTest::NotGreater => {
                let effects = self.difference(values, &group.of, &group.against);
                let told = format!(
                    "difference of means, paired on shared seeds, t interval; supported if the interval is below {margin}, \
                     not supported if it is above"
                );
                (answer(verdict::not_positive(&effects, margin, self.alpha)), told)
            }
            ClaimTest::Equivalent => {
                let effects = self.difference(values, &group.of, &group.against);
                let told = format!(
                    "two one-sided t tests of the paired difference; supported if the interval lies within ±{margin}, not \
                     supported if it lies outside"
                );
                (answer(verdict::equivalent(&effects, margin, self.alpha)), told)
            }
            ClaimTest::Best => self.best(group, margin, values, notes),
            ClaimTest::Rises | ClaimTest::Falls => {
                let (effects, per) = self.slopes(values, group);
                let sign = if claim.test == ClaimTest::Falls { -1.0 } else { 1.0 };
                let effects: Effects = effects.iter().map(|slope| sign * slope).collect();
                let over = claim.over.as_deref().unwrap_or_default();
                let down = if sign < 0.0 { ", its sign turned" } else { "" };
                let what = format!("slope over {over} per {per}{down}, one for each seed, t interval");
                (self.positive(&effects, margin), told(&what))
            }
            ClaimTest::Above => {
                let level = claim.level.unwrap_or_default();
                let effects: Effects =
                    self.means(values, &group.of).values().map(|mean| mean - level).collect();
                (
                    self.positive(&effects, margin),
                    told(&format!("mean − {level}, one for each seed, t interval")),
                )
            }
            ClaimTest::Grows | ClaimTest::Shrinks => {
                let sign = if claim.test == ClaimTest::Shrinks { -1.0 } else { 1.0 };
                let effects: Effects =
                    self.means(values, &group.of).values().map(|change| sign * change).collect();
                let what = if sign < 0.0 { "first − last" } else { "last − first" };
                (
                    self.positive(&effects, margin),
                    told(&format!("{what} logged value, one for each seed, t interval")),
                )
            }
        }
    }

    fn positive(&self, effects: &[f64], margin: f64) -> Decision {
        answer(verdict::positive(effects, margin, self.alpha))
    }

    /// The conditions `of` against each single rival. That all rivals are worse needs no correction among them (an
    /// intersection-union test); that one is better is looked for among all, and so is corrected.
    fn best(
        &self,
        group: &ClaimGroup,
        margin: f64,
        values: &Values,
        notes: &mut Vec<String>,
    ) -> (Decision, String) {
        let rivals: Vec<(u32, Effects)> = group
            .against
            .iter()
            .map(|&rival| (rival, self.difference(values, &group.of, &[rival])))
            .collect();
        let count = rivals.len().max(1);
        let beaten =
            rivals.iter().filter(|(_, effects)| self.positive(effects, margin).verdict == Verdict::Supported);
        let beaten = beaten.count();
        let corrected = self.alpha / count as f64;
        let lost = rivals.iter().any(|(_, effects)| {
            answer(verdict::positive(effects, margin, corrected)).verdict == Verdict::NotSupported
        });
        // Shown is the closest rival: the one with the smallest mean difference.
        let closest = rivals
            .iter()
            .map(|(rival, effects)| (*rival, self.positive(effects, margin)))
            .min_by(|a, b| a.1.mean.unwrap_or(f64::INFINITY).total_cmp(&b.1.mean.unwrap_or(f64::INFINITY)));
        let verdict = match (beaten == count, lost) {
            (true, _) => Verdict::Supported,
            (false, true) => Verdict::NotSupported,
            (false, false) => Verdict::Undecided,
        };
        let told = format!(
            "paired difference to each of {count} other conditions, t intervals; supported if all are above {margin}, not \
             supported if one is below at an error divided by their number; the numbers are those of the closest"
        );
        let Some((rival, decision)) = closest else { return (nothing(), told) };
        let label = self.material.conditions.iter().find(|condition| condition.index == rival);
        let label = label.map(|condition| condition.label.as_str()).unwrap_or_default();
        notes.push(format!("the closest: {label}; {beaten} of {count} beaten"));
        (Decision { verdict, ..decision }, told)
    }

    /// Final values, a diverged trial's being the worst of the sweep.
    fn finals(&self, metric: &str) -> Values {
        let known = self.material.metric_names(Vec::new());
        let mut sums: BTreeMap<(u32, u64), (f64, usize)> = BTreeMap::new();
        let names = names(metric, &known);
        for name in &names {
            for (condition, values) in self.material.values(name, DivergedPolicy::Worst) {
                for value in values {
                    let sum = sums.entry((condition, value.seed)).or_default();
                    *sum = (sum.0 + value.value, sum.1 + 1);
                }
            }
        }
        averages(sums)
    }

    /// Last logged value less the first, of trials that succeeded.
    fn changes(&self, metric: &str) -> Values {
        let known: Vec<String> = self.curves.keys().cloned().collect();
        let ended = self.material.trials.iter().filter(|trial| trial.state == TrialState::Succeeded);
        let ended: BTreeSet<(u32, u64)> = ended.map(|trial| (trial.condition, trial.seed)).collect();
        let mut sums: BTreeMap<(u32, u64), (f64, usize)> = BTreeMap::new();
        for name in names(metric, &known) {
            let mut ends: BTreeMap<(u32, u64), (&CurveSample, &CurveSample)> = BTreeMap::new();
            for sample in
                self.curves.get(name).into_iter().flatten().filter(|sample| sample.value.is_finite())
            {
                let (first, last) = ends.entry((sample.condition, sample.seed)).or_insert((sample, sample));
                if sample.step < first.step {
                    *first = sample;
                }
                if sample.step > last.step {
                    *last = sample;
                }
            }
            for (key, (first, last)) in ends.into_iter().filter(|(key, _)| ended.contains(key)) {
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + last.value - first.value, sum.1 + 1);
            }
        }
        averages(sums)
    }

    /// The mean over conditions for each seed that has a value of all of them.
    fn means(&self, values: &Values, conditions: &[u32]) -> BTreeMap<u64, f64> {
        let seeds = self.material.sweep.seeds.iter();
        let mean = |seed: u64| -> Option<f64> {
            let of_seed: Option<Vec<f64>> =
                conditions.iter().map(|&condition| values.get(&(condition, seed)).copied()).collect();
            of_seed.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
        };
        seeds.filter_map(|&seed| Some((seed, mean(seed)?))).collect()
    }

    fn difference(&self, values: &Values, of: &[u32], against: &[u32]) -> Effects {
        let against = self.means(values, against);
        let own = self.means(values, of);
        own.iter().filter_map(|(seed, own)| Some(own - against.get(seed)?)).collect()
    }

    /// Each seed's slope over the key, on its binary logarithm where all values are positive.
    fn slopes(&self, values: &Values, group: &ClaimGroup) -> (Effects, &'static str) {
        let log = group.x.iter().all(|&x| x > 0.0);
        let x = |x: f64| if log { x.log2() } else { x };
        let slope = |seed: u64| {
            let points: Option<Vec<(f64, f64)>> = group
                .of
                .iter()
                .zip(&group.x)
                .map(|(&condition, &at)| Some((x(at), *values.get(&(condition, seed))?)))
                .collect();
            motif_stats::line(&points?).ok().map(|line| line.slope)
        };
        let slopes = self.material.sweep.seeds.iter().filter_map(|&seed| slope(seed)).collect();
        (slopes, if log { "doubling" } else { "unit" })
    }

    fn note_missing(&self, group: &ClaimGroup, n: usize, notes: &mut Vec<String>) {
        let seeds = self.material.sweep.seeds.len();
        if n < seeds {
            notes.push(format!("{n} of {seeds} seeds have a value for every condition involved"));
        }
        let involved = |condition: u32| group.of.contains(&condition) || group.against.contains(&condition);
        let diverged = self.material.trials.iter();
        let diverged =
            diverged.filter(|trial| trial.state == TrialState::Diverged && involved(trial.condition));
        match diverged.count() {
            0 => {}
            count => notes.push(format!("{count} diverged, counted with the sweep's worst value")),
        }
    }
}

fn averages(sums: BTreeMap<(u32, u64), (f64, usize)>) -> Values {
    sums.into_iter().map(|(key, (sum, count))| (key, sum / count as f64)).collect()
}

/// Values are finite and the level is a constant: an error would be a fault of this file, and decides nothing.
fn answer(decision: Result<Decision, motif_stats::OneSampleError>) -> Decision {
    decision.unwrap_or_else(|_| nothing())
}

fn nothing() -> Decision {
    Decision { verdict: Verdict::Undecided, n: 0, mean: None, interval: None, t: None, p: None }
}

#[cfg(test)]
mod tests;
