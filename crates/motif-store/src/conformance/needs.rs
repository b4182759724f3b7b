//! Sweeps that are not for every worker.

use std::sync::Arc;

use motif_sweep::{ids::SweepId, requires::Abilities};

use super::world::World;
use crate::{
    Queue, Store,
    records::{Claim, Claimable, Leased, Steer},
};

const GIB: u64 = 1 << 30;

/// Claims, after asking whether that is of use, which must be answered alike.
async fn claim<Q: Queue + ?Sized>(world: &World<Q>, claim: Claim) -> Vec<Leased> {
    let asked = world.store.trial_claimable(&claim.worker.abilities, world.now).await.expect("an answer");
    let leased = world.store.trial_claim(claim, world.now).await.expect("a claim is answered");
    assert_eq!(asked == Claimable::Yes, !leased.is_empty(), "what can be claimed is claimed");
    leased
}

fn sweeps(leased: &[Leased]) -> Vec<SweepId> {
    leased.iter().map(|lease| lease.sweep_id).collect()
}

/// A worker takes a sweep's trials when it has all its labels and no less than its memory.
pub async fn needs_are_met_by_labels_and_memory(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = world.submit_needing(1, 3, &["big", "gpu"], Some(8 * GIB)).await;
    let stored = world.store.sweep_get(sweep.id).await.expect("the sweep is stored");
    assert_eq!(stored.control.needs, sweep.control.needs);
    let (big, both) = (["big"].as_slice(), ["big", "fast", "gpu"].as_slice());
    for (labels, memory_bytes) in [
        (&[] as &[&str], Some(64 * GIB)),
        (big, Some(64 * GIB)),
        (&["BIG", "GPU"], Some(64 * GIB)),
        (both, Some(8 * GIB - 1)),
        (both, None),
    ] {
        assert!(claim(&world, world.claim_with(1, labels, memory_bytes)).await.is_empty(), "{labels:?}");
    }
    assert_eq!(claim(&world, world.claim_with(1, both, Some(8 * GIB))).await.len(), 1);
    assert_eq!(claim(&world, world.claim_with(1, &["gpu", "big"], Some(9 * GIB))).await.len(), 1);

    let roomy = world.submit_needing(1, 1, &[], Some(GIB)).await;
    assert!(claim(&world, world.claim_with(1, big, None)).await.is_empty());
    assert_eq!(sweeps(&claim(&world, world.claim_with(1, &[], Some(GIB))).await), [roomy.id]);
}

/// Neither priority nor age nor fair sharing lets a sweep that a worker cannot take stand before those that it can; for
/// a worker that can take all, they count as ever.
pub async fn sweeps_for_others_hold_up_nobody(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let picky = world.submit_needing(1, 8, &["big"], None).await;
    let first = world.submit(1, 4).await;
    let second = world.submit(1, 4).await;
    let urgent = Steer::Priority(5);
    world.store.sweep_steer(picky.id, urgent, "someone", world.now).await.expect("steered");
    let plain = claim(&world, world.claim_with(5, &[], None)).await;
    let (a, b) = (first.id, second.id);
    assert_eq!(sweeps(&plain), [a, b, a, b, a], "they share fairly, as if the other were not there");
    assert_eq!(sweeps(&claim(&world, world.claim_with(2, &["big"], None)).await), [picky.id; 2]);
    world.store.sweep_steer(picky.id, Steer::Priority(0), "someone", world.now).await.expect("steered");
    // 2 of the picky one, 3 of the first and 2 of the second are in training: the older of those with fewest is next.
    let able = claim(&world, world.claim_with(4, &["big", "other"], None)).await;
    assert_eq!(sweeps(&able), [picky.id, b, picky.id, a]);
    assert_eq!(sweeps(&claim(&world, world.claim_with(9, &[], None)).await), [b]);
    assert!(claim(&world, world.claim_with(9, &[], None)).await.is_empty());
    let plain = Abilities::default();
    let for_plain = || world.store.trial_claimable(&plain, world.now);
    assert_eq!(for_plain().await.expect("an answer"), Claimable::ByOthers);
    assert_eq!(sweeps(&claim(&world, world.claim_with(9, &["big"], None)).await), [picky.id; 4]);
    assert_eq!(for_plain().await.expect("an answer"), Claimable::No);
}

/// A claim that is repeated is answered with its leases, although the worker would not get them now.
pub async fn repeated_claims_keep_their_leases_whatever_the_worker_has_now(store: Arc<dyn Queue>) {
    let world = World::new(store);
    world.submit_needing(1, 2, &["big"], Some(GIB)).await;
    let first = world.claim_with(2, &["big"], Some(GIB));
    let leased = world.store.trial_claim(first.clone(), world.now).await.expect("leases");
    assert_eq!(leased.len(), 2);
    let mut again = first;
    again.worker.abilities = Default::default();
    let told = world.store.trial_claim(again, world.now).await.expect("the same leases");
    assert_eq!(told, leased);
}

/// What a worker said last of its labels and its memory is what is listed.
pub async fn workers_show_what_they_have(store: Arc<dyn Store>) {
    let world = World::new(store);
    for (labels, memory_bytes) in
        [(&["b", "a"] as &[&str], Some(3 * GIB)), (&["a"], Some(1)), (&[], None), (&["c"], Some(GIB))]
    {
        let said = world.claim_with(1, labels, memory_bytes);
        world.store.trial_claim(said.clone(), world.now).await.expect("an empty answer");
        let listed = world.store.worker_list().await.expect("the workers");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].seen.abilities, said.worker.abilities);
    }
}
