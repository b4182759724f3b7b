//! A run of `motif train` that is interrupted or killed is taken up again by another process, to the same bits.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Process, motif, motif_json, train, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(120);
/// Of one run: 20 minibatches in each of 120 epochs, and about 450 points.
const STEPS: u64 = 2400;
const RULES: [&str; 2] = ["rule = \"sal\"\nmomentum = 0.5", "rule = \"kp\""];

/// A folder with a trial and its uninterrupted run.
struct Bench {
    dir: tempfile::TempDir,
    trial: String,
    whole: Value,
}

impl Bench {
    fn new(rule: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let trial = dir.path().join("trial.toml");
        let text = format!(
            "{rule}\nhidden = [64, 48]\ntrain_limit = 1000\ntest_limit = 200\nbatch_size = 50\nepochs = 120\n\
             rates = {{ w = 0.1, w_bar = 0.02, v = 0.1, v_bar = 0.1 }}\ndiagnostics = {{ every_steps = 7 }}\n"
        );
        fs::write(&trial, text)?;
        let trial = trial.to_str().context("utf-8")?.to_owned();
        let mut bench = Self { dir, trial, whole: Value::Null };
        bench.whole = bench.json(&["--out", &bench.path("whole")])?;
        ensure!(bench.whole["steps"] == STEPS, "{}", bench.whole);
        Ok(bench)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("utf-8").to_owned()
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["train", &self.trial, "--seed", "3"], args].concat()
    }

    fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        motif_json(self.dir.path(), &self.args(args))
    }

    /// Starts a run and waits until it has logged so many points.
    fn start(&self, args: &[&str], lines: usize) -> anyhow::Result<Process> {
        let out = args.iter().skip_while(|arg| **arg != "--out").nth(1).context("--out")?;
        let mut process = train(self.dir.path(), &self.args(args))?;
        let metrics = Path::new(out).join("metrics.jsonl");
        wait_for("points", WAIT, || {
            ensure!(process.try_wait()?.is_none(), "the run ended before it was interrupted");
            let text = fs::read(&metrics).unwrap_or_default();
            Ok((text.iter().filter(|byte| **byte == b'\n').count() >= lines).then_some(()))
        })?;
        Ok(process)
    }

    /// The run in `out` ended as the one that was never left.
    fn assert_whole(&self, out: &str, result: &Value) -> anyhow::Result<()> {
        for key in ["result_hash", "steps", "metrics", "outcome"] {
            ensure!(result[key] == self.whole[key], "{key}: {} {}", result[key], self.whole[key]);
        }
        let read = |dir: &str, name: &str| fs::read(PathBuf::from(dir).join(name)).context(name.to_owned());
        for name in ["metrics.jsonl", "snapshots/step-000000.npz", "snapshots/step-002400.npz"] {
            ensure!(read(out, name)? == read(&self.path("whole"), name)?, "{name} differs");
        }
        let stored: Value = serde_json::from_slice(&read(out, "result.json")?)?;
        ensure!(stored["result_hash"] == self.whole["result_hash"], "{stored}");
        for name in ["checkpoint.bin", "checkpoint.tmp"] {
            ensure!(!Path::new(out).join(name).exists(), "{name} is left behind");
        }
        Ok(())
    }
}

#[test]
fn a_run_that_was_told_to_stop_goes_on_to_the_same_bits() -> anyhow::Result<()> {
    for rule in RULES {
        let bench = Bench::new(rule)?;
        let out = bench.path("run");
        let mut stopped = 0;
        let mut process = bench.start(&["--out", &out, "--trace-steps", "2", "--json"], 30)?;
        for (signal, lines) in [(Signal::SIGTERM, 150), (Signal::SIGINT, 250)] {
            process.signal(signal)?;
            let (status, said) = process.output(WAIT)?;
            ensure!(status.code() == Some(1), "{status}: {said}");
            let said: Value = serde_json::from_str(&said)?;
            let step = said["steps"].as_u64().context("steps")?;
            ensure!(said["outcome"] == "stopped" && step > stopped && step < STEPS, "{said}");
            let command = said["go_on"].as_str().context("it says how to go on")?;
            ensure!(command.contains("--resume") && command.contains(&out), "{command}");
            ensure!(!Path::new(&out).join("result.json").exists(), "a run that was left has no result");
            stopped = step;
            process = bench.start(&["--out", &out, "--resume", "--json"], lines)?;
        }
        let (status, said) = process.output(WAIT)?;
        ensure!(status.success(), "{status}: {said}");
        let result = serde_json::from_str(&said)?;
        bench.assert_whole(&out, &result)?;
        ensure!(Path::new(&out).join("trace.npz").exists(), "the trace is gone");
    }
    Ok(())
}

#[test]
fn a_killed_run_loses_no_more_than_since_its_last_checkpoint() -> anyhow::Result<()> {
    for rule in RULES {
        let bench = Bench::new(rule)?;
        let out = bench.path("run");
        let checkpoint = Path::new(&out).join("checkpoint.bin");
        // Odd, so that checkpoints fall between points, and points behind the last checkpoint.
        let every = ["--out", &out, "--checkpoint-every", "37"];
        let mut process = bench.start(&every, 60)?;
        wait_for("a checkpoint", WAIT, || Ok(checkpoint.exists().then_some(())))?;
        process.kill()?;
        let mut process = bench.start(&[&every[..], &["--resume"]].concat(), 200)?;
        process.kill()?;
        // A line that was half written when the power went.
        let mut metrics = fs::OpenOptions::new().append(true).open(Path::new(&out).join("metrics.jsonl"))?;
        std::io::Write::write_all(&mut metrics, b"{\"step\": 11")?;
        let result = bench.json(&["--out", &out, "--resume"])?;
        bench.assert_whole(&out, &result)?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_resumed_is_refused_in_words_and_left_alone() -> anyhow::Result<()> {
    let bench = Bench::new(RULES[1])?;
    let out = bench.path("run");
    let resume = ["--out", &out, "--resume"];
    let refused = |args: &[&str], code: i32, expected: &str| {
        let output = motif(bench.dir.path(), args)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code), "{args:?}: {} {said}", output.status);
        ensure!(said.contains(expected), "{args:?}: no {expected:?} in {said}");
        anyhow::Ok(())
    };
    refused(&bench.args(&resume), 2, "no run was left there")?;
    refused(&bench.args(&["--out", &bench.path("whole"), "--resume"]), 2, "has ended")?;
    refused(&bench.args(&[&resume[..], &["--overwrite"]].concat()), 2, "--overwrite")?;
    refused(&bench.args(&[&resume[..], &["--trace-steps", "3"]].concat()), 2, "--trace-steps")?;
    refused(&bench.args(&["--out", &out, "--checkpoint-every", "0"]), 2, "--checkpoint-every")?;

    let mut process = bench.start(&["--out", &out], 20)?;
    process.signal(Signal::SIGSTOP)?;
    process.signal(Signal::SIGTERM)?;
    process.signal(Signal::SIGCONT)?;
    process.wait(WAIT)?;
    let checkpoint = Path::new(&out).join("checkpoint.bin");
    let (bytes, metrics) = (fs::read(&checkpoint)?, fs::read(Path::new(&out).join("metrics.jsonl"))?);

    refused(&bench.args(&["--out", &out]), 2, "--resume to go on")?;
    refused(&["train", &bench.trial, "--seed", "4", "--out", &out, "--resume"], 2, "seed is 3, expected 4")?;
    let text = fs::read_to_string(&bench.trial)?;
    fs::write(&bench.trial, text.replace("0.02", "0.03"))?;
    refused(&bench.args(&resume), 2, "config hash")?;
    fs::write(&bench.trial, text)?;
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    let mut tail = bytes.clone();
    *tail.last_mut().context("bytes")? ^= 4;
    for (wrong, expected) in [
        (&flipped[..], "truncated or corrupt"),
        (&bytes[..bytes.len() / 3], "truncated or corrupt"),
        (&tail, "is corrupt"),
        (b"hello", "not a checkpoint"),
    ] {
        fs::write(&checkpoint, wrong)?;
        refused(&bench.args(&resume), 1, expected)?;
    }
    ensure!(fs::read(Path::new(&out).join("metrics.jsonl"))? == metrics, "a refusal changed the metrics");
    fs::write(&checkpoint, &bytes)?;
    fs::write(Path::new(&out).join("metrics.jsonl"), &metrics[..metrics.len() / 2])?;
    refused(&bench.args(&resume), 1, "are missing")?;
    fs::write(Path::new(&out).join("metrics.jsonl"), &metrics)?;
    bench.assert_whole(&out, &bench.json(&resume)?)
}

#[test]
fn two_processes_never_write_into_one_folder() -> anyhow::Result<()> {
    let bench = Bench::new(RULES[1])?;
    let out = bench.path("run");
    let mut process = bench.start(&["--out", &out, "--checkpoint-every", "5"], 20)?;
    process.signal(Signal::SIGSTOP)?;
    let second = motif(bench.dir.path(), &bench.args(&["--out", &out, "--resume"]))?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(second.status.code() == Some(2) && said.contains("another run"), "{}: {said}", second.status);
    process.signal(Signal::SIGCONT)?;
    ensure!(process.wait(WAIT)?.success());
    let result = fs::read(Path::new(&out).join("result.json"))?;
    bench.assert_whole(&out, &serde_json::from_slice(&result)?)
}

#[test]
fn a_result_says_what_it_took() -> anyhow::Result<()> {
    let bench = Bench::new("spectra = \"epoch\"")?;
    let seconds = |key: &str| bench.whole[key].as_f64().context(key.to_owned());
    let parts = seconds("evaluation_s")? + seconds("diagnostics_s")? + seconds("spectra_s")?;
    ensure!(seconds("evaluation_s")? > 0.0 && seconds("diagnostics_s")? > 0.0 && seconds("spectra_s")? > 0.0);
    ensure!(parts < seconds("training_s")?, "{parts} of {}", bench.whole["training_s"]);
    let memory = bench.whole["memory_bytes"].as_u64().context("memory_bytes")?;
    let out = motif(bench.dir.path(), &bench.args(&["--out", &bench.path("again")]))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let expected = format!("memory: about {:.1} MiB", memory as f64 / f64::from(1 << 20));
    ensure!(said.contains(&expected), "no {expected:?} in {said}");
    Ok(())
}
