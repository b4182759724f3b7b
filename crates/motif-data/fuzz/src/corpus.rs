//! The files that fuzzing starts from: valid ones in every wrapping.

use crate::fixtures::*;

/// Every target's inputs.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let tagged = |mode: u8, bytes: &[u8]| [&[mode], bytes].concat();
    let idx = idx_files().into_iter().enumerate().flat_map(|(i, file)| {
        [tagged(i as u8, &file), tagged(i as u8 | 4, &file), tagged(i as u8, &gzip(&file))]
    });
    let tar = tar(&[("a/data_batch_1.bin", &records(&[3])), ("a/test_batch.bin", &records(&[9]))]);
    let archive = [tagged(0, &cifar_archive()), tagged(1, &tar)];
    let x = mat_array(9, &[32, 32, 3], "X", &mat_part(2, &svhn_pixels(1)));
    let other = mat_array(4, &[1, 3], "comment", &mat_part(16, b"abc"));
    let svhn = [
        tagged(0, &svhn(&[1, 10], true)),
        tagged(0, &svhn(&[10], false)),
        tagged(1, &x),
        tagged(2, &x),
        tagged(1, &other),
        tagged(2, &other),
    ];
    let arrays = npz_members().into_iter().enumerate().map(|(i, (_, bytes))| tagged(i as u8 + 1, &bytes));
    let files = [true, false].map(|deflated| tagged(0, &zip(&npz_members(), deflated)));
    let csv: [&[u8]; 3] = [
        b"\x001,0,10,20,255\n0,1,2,3,4\n",
        b"\x01label,1x1,1x2,2x1,2x2\r\n\"1\",0,10,20,255\r\n\r\n",
        b"\x021,0,10,20,255\n0,1,2,3,4\n\n",
    ];
    let dataset = motif_data::Split { pixels: vec![1, 2, 3, 4, 5, 6], labels: vec![0, 1, 2] };
    let shape = motif_data::Shape { height: 1, width: 2, channels: 1 };
    let dataset = motif_data::Dataset::new(shape, 3, dataset.clone(), dataset).expect("the parts fit");
    vec![
        ("canonical", vec![dataset.to_bytes()]),
        ("idx", idx.collect()),
        ("cifar_archive", archive.to_vec()),
        ("svhn", svhn.to_vec()),
        ("npz", arrays.chain(files).collect()),
        ("csv", csv.map(<[u8]>::to_vec).to_vec()),
    ]
}
