//! Regression trees over ordered levels: each grown on a part of the rows and tried on the others. Knows nothing of
//! what the levels stand for; rows come in an order that is theirs, so that the same rows give the same forest.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::interval::below;
use crate::sample;

/// Rows a tree is grown on at the most.
const GROWN_ROWS_MAX: usize = 1_000;
/// Part of the rows that a tree is grown on, what a bootstrap sample holds of them on average: 1 − 1/e.
const GROWN_PART: f64 = 0.632;
/// Fewest rows of a leaf.
const LEAF_ROWS_MIN: usize = 3;
/// Rows that the trees are tried on at the most.
const TRIED_ROWS_MAX: usize = 2_000;

/// A row: the level of each variable, and the value there.
pub(crate) struct Row<'a> {
    pub(crate) levels: &'a [u32],
    pub(crate) value: f64,
}

/// A node; the root stands first.
enum Node {
    /// Levels of `variable` below `bound` go to `left`, the others to the node after it.
    Split {
        variable: usize,
        bound: u32,
        left: usize,
    },
    Leaf {
        value: f64,
    },
}

/// A tree.
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

/// Trees, and how well they predict.
pub(crate) struct Forest {
    pub(crate) trees: Vec<Tree>,
    /// `1 − Σ(y − ŷ)² / Σ(y − ȳ)²` over rows, each predicted by the trees that were not grown on it; `None` if there are
    /// fewer than two such rows or they do not vary.
    pub(crate) r_squared: Option<f64>,
}

/// A leaf: the levels `low..high` of each variable, and the value there.
pub(crate) struct Leaf {
    pub(crate) bounds: Vec<(u32, u32)>,
    pub(crate) value: f64,
}

impl Forest {
    /// Grows `trees` trees on parts of the rows that are drawn without replacement.
    pub(crate) fn grow(rows: &[Row<'_>], trees: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let grown = ((rows.len() as f64 * GROWN_PART).ceil() as usize).min(GROWN_ROWS_MAX);
        // The rows come sorted: a part of them has to be drawn.
        let mut tried: Vec<usize> = (0..rows.len()).collect();
        shuffle(&mut tried, TRIED_ROWS_MAX, &mut rng);
        tried.truncate(TRIED_ROWS_MAX);
        let mut sums = vec![(0.0, 0_u32); rows.len()];
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let trees = (0..trees).map(|_| {
            shuffle(&mut order, grown, &mut rng);
            let mut own = order[..grown].to_vec();
            let mut used = vec![false; rows.len()];
            own.iter().for_each(|&row| used[row] = true);
            let tree = Tree::grow(rows, &mut own, &mut rng);
            for &row in tried.iter().filter(|&&row| !used[row]) {
                sums[row].0 += tree.predict(rows[row].levels);
                sums[row].1 += 1;
            }
            tree
        });
        let trees: Vec<Tree> = trees.collect();
        Self { trees, r_squared: r_squared(rows, &sums) }
    }
}

impl Forest {
    /// Variance of what the forest predicts when each variable is drawn by itself; `sums` are the cumulated shares of its
    /// levels.
    pub(crate) fn variance(&self, sums: &[Vec<f64>], draws: usize, seed: u64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Another stream than the one the trees were grown with.
        rng.set_stream(1);
        let mut levels = vec![0; sums.len()];
        let predicted: Vec<f64> = (0..draws)
            .map(|_| {
                for (level, sums) in levels.iter_mut().zip(sums) {
                    let at = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                    let found = sums[1..sums.len() - 1].partition_point(|&sum| sum <= at);
                    *level = u32::try_from(found).unwrap_or(u32::MAX);
                }
                self.trees.iter().map(|tree| tree.predict(&levels)).sum::<f64>() / self.trees.len() as f64
            })
            .collect();
        let mean = sample::sum(predicted.iter().copied()) / draws as f64;
        sample::sum(predicted.iter().map(|value| (value - mean).powi(2))) / draws as f64
    }
}

/// Puts `count` elements drawn without replacement first.
fn shuffle(elements: &mut [usize], count: usize, rng: &mut ChaCha8Rng) {
    for at in 0..count.min(elements.len()) {
        elements.swap(at, at + below(rng, elements.len() - at));
    }
}

fn r_squared(rows: &[Row<'_>], sums: &[(f64, u32)]) -> Option<f64> {
    let predicted = rows.iter().zip(sums).filter(|(_, sum)| sum.1 > 0);
    let pairs: Vec<(f64, f64)> =
        predicted.map(|(row, (sum, trees))| (row.value, sum / f64::from(*trees))).collect();
    let mean = sample::sum(pairs.iter().map(|pair| pair.0)) / pairs.len() as f64;
    let total = sample::sum(pairs.iter().map(|(value, _)| (value - mean).powi(2)));
    let wrong = sample::sum(pairs.iter().map(|(value, guess)| (value - guess).powi(2)));
    (pairs.len() >= 2 && total > 0.0).then(|| 1.0 - wrong / total)
}

impl Tree {
    fn grow(rows: &[Row<'_>], own: &mut [usize], rng: &mut ChaCha8Rng) -> Self {
        let mut nodes = vec![Node::Leaf { value: 0.0 }];
        let mut waiting = vec![(0, &mut *own)];
        while let Some((node, here)) = waiting.pop() {
            let mean = sample::sum(here.iter().map(|&row| rows[row].value)) / here.len() as f64;
            let Some(Cut { variable, bound, .. }) = best_cut(rows, here, mean, rng) else {
                nodes[node] = Node::Leaf { value: mean };
                continue;
            };
            // Stable, so that the order of the rows stays theirs.
            here.sort_by_key(|&row| rows[row].levels[variable] >= bound);
            let size = here.partition_point(|&row| rows[row].levels[variable] < bound);
            let (low, high) = here.split_at_mut(size);
            let left = nodes.len();
            nodes[node] = Node::Split { variable, bound, left };
            nodes.extend([Node::Leaf { value: 0.0 }, Node::Leaf { value: 0.0 }]);
            waiting.extend([(left, low), (left + 1, high)]);
        }
        Self { nodes }
    }

    fn predict(&self, levels: &[u32]) -> f64 {
        let mut here = 0;
        loop {
            match self.nodes[here] {
                Node::Leaf { value } => return value,
                Node::Split { variable, bound, left } => here = left + usize::from(levels[variable] >= bound),
            }
        }
    }

    /// The leaves, whose bounds share out all levels.
    pub(crate) fn leaves(&self, levels: &[usize]) -> Vec<Leaf> {
        let whole = levels.iter().map(|&count| (0, u32::try_from(count).unwrap_or(u32::MAX))).collect();
        let mut leaves = Vec::new();
        let mut waiting: Vec<(usize, Vec<(u32, u32)>)> = vec![(0, whole)];
        while let Some((node, bounds)) = waiting.pop() {
            match self.nodes[node] {
                Node::Leaf { value } => leaves.push(Leaf { bounds, value }),
                Node::Split { variable, bound, left } => {
                    let (mut low, mut high) = (bounds.clone(), bounds);
                    low[variable].1 = bound;
                    high[variable].0 = bound;
                    waiting.extend([(left, low), (left + 1, high)]);
                }
            }
        }
        leaves
    }
}

/// A cut and the sum of squares that it explains.
struct Cut {
    variable: usize,
    bound: u32,
    explained: f64,
}

/// The best cut over five sixths of the variables, drawn anew at each node (Hutter et al. 2014 grow theirs so).
fn best_cut(rows: &[Row<'_>], here: &[usize], mean: f64, rng: &mut ChaCha8Rng) -> Option<Cut> {
    if here.len() < 2 * LEAF_ROWS_MIN {
        return None;
    }
    let mut variables: Vec<usize> = (0..rows[here[0]].levels.len()).collect();
    let tried = (5 * variables.len()).div_ceil(6);
    shuffle(&mut variables, tried, rng);
    variables.truncate(tried);
    let mut best: Option<Cut> = None;
    let mut sorted: Vec<(u32, f64)> = Vec::with_capacity(here.len());
    for variable in variables {
        sorted.clear();
        sorted.extend(here.iter().map(|&row| (rows[row].levels[variable], rows[row].value - mean)));
        sorted.sort_by_key(|(level, _)| *level);
        let mut sum = 0.0;
        for at in 1..=here.len() - LEAF_ROWS_MIN {
            sum += sorted[at - 1].1;
            let (below, above) = (at as f64, (here.len() - at) as f64);
            if at < LEAF_ROWS_MIN || sorted[at].0 == sorted[at - 1].0 {
                continue;
            }
            // The deviations sum to zero: what one side has, the other lacks.
            let explained = sum * sum * (1.0 / below + 1.0 / above);
            if explained > best.as_ref().map_or(0.0, |best| best.explained) {
                best = Some(Cut { variable, bound: sorted[at].0, explained });
            }
        }
    }
    best
}
