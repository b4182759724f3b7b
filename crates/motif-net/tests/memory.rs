//! The memory a trial needs is foreseen: what it allocates at most, counted on this thread, against the estimate.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Toy, small};
use motif_net::config::{
    Activation, Diagnostics, DownstreamActivation, Feedback, LocalSignal, NamedCadence, RuleName, UpdateTerm,
    Updates,
};
use motif_net::validate::RATIO;
use motif_net::{TaskSize, Trainer, TrialConfig};

struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: hands every call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: `pointer` came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` held at a time, on a thread of its own: the kernels' buffers stay with the thread.
fn peak(work: impl FnOnce() + Send) -> u64 {
    let counted = || {
        let before = HELD.get();
        PEAK.set(before);
        work();
        u64::try_from(PEAK.get() - before).expect("a peak is not below where it began")
    };
    std::thread::scope(|scope| scope.spawn(counted).join().expect("a life without a panic"))
}

/// A whole short life: built, shown, trained, left, taken up again and trained to its end.
fn live(config: &TrialConfig, toy: &Toy) {
    let task = toy.task();
    let mut trainer = Trainer::new(config, 0, &task).expect("a sound config");
    trainer.start(&mut ());
    assert!(trainer.step(&mut ()).is_none(), "{config:?}");
    let checkpoint = trainer.checkpoint();
    drop(trainer);
    let trainer = Trainer::resume(config, 0, &task, &checkpoint).expect("its own checkpoint");
    drop(checkpoint);
    trainer.run(&mut ());
}

fn custom() -> TrialConfig {
    let term = |target, source| UpdateTerm { coefficient: 0.5, target, source };
    let w = vec![term(LocalSignal::G, LocalSignal::H), term(LocalSignal::A, LocalSignal::H)];
    let updates = Updates { w, v: vec![term(LocalSignal::U, LocalSignal::H)], ..Updates::default() };
    TrialConfig { rule: RuleName::Custom, feedback: Feedback::Motif, updates, ..TrialConfig::default() }
}

#[test]
fn a_trial_needs_no_more_than_was_foreseen_and_not_much_less() {
    let named = Diagnostics::Named;
    let (off, epoch) = (named(NamedCadence::Off), named(NamedCadence::Epoch));
    let rules = RuleName::BUILT_IN.map(|rule| TrialConfig { rule, ..TrialConfig::default() });
    // Features, widths, ratio, batch.
    let shapes = [
        (784, vec![300, 200, 300], 2.0, 64),
        (3072, vec![400], 0.5, 20),
        (200, vec![150; 6], 4.0, 300),
        (64, vec![600, 600], 1.0, 1),
    ];
    let mut widest = (f64::INFINITY, 0.0_f64);
    for (features, hidden, ratio, batch_size) in shapes {
        let toy = Toy::new(3 * batch_size, 30, features, 10);
        for rule in rules.iter().cloned().chain([custom()]) {
            for (momentum, biases, diagnostics, spectra) in
                [(0.0, false, off, off), (0.5, true, epoch, off), (0.0, false, epoch, epoch)]
            {
                // What spectra take depends on the shapes alone, and they take long.
                if !spectra.is_off() && ![RuleName::Sal, RuleName::Bp, RuleName::Kp].contains(&rule.rule) {
                    continue;
                }
                let config = TrialConfig {
                    hidden: hidden.clone(),
                    ratio,
                    batch_size,
                    momentum,
                    biases,
                    diagnostics,
                    spectra,
                    epochs: 1,
                    downstream_activation: DownstreamActivation::Tanh,
                    ..rule.clone()
                };
                let foreseen = config.memory_bytes(&toy.task().size());
                let needed = peak(|| live(&config, &toy));
                let share = needed as f64 / foreseen as f64;
                widest = (widest.0.min(share), widest.1.max(share));
                assert!(share <= 1.0, "{needed} bytes beyond {foreseen}: {config:?}");
                assert!(share >= 0.4, "{needed} bytes, far from {foreseen}: {config:?}");
            }
        }
    }
    println!("between {:.0} % and {:.0} % of the estimate is needed", 100.0 * widest.0, 100.0 * widest.1);
}

#[test]
fn a_small_trial_needs_no_more_than_was_foreseen() {
    let toy = Toy::new(40, 30, 5, 3);
    for rule in RuleName::BUILT_IN {
        let config = TrialConfig { rule, activation: Activation::Linear, ..small(&[6]) };
        let (foreseen, needed) = (config.memory_bytes(&toy.task().size()), peak(|| live(&config, &toy)));
        assert!(needed <= foreseen && foreseen < 12 << 20, "{needed} {foreseen}");
    }
}

/// The largest trial that breaks no limit, and one that breaks all: a number, no overflow.
#[test]
fn the_estimate_knows_no_overflow() {
    let most = TaskSize {
        train_examples: usize::MAX,
        test_examples: usize::MAX,
        features: usize::MAX,
        classes: usize::MAX,
        image: None,
    };
    for rule in RuleName::BUILT_IN {
        let largest = TrialConfig { rule, ratio: *RATIO.end(), momentum: 0.9, ..small(&[16_384; 64]) };
        let config = TrialConfig { batch_size: 65_536, biases: true, ..largest };
        let bytes = config.memory_bytes(&most);
        assert!(bytes > 1 << 40, "{rule:?}: {bytes}");
        let beyond = TrialConfig { hidden: vec![usize::MAX; 70], ratio: f64::INFINITY, ..config };
        assert_eq!(TrialConfig { batch_size: usize::MAX, ..beyond }.memory_bytes(&most), bytes, "{rule:?}");
        let none = TrialConfig { rule, hidden: vec![0], ratio: f64::NAN, batch_size: 0, ..small(&[]) };
        assert!(none.memory_bytes(&most) > 0);
    }
}
