//! The command line: names and help, nothing that acts.

mod control;

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use motif_sweep::{
    memory::{MAX_TRIAL_BYTES, human},
    requires::{self, NoLabel, Size},
};

pub(crate) use control::{Amend, Holes, Priority, Seeds, Verify};

/// Experiment sweeps for biologically plausible learning: nothing lost, honest statistics, bit-identical re-runs.
#[derive(Debug, Parser)]
#[command(name = "motif", version, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print one JSON document on stdout instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Address of the server [default: the one `motif up` wrote into the data directory, else http://127.0.0.1:8080].
    #[arg(long, global = true, env = "MOTIF_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Bearer token [default: the one `motif up` wrote into the data directory].
    #[arg(long, global = true, env = "MOTIF_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Data directory [default: the platform's data folder + `motif`].
    #[arg(long, global = true, env = "MOTIF_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a server and its workers on this machine.
    Up(Up),
    /// Start a server alone.
    Serve(Serve),
    /// Pull trials from a server and train them until told to stop.
    Worker(Worker),
    /// Train one trial here, without a server.
    Train(Train),
    /// Submit a sweep.
    Submit(Submit),
    /// Sweeps that come with Motif.
    #[command(subcommand)]
    Preset(Preset),
    /// List, inspect and steer sweeps.
    #[command(subcommand)]
    Sweep(Sweep),
    /// Inspect trials.
    #[command(subcommand)]
    Trial(Trial),
    /// List the workers that the server knows.
    Workers,
    /// Write a sweep to a file, or to a folder that needs no server.
    Export(Export),
    /// Submit the spec of a bundle again and compare the results.
    Rerun(Rerun),
    /// List, import, fetch and verify datasets.
    #[command(subcommand)]
    Dataset(Dataset),
    /// Create, list and revoke tokens.
    #[command(subcommand)]
    Token(Token),
    /// Copy the data directory's database, datasets and checkpoints to a new folder, while a server may be using them.
    Backup(Backup),
    /// Put a backup into a data directory that no server is using.
    Restore(Restore),
    /// Print the JSON Schema of a sweep or of a trial, for editors.
    Schema {
        /// Of what.
        of: SchemaOf,
    },
    /// Check this machine, the data directory and the server.
    Doctor(Doctor),
}

/// A size of memory within the engine's bound.
fn trial_memory(text: &str) -> Result<ByteSize, String> {
    let expected = || format!("expected a size up to {}, such as 8GiB or 500MB", human(MAX_TRIAL_BYTES));
    let size: ByteSize = text.parse().map_err(|_| expected())?;
    if (1..=MAX_TRIAL_BYTES).contains(&size.as_u64()) { Ok(size) } else { Err(expected()) }
}

/// A worker's label.
fn label(text: &str) -> Result<String, NoLabel> {
    requires::label(text)?;
    Ok(text.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// What `motif submit` reads.
    Sweep,
    /// What `motif train` reads.
    Trial,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(crate) listen: String,
    /// Worker processes of one slot each [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u16>,
    /// Refuse sweeps with trials that would need more memory, such as 8GiB [default: the machine's memory].
    #[arg(long, value_name = "SIZE", value_parser = trial_memory)]
    pub(crate) max_trial_memory: Option<ByteSize>,
    #[command(flatten)]
    pub(crate) has: Has,
}

/// What a worker has, by which sweeps choose their workers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Has {
    /// A label of the worker; repeat for more. Sweeps with `requires = { labels = ["LABEL"] }` go to workers that have it.
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    pub(crate) labels: Vec<String>,
    /// Memory of the worker, such as 64GiB, for sweeps with `requires = { memory = "8 GiB" }` [default: the machine's].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(crate) listen: String,
    /// Write a token with the scope `worker` to this file, unless it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) worker_token_file: Option<PathBuf>,
    /// Refuse sweeps with trials that would need more memory, such as 8GiB [default: 64GiB].
    #[arg(long, value_name = "SIZE", value_parser = trial_memory)]
    pub(crate) max_trial_memory: Option<ByteSize>,
    /// Take no lease back for so many seconds after a start: time for workers to report [default: 30].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) reap_grace_s: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Trials to train at once, one thread each [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u16>,
    /// Name shown to people [default: host name and process id].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Read the token from this file; waits up to a minute for it to appear.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Save each trial on the server after so many seconds of training: what another worker then need not do again.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) checkpoint_every_s: u64,
    #[command(flatten)]
    pub(crate) has: Has,
    /// Drain when stdin closes, so that workers end with whoever started them.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// A trial in TOML or JSON; `-` reads stdin.
    #[arg(value_name = "TRIAL.toml")]
    pub(crate) trial: String,
    /// Fixes initial weights, minibatch order and subset.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Write result.json, metrics.jsonl and snapshots/ here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Replace an earlier run in that folder.
    #[arg(long, requires = "out")]
    pub(crate) overwrite: bool,
    /// Threads that may take parts of large products, which changes no bit; as many as there are cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Also record the first K minibatches and a snapshot after each.
    #[arg(long, default_value_t = 0, value_name = "K", requires = "out")]
    pub(crate) trace_steps: u64,
    /// Also write a checkpoint each STEPS minibatches, so that a run that is killed loses no more than them. SIGINT and
    /// SIGTERM write one by themselves.
    #[arg(long, value_name = "STEPS", requires = "out", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) checkpoint_every: Option<u64>,
    /// Go on from the checkpoint in that folder, to the same bits as if the run had not been left. A trace cannot be
    /// gone on with: no checkpoint is written before it is complete.
    #[arg(long, requires = "out", conflicts_with_all = ["overwrite", "trace_steps"])]
    pub(crate) resume: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// A sweep in TOML or JSON; `-` reads stdin.
    #[arg(value_name = "SWEEP.toml")]
    pub(crate) sweep: String,
    #[command(flatten)]
    pub(crate) how: SubmitHow,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitHow {
    /// Wait until every trial has ended, then print the table.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Submit nothing: show the conditions and estimate time (from steps measured here), memory and disk.
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    pub(crate) dry_run: bool,
    /// Submitting again with the same key returns the same sweep.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Preset {
    /// List the presets.
    List,
    /// Print a preset's spec.
    Show {
        #[command(flatten)]
        which: PresetName,
    },
    /// Submit a preset.
    Submit {
        #[command(flatten)]
        which: PresetName,
        #[command(flatten)]
        how: SubmitHow,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PresetName {
    /// The preset.
    pub(crate) name: String,
    /// How large: minutes on two cores, or the paper's sizes [default: quick].
    #[arg(long, value_enum, value_name = "SCALE")]
    pub(crate) scale: Option<Scale>,
    /// As many seeds instead of the preset's.
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// Minutes on two cores.
    Quick,
    /// The paper's sizes and datasets.
    Paper,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sweep {
    /// List the newest sweeps.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show a sweep's table.
    Show {
        #[command(flatten)]
        sweep: SweepId,
        #[command(flatten)]
        of: StatisticsOf,
        /// How the interval of a mean is made [default: student-t].
        #[arg(long, value_enum, value_name = "METHOD")]
        interval: Option<IntervalMethod>,
    },
    /// Rank a search's conditions, the best first.
    Best {
        #[command(flatten)]
        sweep: SweepId,
        /// By which metric [default: the sweep's own].
        #[arg(long, value_name = "METRIC")]
        metric: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: u32,
    },
    /// Analyse the variance over a sweep's axes: main effects and two-way interactions.
    Anova {
        #[command(flatten)]
        sweep: SweepId,
        #[command(flatten)]
        of: StatisticsOf,
    },
    /// Show how much each swept key matters.
    Importance {
        #[command(flatten)]
        sweep: SweepId,
        #[command(flatten)]
        of: StatisticsOf,
    },
    /// Follow a sweep until it ends.
    Watch(SweepId),
    /// Start no new trials.
    Pause(SweepId),
    /// Start new trials again.
    Resume(SweepId),
    /// End waiting trials and stop running ones.
    Cancel(SweepId),
    /// Queue failed, dead and cancelled trials again.
    Retry(SweepId),
    /// Add seeds, values of axes, arms or points of the sample; what is there stays.
    Amend(Amend),
    /// Let a sweep's trials run before (or after) those of other sweeps.
    Priority(Priority),
    /// List the cells, condition by seed, that have no value and will get none by themselves.
    Holes(Holes),
    /// Run a random share of the trials again, on whichever worker comes, and compare the result hashes.
    Verify(Verify),
    /// Show how far the results have been reproduced.
    Verification(SweepId),
}

/// Statistics of what.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StatisticsOf {
    /// Of which metric [default: the sweep's own].
    #[arg(long, value_name = "METRIC")]
    pub(crate) metric: Option<String>,
    /// Leave diverged trials out, or count them with the sweep's worst value [default: exclude].
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) diverged: Option<DivergedPolicy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DivergedPolicy {
    /// They are left out, and counted.
    Exclude,
    /// They count with the sweep's worst value.
    Worst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntervalMethod {
    /// Student's t.
    StudentT,
    /// Bias-corrected and accelerated bootstrap, 10,000 resamples with a fixed seed.
    Bca,
}

#[derive(Debug, Args)]
pub(crate) struct SweepId {
    /// The sweep's id, the last digits of it, its name, or `latest`.
    #[arg(value_name = "SWEEP")]
    pub(crate) id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Trial {
    /// List a sweep's trials.
    List {
        #[command(flatten)]
        sweep: SweepId,
        /// Only those in this state: queued, leased, succeeded, diverged, stopped, failed, dead or cancelled.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Show a trial with its attempts and result.
    Show {
        /// The trial's id.
        id: String,
    },
    /// Show what happened to a trial, attempt by attempt, and what it has logged.
    Logs {
        /// The trial's id.
        id: String,
        /// Go on until it ends.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A table.
    Csv,
    /// One document.
    Json,
    /// A table with types, for pandas, polars, DuckDB and R.
    Parquet,
    /// A folder: page, figures, data, methods, the spec to run it again.
    Bundle,
}

impl ExportFormat {
    /// The name by which the server knows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Bundle => "bundle",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportShape {
    /// A row per trial.
    Wide,
    /// A row per trial, step and metric.
    Long,
}

impl ExportShape {
    /// The name by which the server knows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Long => "long",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) sweep: SweepId,
    /// The format.
    #[arg(long, value_enum, default_value = "csv")]
    pub(crate) format: ExportFormat,
    /// What a row of a CSV or Parquet table is [default: wide].
    #[arg(long, value_enum)]
    pub(crate) shape: Option<ExportShape>,
    /// The file to write, `-` is stdout; with --format bundle the folder, new or an earlier bundle.
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Rerun {
    /// The folder that `motif export --format bundle` wrote.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Wait until every trial has ended, then compare; exit status 1 when any result is another one.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Submit nothing: compare this sweep, which an earlier re-run submitted.
    #[arg(long, value_name = "SWEEP")]
    pub(crate) sweep: Option<String>,
    /// Run although files differ from the bundle's manifest; they are named.
    #[arg(long)]
    pub(crate) accept_changes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// List the datasets of the server, or of the data directory when no server is given or running.
    List,
    /// Import a dataset: to the server named by --server or MOTIF_SERVER, else into the data directory.
    ///
    /// A folder may hold the IDX files of MNIST and its relatives, CIFAR-10's binary files or their archive, SVHN's
    /// train_32x32.mat and test_32x32.mat, train.csv and test.csv (label first), or one NPZ file with x_train,
    /// y_train, x_test and y_test.
    Import {
        /// The name to refer to it by.
        name: String,
        /// The folder, the NPZ file, or CIFAR-10's archive.
        path: PathBuf,
        /// Point an existing name at the new content.
        #[arg(long)]
        replace: bool,
    },
    /// Download a published dataset, check its files and import it: to the server named by --server or MOTIF_SERVER,
    /// else into the data directory. What broke off is resumed.
    Fetch {
        /// cifar10, fashion-mnist, mnist or svhn.
        name: String,
        /// Fetch the same files from below this address instead of where they are published.
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
        /// Fetch although the name is there, and point it at the new content.
        #[arg(long)]
        replace: bool,
    },
    /// Read a dataset of the data directory and check its content hash.
    Verify {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; its secret is shown this once.
    Create {
        /// A name for people.
        name: String,
        /// What it may do: admin, submit, worker, read.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
    },
    /// List the tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Its id.
        id: uuid::Uuid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The folder to write; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The folder that `motif backup` wrote.
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// Put it in the place of the database that is there, which is kept under another name.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Only ask this server whether it is ready (for container health checks).
    #[arg(long, value_name = "URL")]
    pub(crate) probe: Option<String>,
}
