//! Simulated worlds from the command line: many seeds, or one with all its steps. `cargo xtask simulate` runs this.

use std::process::ExitCode;

use clap::Parser;
use motif_testkit::simulation::{self, Kind, Outcome, Plant};

/// Let worlds happen, each from its seed, and look whether every promise of the queue holds.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate", bin_name = "cargo xtask simulate")]
struct Cli {
    /// Number of worlds.
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000_000))]
    from: u64,
    /// Only this seed.
    #[arg(long, value_name = "X", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print every step of it.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Build a fault in, which is to be noticed: drop-fence, reuse-number, reap-without-recheck, ack-before-commit,
    /// forget-claim or forget-completion.
    #[arg(long, value_name = "NAME", value_parser = plant, conflicts_with = "sqlite")]
    plant: Option<Plant>,
    /// Run on the SQLite store instead of the queue in memory.
    #[arg(long)]
    sqlite: bool,
}

impl Cli {
    fn kind(&self) -> Kind {
        if self.sqlite { Kind::Sqlite } else { Kind::Memory(self.plant) }
    }

    /// The command that lets the same world happen again, step by step.
    fn replay(&self, seed: u64) -> String {
        let plant = self.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
        let sqlite = if self.sqlite { " --sqlite" } else { "" };
        format!("cargo xtask simulate --seed {seed} --trace{plant}{sqlite}")
    }
}

fn plant(name: &str) -> Result<Plant, String> {
    let names = || Plant::ALL.map(Plant::name).join(", ");
    Plant::ALL
        .into_iter()
        .find(|plant| plant.name() == name)
        .ok_or_else(|| format!("expected one of {}", names()))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let broken = match cli.seed {
        Some(seed) => {
            let outcome = simulation::simulate(seed, cli.kind(), cli.trace);
            if cli.trace {
                println!("{}", outcome.trace.join("\n"));
            }
            let (lasted, hash) = (outcome.lasted.as_secs_f64(), &outcome.trace_hash);
            println!("seed {seed}: {} steps in {lasted:.1} s of its time, trace {hash}", outcome.steps);
            outcome.violation.is_some().then_some(outcome)
        }
        None => {
            let (tally, broken) = simulation::simulate_all(cli.from..cli.from + cli.seeds, cli.kind());
            if broken.is_none() {
                println!("{} worlds kept every promise: {tally:#?}", cli.seeds);
            }
            broken
        }
    };
    match broken {
        None => ExitCode::SUCCESS,
        Some(outcome) => {
            tell(&cli, &outcome);
            ExitCode::FAILURE
        }
    }
}

fn tell(cli: &Cli, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    if !cli.trace {
        println!("{}", outcome.trace.join("\n"));
    }
    println!("\nseed {} broke {}: {}", outcome.seed, violation.invariant, violation.what);
    println!("replay: {}", cli.replay(outcome.seed));
}
