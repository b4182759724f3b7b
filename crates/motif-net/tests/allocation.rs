//! A step allocates nothing once the first was made, where the engine's own kernels run; counted on this thread.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Toy, small};
use motif_net::config::{Augment, Diagnostics, DownstreamActivation, NamedCadence, RuleName};
use motif_net::{Trainer, TrialConfig};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing() {
    if !cfg!(target_arch = "x86_64") || !["avx512f", "avx2+fma"].contains(&motif_net::instruction_set()) {
        return;
    }
    let off = Diagnostics::Named(NamedCadence::Off);
    for rule in RuleName::BUILT_IN {
        for (downstream_activation, hidden, batch_size) in [
            (DownstreamActivation::Linear, [60, 50], 4),
            (DownstreamActivation::Tanh, [60, 50], 64),
            (DownstreamActivation::Gated, [9, 130], 64),
        ] {
            for (momentum, biases, shift) in [(0.0, false, 0), (0.5, true, 3)] {
                let config = TrialConfig {
                    rule,
                    downstream_activation,
                    batch_size,
                    momentum,
                    biases,
                    augment: Augment { shift, flip: shift > 0 },
                    epochs: 2,
                    diagnostics: off,
                    ..small(&hidden)
                };
                // Ten steps per epoch: no point is logged in those that are counted.
                let toy = Toy::new(batch_size * 10, 5, 70, 6);
                let task = toy.task();
                let mut trainer = Trainer::new(&config, 0, &task).unwrap();
                assert!(trainer.step(&mut ()).is_none(), "{config:?}");
                let before = ALLOCATIONS.get();
                for _ in 0..8 {
                    assert!(trainer.step(&mut ()).is_none(), "{config:?}");
                }
                let counted = ALLOCATIONS.get() - before;
                assert_eq!(counted, 0, "allocations in 8 steps of {config:?}");
            }
        }
    }
}
