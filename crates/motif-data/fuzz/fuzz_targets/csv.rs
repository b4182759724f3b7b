//! Fuzzes `motif_data::import` through [`motif_data_fuzz::csv`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| motif_data_fuzz::csv(input));
