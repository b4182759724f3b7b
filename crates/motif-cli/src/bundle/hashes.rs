//! `hashes.csv`: what each trial came to, to be compared by whoever runs it again.

use anyhow::Context as _;
use motif_client::reproduce::{Made, TrialKey};
use motif_wire::{export::ExportTrial, sweeps::SweepDetail};

use super::table::{cell, csv, inert};

const HEADER: [&str; 6] = ["config_hash", "dataset_hash", "seed", "result_hash", "instruction_set", "label"];

/// Every trial of a sweep with what it came to.
pub(crate) fn made(sweep: &SweepDetail, trials: &[ExportTrial]) -> Vec<Made> {
    let row = |index| sweep.condition_rows.iter().find(|row| row.index == index);
    let rows = trials.iter().filter_map(|trial| {
        let condition = row(trial.row.condition)?;
        Some(Made {
            key: TrialKey {
                config_hash: condition.config_hash.clone(),
                dataset_hash: condition.dataset_hash.clone(),
                seed: trial.row.seed,
            },
            label: trial.row.label.clone(),
            result_hash: trial.row.result_hash.clone(),
            instruction_set: trial.result.as_ref().map(|result| result.provenance.instruction_set.clone()),
        })
    });
    rows.collect()
}

/// The file.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(made: &[Made]) -> anyhow::Result<String> {
    csv(
        &HEADER,
        made.iter().map(|one| {
            vec![
                one.key.config_hash.clone(),
                one.key.dataset_hash.clone(),
                one.key.seed.to_string(),
                cell(one.result_hash.as_ref()),
                inert(one.instruction_set.as_deref().unwrap_or_default()),
                inert(&one.label),
            ]
        }),
    )
}

/// Reads the file.
///
/// # Errors
/// Where a line is not as [`write`] leaves it, with its number.
pub(crate) fn read(text: &str) -> anyhow::Result<Vec<Made>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    anyhow::ensure!(reader.headers()?.iter().eq(HEADER), "expected the columns {}", HEADER.join(", "));
    let there = |text: &str| if text.is_empty() { None } else { Some(text.to_owned()) };
    let mut made = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let (record, line) = (record?, index + 2);
        let seed = record[2].parse().with_context(|| format!("line {line}: seed {:?}", &record[2]))?;
        made.push(Made {
            key: TrialKey { config_hash: record[0].to_owned(), dataset_hash: record[1].to_owned(), seed },
            result_hash: there(&record[3]),
            instruction_set: there(&record[4]),
            label: record[5].to_owned(),
        });
    }
    Ok(made)
}

/// One hash over every result: BLAKE3 of the sorted lines `config_hash dataset_hash seed result_hash`, `-` where there
/// is no result.
pub(crate) fn overall(made: &[Made]) -> String {
    let line = |one: &Made| {
        let TrialKey { config_hash, dataset_hash, seed } = &one.key;
        format!("{config_hash} {dataset_hash} {seed} {}\n", one.result_hash.as_deref().unwrap_or("-"))
    };
    let mut lines: Vec<String> = made.iter().map(line).collect();
    lines.sort();
    blake3::hash(lines.concat().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(seed: u64, result: Option<&str>) -> Made {
        Made {
            key: TrialKey { config_hash: "c".into(), dataset_hash: "d".into(), seed },
            label: "=a,\"b\"".into(),
            result_hash: result.map(str::to_owned),
            instruction_set: result.map(|_| "avx2+fma".to_owned()),
        }
    }

    #[test]
    fn hashes_are_read_as_they_were_written_and_labels_are_inert() {
        let made = vec![one(1, Some("r")), one(2, None)];
        let text = write(&made).unwrap();
        let back = read(&text).unwrap();
        assert_eq!(back[0].label, "'=a,\"b\"");
        assert!(back.iter().zip(&made).all(|(a, b)| a.key == b.key && a.result_hash == b.result_hash));
        assert!(read("seed\n1\n").is_err());
        assert!(read(&text.replace(",1,", ",x,")).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn the_hash_over_all_depends_on_every_result_and_on_no_order() {
        let hash = overall(&[one(1, Some("r")), one(2, Some("s"))]);
        assert_eq!(hash, overall(&[one(2, Some("s")), one(1, Some("r"))]));
        assert_ne!(hash, overall(&[one(2, Some("r")), one(1, Some("s"))]));
        assert_ne!(hash, overall(&[one(1, Some("r")), one(2, None)]));
    }
}
