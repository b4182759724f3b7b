//! Milliseconds per minibatch of 784-200-200-200-10 at batch 64, per rule: `cargo run --release --example step_time`.

use std::error::Error;

use motif_net::config::{Diagnostics, DownstreamActivation, NamedCadence, RuleName};
use motif_net::{Examples, Task, Trainer, TrialConfig, Values, instruction_set};

const EXAMPLES: usize = 6_400;
const FEATURES: usize = 784;
const STEPS: usize = 100;
const REPEATS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let values: Vec<u8> = (0..EXAMPLES * FEATURES).map(|i| (i * i % 251) as u8).collect();
    let labels: Vec<u16> = (0..EXAMPLES).map(|i| (i * 7 % 10) as u16).collect();
    let split = Examples { values: Values::U8(&values), labels: &labels, features: FEATURES };
    let task = Task::new(split, split, 10)?;
    println!("{}", instruction_set());
    let tanh = DownstreamActivation::Tanh;
    for (label, rule, ratio, downstream) in [
        ("sal ratio 2", RuleName::Sal, 2.0, DownstreamActivation::Linear),
        ("sal ratio 2 tanh", RuleName::Sal, 2.0, tanh),
        ("sal ratio 8", RuleName::Sal, 8.0, DownstreamActivation::Linear),
        ("bp", RuleName::Bp, 2.0, DownstreamActivation::Linear),
    ] {
        let config = TrialConfig {
            rule,
            ratio,
            downstream_activation: downstream,
            epochs: 1_000,
            diagnostics: Diagnostics::Named(NamedCadence::Off),
            ..TrialConfig::default()
        };
        println!("{label:<18} {:.3} ms/step", fastest(&config, &task)?);
    }
    Ok(())
}

/// The fastest of several stretches, in milliseconds per step.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn fastest(config: &TrialConfig, task: &Task<'_>) -> Result<f64, Box<dyn Error>> {
    let mut trainer = Trainer::new(config, 0, task)?;
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = std::time::Instant::now();
        for _ in 0..STEPS - 1 {
            if let Some(outcome) = trainer.step(&mut ()) {
                return Err(format!("ended early: {outcome:?}").into());
            }
        }
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3 / (STEPS - 1) as f64);
        trainer.step(&mut ());
    }
    Ok(fastest)
}
