use std::io::{self, Write};

use ::parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::RowAccessor as _,
};
use bytes_of::Shared;
use motif_store::records::PointRecord;

use super::*;
use crate::statistics::tests::{material, stop};

/// A sink that can be read after the table that wrote to it is gone.
mod bytes_of {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(super) fn bytes(&self) -> Vec<u8> {
            self.0.lock().unwrap().clone()
        }
    }

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

fn wide_csv(material: &Material) -> String {
    let (wide, sink) = (Wide::new(material), Shared::default());
    let table = CsvTable::new(sink.clone(), &wide.fields(), "").unwrap();
    write_wide(&wide, Box::new(table)).unwrap();
    String::from_utf8(sink.bytes()).unwrap()
}

fn points(values: &[(&str, f64)]) -> Vec<PointRecord> {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    vec![PointRecord { seq: 0, step: 7, epoch: 0.5, values }]
}

#[test]
fn csv_has_one_row_per_trial_and_a_column_per_axis_and_metric() {
    let mut material = material();
    material.trials[0].label = "a, \"b\"".into();
    stop(&mut material.trials[1], 2.5);
    let text = wide_csv(&material);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column =
        |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name} in {header:?}"));
    let (axis, metric, label) = (column("axes.ratio"), column("test_accuracy"), column("label"));
    let diverged = column("diverged_step");
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!((&rows[0][label], &rows[0][axis], &rows[0][metric]), ("a, \"b\"", "0", "0.5"));
    assert_eq!((&rows[5][diverged], &rows[4][diverged]), ("9", ""));
    let cells = ["state", "stopped_step", "stopped_epoch", "result_hash"].map(|name| &rows[1][column(name)]);
    assert_eq!(cells, ["stopped", "5", "2.5", ""]);
    assert_eq!(&rows[0][column("stopped_step")], "");
}

#[test]
fn text_that_looks_like_a_formula_is_made_inert_and_numbers_are_not() {
    let mut material = material();
    material.trials[0].label = "=1+1".into();
    material.trials[0].worker = Some("@host".into());
    material.trials[0].reason = Some("-x".into());
    material.trials[0].metrics.insert("test_accuracy".into(), -0.5);
    material.conditions[0].axes.insert("ratio".into(), serde_json::json!(-2));
    material.conditions[0].axes.insert("dataset".into(), serde_json::json!("+a"));
    let text = wide_csv(&material);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
    let cells = ["label", "worker", "reason", "test_accuracy", "axes.ratio", "axes.dataset"].map(cell);
    assert_eq!(cells, ["'=1+1", "'@host", "'-x", "-0.5", "-2", "'+a"]);
}

#[test]
fn a_column_has_the_kind_that_holds_all_its_values_and_a_name_of_its_own() {
    let mut material = material();
    for (index, values) in [(0, ["2", "2", "\"a\""]), (1, ["3", "2.5", "2"])] {
        let axes = &mut material.conditions[index].axes;
        axes.clear();
        for (key, value) in ["whole", "mixed", "any"].into_iter().zip(values) {
            axes.insert(key.into(), serde_json::from_str(value).unwrap());
        }
    }
    material.trials[0].metrics.insert("seed".into(), 1.0);
    let fields = Wide::new(&material).fields();
    let kind = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.kind);
    assert_eq!(kind("axes.whole"), Some(Kind::Int));
    assert_eq!(kind("axes.mixed"), Some(Kind::Real));
    assert_eq!(kind("axes.any"), Some(Kind::Text));
    assert_eq!((kind("seed"), kind("metric.seed")), (Some(Kind::Int), Some(Kind::Real)));
    assert_eq!((kind("finished_at"), kind("training_s")), (Some(Kind::Time), Some(Kind::Real)));
    let names: std::collections::BTreeSet<_> = fields.iter().map(|field| &field.name).collect();
    assert_eq!(names.len(), fields.len());
}

#[test]
fn a_long_table_has_a_row_per_logged_value_and_nan_where_it_was_not_finite() {
    let material = material();
    let sink = Shared::default();
    let table = CsvTable::new(sink.clone(), &Long::fields(), "NaN").unwrap();
    let read = |_: &TrialRecord| Ok(points(&[("=a", 0.25), ("train_loss", f64::NAN)]));
    write_long(&material.trials[..1], read, Box::new(table)).unwrap();
    let text = String::from_utf8(sink.bytes()).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "trial_id,condition,label,seed,step,epoch,metric,value");
    let id = material.trials[0].id;
    assert_eq!(
        rows[1..],
        [format!("{id},0,c0,0,7,0.5,'=a,0.25"), format!("{id},0,c0,0,7,0.5,train_loss,NaN")]
    );
}

#[test]
fn parquet_keeps_types_nulls_and_nan_over_several_row_groups() {
    let material = material();
    let sink = Shared::default();
    let table = ParquetTable::new(sink.clone(), &Long::fields(), &[("motif.name", "a".into())]).unwrap();
    let mut table: Box<dyn Table> = Box::new(table);
    let mut long = Long::default();
    for value in [0.25, f64::NAN] {
        long.add(&material.trials[0], &points(&[("loss", value)]));
        table.write(&long.take()).unwrap();
    }
    table.write(&long.take()).unwrap();
    table.finish().unwrap();
    let reader = SerializedFileReader::new(axum::body::Bytes::from(sink.bytes())).unwrap();
    assert_eq!(reader.num_row_groups(), 2);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0].get_string(0).unwrap(), &material.trials[0].id.to_string());
    assert_eq!((rows[0].get_long(4).unwrap(), rows[0].get_double(7).unwrap()), (7, 0.25));
    assert!(rows[1].get_double(7).unwrap().is_nan());

    let wide = Wide::new(&material);
    let sink = Shared::default();
    write_wide(&wide, Box::new(ParquetTable::new(sink.clone(), &wide.fields(), &[]).unwrap())).unwrap();
    let reader = SerializedFileReader::new(axum::body::Bytes::from(sink.bytes())).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let column = |name: &str| wide.fields().iter().position(|field| field.name == name).unwrap();
    assert_eq!(rows.len(), material.trials.len());
    assert_eq!(rows[5].get_long(column("diverged_step")).unwrap(), 9);
    assert!(rows[0].get_long(column("diverged_step")).is_err(), "a null is no number");
    assert!(rows[0].get_timestamp_micros(column("finished_at")).is_err());
}

#[test]
fn a_table_that_cannot_be_written_breaks_off() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let material = material();
    let wide = Wide::new(&material);
    let table = CsvTable::new(Full, &wide.fields(), "").unwrap();
    assert!(write_wide(&wide, Box::new(table)).is_err());
}

#[test]
fn a_long_table_is_held_a_row_group_at_a_time() {
    /// Counts what it is handed.
    struct Counting(std::sync::mpsc::SyncSender<usize>);
    impl Table for Counting {
        fn write(&mut self, columns: &[Values]) -> Result<(), ExportError> {
            self.0.send(columns[0].len()).unwrap();
            Ok(())
        }
        fn finish(self: Box<Self>) -> Result<(), ExportError> {
            Ok(())
        }
    }
    let material = material();
    let values = (0..1000).map(|k| (format!("m{k}"), 0.5)).collect();
    let point = PointRecord { seq: 0, step: 1, epoch: 0.1, values };
    let (sender, groups) = std::sync::mpsc::sync_channel(64);
    let trial_rows = 120_000;
    write_long(&material.trials, |_| Ok(vec![point.clone(); 120]), Box::new(Counting(sender))).unwrap();
    let groups: Vec<usize> = groups.iter().collect();
    assert_eq!(groups.iter().sum::<usize>(), material.trials.len() * trial_rows);
    assert!(groups.len() > 1);
    assert!(groups.iter().all(|rows| *rows < crate::limits::EXPORT_GROUP_ROWS + trial_rows), "{groups:?}");
}
