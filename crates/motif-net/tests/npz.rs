//! Snapshots and traces read back as they were written.

mod common;

use std::io::Cursor;

use common::{Recorder, Toy, small};
use motif_net::npz::{TraceWriter, write_matrices, write_snapshot};
use motif_net::{NamedTensor, train};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;

#[test]
fn a_snapshot_reads_back_bit_for_bit() {
    let mut recorder = Recorder::default();
    train(&small(&[7, 5]), 0, &Toy::new(20, 5, 4, 3).task(), &mut recorder).unwrap();
    let tensors: Vec<_> =
        recorder.last.iter().map(|(name, value)| NamedTensor { name, value: value.view() }).collect();
    let bytes = write_snapshot(Cursor::new(Vec::new()), &tensors).unwrap().into_inner();
    let again = write_snapshot(Cursor::new(Vec::new()), &tensors).unwrap().into_inner();
    assert_eq!(bytes, again, "no clock in the archive");
    let mut reader = NpzReader::new(Cursor::new(bytes)).unwrap();
    let mut names = reader.names().unwrap();
    names.sort();
    let expected = ["v.1", "v.2", "v_bar.1", "v_bar.2", "w.1", "w.2", "w.3", "w_bar.1", "w_bar.2"];
    assert_eq!(names, expected);
    for (name, value) in &recorder.last {
        let read: Array2<f32> = reader.by_name(name).unwrap();
        assert!(read.is_standard_layout());
        assert_eq!(read, value);
    }
}

#[test]
fn matrices_and_spectra_are_those_of_the_weights() {
    let mut recorder = Recorder::default();
    train(&small(&[7, 5]), 0, &Toy::new(20, 5, 4, 3).task(), &mut recorder).unwrap();
    let tensors: Vec<_> =
        recorder.last.iter().map(|(name, value)| NamedTensor { name, value: value.view() }).collect();
    let read = |spectra| {
        let bytes = write_matrices(Cursor::new(Vec::new()), &tensors, spectra).unwrap().into_inner();
        NpzReader::new(Cursor::new(bytes)).unwrap()
    };
    assert_eq!(read(false).names().unwrap().len(), 3 + 2);
    let mut reader = read(true);
    assert_eq!(reader.names().unwrap().len(), 3 + 2 + 9 + 2);
    let of = |name: &str| recorder.last.iter().find(|(at, _)| at == name).unwrap().1.mapv(f64::from);
    for (matrix, name) in [("w_wt.2", "w.2"), ("v_bar_v_bart.1", "v_bar.1")] {
        let (value, found) = (of(name), reader.by_name::<_, ndarray::Ix2>(matrix).unwrap());
        let found: Array2<f32> = found;
        let expected = value.dot(&value.t());
        assert!((&found.mapv(f64::from) - &expected).iter().all(|error| error.abs() < 1e-5), "{matrix}");
    }
    // V̄_1 is 7 × 14: as many eigenvalues as rows, their sum the squared norm, and the squares of the singular values.
    let eigen: Array1<f64> = reader.by_name("eigen_h.1").unwrap();
    let sigma: Array1<f64> = reader.by_name("sigma.v_bar.1").unwrap();
    let norm = of("v_bar.1").mapv(|value| value * value).sum();
    assert!(eigen.len() == 7 && (eigen.sum() / norm - 1.0).abs() < 1e-9);
    assert!(eigen.iter().zip(&sigma).all(|(eigen, sigma)| (eigen - sigma * sigma).abs() < 1e-9));
    assert!(eigen.windows(2).into_iter().all(|pair| pair[0] >= pair[1]));
}

#[test]
fn a_trace_holds_the_minibatches() {
    let mut recorder = Recorder::default();
    train(&small(&[7, 5]), 0, &Toy::new(20, 5, 4, 3).task(), &mut recorder).unwrap();
    let mut trace = TraceWriter::new(Cursor::new(Vec::new()));
    for (step, (x, y)) in recorder.batches.iter().enumerate() {
        trace.batch(step as u64, x, y).unwrap();
    }
    let mut reader = NpzReader::new(trace.finish().unwrap()).unwrap();
    for (step, (x, y)) in recorder.batches.iter().enumerate() {
        let read: Array2<f32> = reader.by_name(&format!("x.{step}")).unwrap();
        assert_eq!(read, x);
        let labels: Array1<i64> = reader.by_name(&format!("y.{step}")).unwrap();
        assert_eq!(labels.to_vec(), y.iter().map(|&label| i64::from(label)).collect::<Vec<_>>());
    }
}
