//! The equations again, in f64 and plain nested loops, sharing nothing with the engine but the config's types.

use std::collections::BTreeMap;

use motif_net::TrialConfig;
use motif_net::config::{
    Activation, DownstreamActivation, HebbianPartner, LocalSignal, RuleName, Schedule, Synapse,
};
use ndarray::Array2;

pub(crate) type Matrix = Vec<Vec<f64>>;
pub(crate) type Weights = BTreeMap<String, Matrix>;

pub(crate) fn weights(tensors: &[(String, Array2<f32>)]) -> Weights {
    tensors.iter().map(|(name, value)| (name.clone(), matrix(value))).collect()
}

pub(crate) fn matrix(value: &Array2<f32>) -> Matrix {
    value.rows().into_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

/// `X Y`.
pub(crate) fn times(x: &Matrix, y: &Matrix) -> Matrix {
    let mut out = vec![vec![0.0; y[0].len()]; x.len()];
    for (i, row) in x.iter().enumerate() {
        for (k, &value) in row.iter().enumerate() {
            for (j, other) in y[k].iter().enumerate() {
                out[i][j] += value * other;
            }
        }
    }
    out
}

pub(crate) fn transpose(x: &Matrix) -> Matrix {
    (0..x[0].len()).map(|j| x.iter().map(|row| row[j]).collect()).collect()
}

pub(crate) fn inner(x: &Matrix, y: &Matrix) -> f64 {
    x.iter().flatten().zip(y.iter().flatten()).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(x: &Matrix) -> f64 {
    inner(x, x).sqrt()
}

pub(crate) fn cosine(x: &Matrix, y: &Matrix) -> f64 {
    inner(x, y) / (norm(x) * norm(y))
}

pub(crate) fn minus(x: &Matrix, y: &Matrix) -> Matrix {
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(a, b)| a - b).collect()).collect()
}

fn each(x: &Matrix, f: impl Fn(f64) -> f64) -> Matrix {
    x.iter().map(|row| row.iter().map(|&value| f(value)).collect()).collect()
}

fn both(x: &Matrix, y: &Matrix, f: impl Fn(f64, f64) -> f64) -> Matrix {
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(&a, &b)| f(a, b)).collect()).collect()
}

/// All signals of a batch, indexed by layer, rows are examples.
pub(crate) struct Activity {
    pub(crate) a: Vec<Matrix>,
    pub(crate) h: Vec<Matrix>,
    pub(crate) a_bar: Vec<Matrix>,
    pub(crate) h_bar: Vec<Matrix>,
    pub(crate) u: Vec<Matrix>,
    pub(crate) g: Vec<Matrix>,
    pub(crate) g_bp: Vec<Matrix>,
    pub(crate) loss: f64,
}

fn phi(config: &TrialConfig, a: f64) -> (f64, f64) {
    match config.activation {
        _ if config.rule == RuleName::Linear => (a, 1.0),
        Activation::Linear => (a, 1.0),
        Activation::Tanh => (a.tanh(), 1.0 - a.tanh() * a.tanh()),
        Activation::Relu if a > 0.0 => (a, 1.0),
        Activation::Relu => (0.0, 0.0),
    }
}

fn phi_bar(activation: DownstreamActivation, a_bar: f64, u: f64) -> f64 {
    match activation {
        DownstreamActivation::Linear => a_bar,
        DownstreamActivation::Tanh => a_bar.tanh(),
        DownstreamActivation::Relu => f64::max(a_bar, 0.0),
        DownstreamActivation::LeakyRelu => a_bar * if a_bar > 0.0 { 1.0 } else { 0.01 },
        DownstreamActivation::Gated => a_bar * if u > 0.0 { 1.0 } else { 0.0 },
    }
}

pub(crate) fn activity(config: &TrialConfig, weights: &Weights, x: &Matrix, y: &[u16]) -> Activity {
    let depth = config.hidden.len() + 1;
    let tensor = |kind: &str, layer: usize| &weights[&format!("{kind}.{layer}")];
    let none: Vec<Matrix> = vec![Vec::new(); depth + 1];
    let mut act = Activity {
        a: none.clone(),
        h: none.clone(),
        a_bar: none.clone(),
        h_bar: none.clone(),
        u: none.clone(),
        g: none.clone(),
        g_bp: none,
        loss: 0.0,
    };
    act.h[0] = x.clone();
    for l in 1..=depth {
        act.a[l] = times(&act.h[l - 1], &transpose(tensor("w", l)));
        if config.biases {
            for row in &mut act.a[l] {
                row.iter_mut().zip(tensor("b", l)).for_each(|(a, bias)| *a += bias[0]);
            }
        }
        act.h[l] = each(&act.a[l], |a| phi(config, a).0);
    }
    let mut e = act.a[depth].clone();
    for (row, &label) in e.iter_mut().zip(y) {
        let total: f64 = row.iter().map(|a| a.exp()).sum();
        act.loss -= (row[usize::from(label)].exp() / total).ln() / y.len() as f64;
        for (class, value) in row.iter_mut().enumerate() {
            *value = f64::from(u8::from(class == usize::from(label))) - value.exp() / total;
        }
    }
    act.g_bp[depth] = e.clone();
    act.g[depth] = e.clone();
    act.h_bar[depth] = e;
    for l in (1..depth).rev() {
        let slope = each(&act.a[l], |a| phi(config, a).1);
        act.g_bp[l] = both(&times(&act.g_bp[l + 1], tensor("w", l + 1)), &slope, |g, s| g * s);
        act.g[l] = act.g_bp[l].clone();
        match config.rule {
            RuleName::Fa | RuleName::Kp | RuleName::SignSymmetry => {
                let drive = times(&act.g[l + 1], &transpose(tensor("w_bar", l)));
                act.g[l] = both(&drive, &slope, |g, s| g * s);
            }
            RuleName::Dfa => {
                let drive = times(&act.g[depth], &transpose(tensor("w_bar", l)));
                act.g[l] = both(&drive, &slope, |g, s| g * s);
            }
            _ => {}
        }
        if matches!(config.rule, RuleName::Sal | RuleName::Custom) {
            act.u[l] = times(&act.h[l], &transpose(tensor("v", l)));
            act.a_bar[l] = times(&act.h_bar[l + 1], &transpose(tensor("w_bar", l)));
            let down = config.downstream_activation;
            act.h_bar[l] = both(&act.a_bar[l], &act.u[l], |a_bar, u| phi_bar(down, a_bar, u));
            if down == DownstreamActivation::Gated {
                act.u[l] = each(&act.u[l], |u| if u > 0.0 { u } else { 0.0 });
            }
            act.g[l] = both(&times(&act.h_bar[l], &transpose(tensor("v_bar", l))), &slope, |g, s| g * s);
        }
    }
    act
}

/// `⟨target sourceᵀ⟩`.
pub(crate) fn mean_outer(target: &Matrix, source: &Matrix) -> Matrix {
    each(&times(&transpose(target), source), |sum| sum / target.len() as f64)
}

/// `ΔX` under a custom rule over the motif's circuit.
fn custom_changes(config: &TrialConfig, weights: &Weights, act: &Activity) -> Weights {
    let depth = config.hidden.len() + 1;
    let signal = |name: LocalSignal, l: usize| match name {
        LocalSignal::H if l == depth => None,
        LocalSignal::H => Some(&act.h[l]),
        LocalSignal::A => act.a.get(l),
        LocalSignal::HBar => act.h_bar.get(l),
        LocalSignal::ABar => act.a_bar.get(l),
        LocalSignal::U => act.u.get(l),
        LocalSignal::G => act.g.get(l),
        LocalSignal::E if l == depth => Some(&act.g[depth]),
        LocalSignal::E => None,
    };
    let mut changes = Weights::new();
    for name in weights.keys() {
        let (kind, l) = name.split_once('.').expect("a kind and a layer");
        let l: usize = l.parse().expect("a layer");
        let (terms, from) = match kind {
            "w" => (&config.updates.w, l - 1),
            "w_bar" => (&config.updates.w_bar, l + 1),
            "v" => (&config.updates.v, l),
            _ => (&config.updates.v_bar, l),
        };
        for term in terms {
            let ends = (signal(term.target, l), signal(term.source, from));
            let (Some(target), Some(source)) = ends else { continue };
            if target.is_empty() || source.is_empty() {
                continue;
            }
            let product = each(&mean_outer(target, source), |value| term.coefficient * value);
            let sum = changes.entry(name.clone()).or_insert_with(|| each(&product, |_| 0.0));
            *sum = both(sum, &product, |a, b| a + b);
        }
    }
    changes
}

/// `ΔX` of every tensor that learns.
pub(crate) fn changes(config: &TrialConfig, weights: &Weights, x: &Matrix, y: &[u16]) -> Weights {
    let act = activity(config, weights, x, y);
    if config.rule == RuleName::Custom {
        return custom_changes(config, weights, &act);
    }
    let depth = config.hidden.len() + 1;
    let sal = config.rule == RuleName::Sal;
    let plastic = |synapse| !sal || config.plastic.contains(&synapse);
    let pre = config.hebbian_partner == HebbianPartner::Pre;
    let mut changes = Weights::new();
    for l in 1..=depth {
        if l == depth || (plastic(Synapse::W) && config.rule != RuleName::LastLayer) {
            changes.insert(format!("w.{l}"), mean_outer(&act.g[l], &act.h[l - 1]));
            if config.biases {
                changes.insert(format!("b.{l}"), mean_outer(&act.g[l], &vec![vec![1.0]; y.len()]));
            }
        }
        if config.rule == RuleName::Kp && l < depth {
            changes.insert(format!("w_bar.{l}"), mean_outer(&act.h[l], &act.g[l + 1]));
        }
        if !sal || l == depth {
            continue;
        }
        let (own, own_bar) = if pre { (&act.a[l], &act.a_bar[l]) } else { (&act.h[l], &act.h_bar[l]) };
        if plastic(Synapse::WBar) {
            changes.insert(format!("w_bar.{l}"), mean_outer(&act.u[l], &act.h_bar[l + 1]));
        }
        if plastic(Synapse::V) {
            changes.insert(format!("v.{l}"), mean_outer(own_bar, &act.h[l]));
        }
        if plastic(Synapse::VBar) {
            changes.insert(format!("v_bar.{l}"), mean_outer(own, &act.h_bar[l]));
        }
    }
    changes
}

/// `W̄_l = s_l sign(W_{l+1})ᵀ`, with the deviation `s_l` of the initial `W_{l+1}`.
pub(crate) fn sign_feedback(config: &TrialConfig, weights: &Weights, l: usize) -> Matrix {
    let spread = if config.activation == Activation::Relu { 2.0 } else { 1.0 };
    let magnitude = f64::from((spread / config.hidden[l - 1] as f64).sqrt() as f32);
    each(&transpose(&weights[&format!("w.{}", l + 1)]), |w| magnitude * w.signum())
}

/// One step; `t` of `total` from 0.
pub(crate) fn step(
    config: &TrialConfig,
    weights: &mut Weights,
    velocities: &mut Weights,
    batch: &(Array2<f32>, Vec<u16>),
    t: usize,
    total: usize,
) {
    let changes = changes(config, weights, &matrix(&batch.0), &batch.1);
    let factor = match config.schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * t as f64 / total as f64).cos()),
    };
    for (name, change) in changes {
        let (kind, _) = name.split_once('.').expect("a kind and a layer");
        let pick = |values: &motif_net::config::PerSynapse| match kind {
            // Kolen–Pollack's feedback learns and decays as `W` does.
            "w_bar" if config.rule == RuleName::Kp => values.w,
            "w" | "b" => values.w,
            "w_bar" => values.w_bar,
            "v" => values.v,
            _ => values.v_bar,
        };
        let (rate, decay) = (pick(&config.rates) * factor, pick(&config.decay));
        let size = norm(&change);
        let scale = if config.clip_norm > 0.0 { (config.clip_norm / size).min(1.0) } else { 1.0 };
        let tensor = weights.get_mut(&name).expect("a tensor per change");
        let push = both(tensor, &change, |x, dx| scale * dx - decay * x);
        let velocity = velocities.entry(name).or_insert_with(|| each(&push, |_| 0.0));
        *velocity = both(velocity, &push, |m, push| config.momentum * m + push);
        *tensor = both(tensor, velocity, |x, m| x + rate * m);
    }
    if config.rule == RuleName::SignSymmetry {
        for l in 1..=config.hidden.len() {
            let feedback = sign_feedback(config, weights, l);
            weights.insert(format!("w_bar.{l}"), feedback);
        }
    }
}

/// The eigenvalues of a symmetric matrix, ascending, by Jacobi rotations.
pub(crate) fn eigenvalues(matrix: &Matrix) -> Vec<f64> {
    let mut a = matrix.clone();
    let n = a.len();
    for _ in 0..100 {
        for p in 0..n {
            for q in p + 1..n {
                let angle = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                let (sin, cos) = angle.sin_cos();
                for row in &mut a {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (above, below) = a.split_at_mut(q);
                for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|place| a[place][place]).collect();
    values.sort_by(f64::total_cmp);
    values
}
