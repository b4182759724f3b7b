//! Small files in other people's formats, written here. The fuzz targets and their corpus use them too.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};

/// The four files of a dataset in IDX form.
pub(crate) const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Big-endian header, then bytes.
pub(crate) fn idx(magic: u32, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Four training and two test images of 2 × 3.
pub(crate) fn idx_files() -> [Vec<u8>; 4] {
    let pixels: Vec<u8> = (0..24).collect();
    [
        idx(0x803, &[4, 2, 3], &pixels),
        idx(0x801, &[4], &[0, 2, 1, 2]),
        idx(0x803, &[2, 2, 3], &pixels[..12]),
        idx(0x801, &[2], &[1, 0]),
    ]
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// CIFAR-10 records with these labels.
pub(crate) fn records(labels: &[u8]) -> Vec<u8> {
    let pixels = |label: u8| (0..3072).map(move |i| (i % 251) as u8 ^ label);
    labels.iter().flat_map(|&label| std::iter::once(label).chain(pixels(label))).collect()
}

/// A tar of regular files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("memory");
    }
    builder.into_inner().expect("memory")
}

/// The archive as it is published, but with one image per batch.
pub(crate) fn cifar_archive() -> Vec<u8> {
    let (first, second, test) = (records(&[3]), records(&[4]), records(&[9]));
    gzip(&tar(&[
        ("cifar-10-batches-bin/data_batch_2.bin", &second),
        ("cifar-10-batches-bin/batches.meta.txt", b"airplane\n"),
        ("cifar-10-batches-bin/data_batch_1.bin", &first),
        ("cifar-10-batches-bin/test_batch.bin", &test),
    ]))
}

/// One element of a MATLAB file: tag, data, padding to eight bytes.
pub(crate) fn mat_part(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// An array element; `numbers` is what [`mat_part`] makes of them.
pub(crate) fn mat_array(class: u8, dims: &[i32], name: &str, numbers: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let mut inside = mat_part(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    inside.extend(mat_part(5, &dims));
    if name.len() <= 4 {
        // As MATLAB does: data of up to four bytes stands in its tag.
        inside.extend([1, 0, name.len() as u8, 0]);
        inside.extend(name.bytes().chain([0; 4]).take(4));
    } else {
        inside.extend(mat_part(1, name.as_bytes()));
    }
    inside.extend(numbers);
    mat_part(14, &inside)
}

/// The same, compressed.
pub(crate) fn mat_compressed(element: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(element).expect("memory");
    let data = encoder.finish().expect("memory");
    // Compressed elements are not padded.
    [15_u32.to_le_bytes().to_vec(), (data.len() as u32).to_le_bytes().to_vec(), data].concat()
}

/// A MATLAB file of these elements.
pub(crate) fn mat(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file, written by a test".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    elements.iter().for_each(|element| bytes.extend(element));
    bytes
}

/// Column-major pixels of `n` images: row + 2 × column + 40 × channel + image.
pub(crate) fn svhn_pixels(n: u8) -> Vec<u8> {
    let image = |i: u8| (0..3072).map(move |at: usize| svhn_pixel(i, at / 1024, at % 32, at / 32 % 32));
    (0..n).flat_map(image).collect()
}

/// What [`svhn_pixels`] puts there.
pub(crate) fn svhn_pixel(image: u8, channel: usize, row: usize, column: usize) -> u8 {
    image + (40 * channel + row + 2 * column) as u8
}

/// A file of SVHN with these labels.
pub(crate) fn svhn(labels: &[u8], compressed: bool) -> Vec<u8> {
    let n = labels.len() as i32;
    let images = mat_array(9, &[32, 32, 3, n], "X", &mat_part(2, &svhn_pixels(labels.len() as u8)));
    let labels = mat_array(9, &[n, 1], "y", &mat_part(2, labels));
    let elements = [images, labels];
    mat(&if compressed { elements.map(|element| mat_compressed(&element)) } else { elements })
}

/// One array as NumPy writes it.
pub(crate) fn npy(number: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': '{number}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(format!("{dict:<width$}\n", width = padded - 1).bytes());
    bytes.extend(data);
    bytes
}

/// A zip of these members, deflated or stored.
pub(crate) fn zip(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut sum = Crc::new();
        sum.update(bytes);
        let packed = if deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        } else {
            bytes.clone()
        };
        let mut fields = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        for value in [sum.sum(), packed.len() as u32, bytes.len() as u32] {
            fields.extend(value.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        let at = file.len() as u32;
        file.extend([b"PK\x03\x04".as_slice(), &fields, &[0, 0], name.as_bytes(), &packed].concat());
        directory.extend([b"PK\x01\x02\x14\x00".as_slice(), &fields, &[0; 12]].concat());
        directory.extend(at.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (at, count) = (file.len() as u32, members.len() as u16);
    file.extend(&directory);
    file.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count.to_le_bytes(), &count.to_le_bytes()].concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// Three training images and one test image of 2 × 2, three classes.
pub(crate) fn npz_members() -> [(&'static str, Vec<u8>); 4] {
    [
        ("x_train.npy", npy("|u1", "(3, 2, 2)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
        ("y_train.npy", npy("|u1", "(3,)", &[2, 0, 1])),
        ("x_test.npy", npy("|u1", "(1, 2, 2)", &[9, 8, 7, 6])),
        ("y_test.npy", npy("|u1", "(1,)", &[1])),
    ]
}
