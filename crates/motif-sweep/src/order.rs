//! The order of trials: seeded blocks, so that a half-done sweep is a fair picture.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::plan::{Condition, PlannedTrial};

/// All conditions of one seed before the next seed; within a block shuffled, by the conditions' content and the seed
/// alone, so that seeds added later leave the other blocks as they were.
pub(crate) fn blocks(conditions: &[Condition], seeds: &[u64]) -> Vec<PlannedTrial> {
    let mut content = blake3::Hasher::new_derive_key("motif order of trials v1");
    for condition in conditions {
        content.update(condition.config_hash().as_bytes());
    }
    let mut trials = Vec::with_capacity(conditions.len() * seeds.len());
    for &seed in seeds {
        let mut block: Vec<u32> = conditions.iter().map(|condition| condition.index).collect();
        let mut key = content.clone();
        key.update(&seed.to_le_bytes());
        shuffle(&mut block, &mut ChaCha8Rng::from_seed(*key.finalize().as_bytes()));
        trials.extend(block.into_iter().map(|condition| PlannedTrial { condition, seed }));
    }
    trials
}

/// Fisher–Yates; the bound is taken by multiplication, whose bias of 2⁻⁶⁴ nobody will see.
fn shuffle(items: &mut [u32], random: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        let below = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, usize::try_from(below).expect("below a length"));
    }
}
