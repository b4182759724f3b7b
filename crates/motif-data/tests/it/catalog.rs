//! The table of what can be fetched is well-formed; whether its sums are right only a fetch can tell.

use std::collections::BTreeSet;

use motif_data::CatalogEntry;
use motif_data::catalog::{self, CATALOG};

#[test]
fn every_entry_is_complete() {
    let names: Vec<&str> = CATALOG.iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["cifar10", "fashion-mnist", "mnist", "svhn"]);
    let mut sums = BTreeSet::new();
    for entry in CATALOG {
        assert!(entry.base_url.starts_with("http") && entry.base_url.ends_with('/'), "{}", entry.base_url);
        for file in entry.files {
            assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)));
            assert!(sums.insert(file.sha256), "{} has the sum of another file", file.name);
            assert!((1000..1 << 30).contains(&file.bytes), "{}", file.name);
            assert!(!file.name.contains('/'));
        }
        assert_eq!(catalog::find(entry.name), Some(entry));
    }
    assert_eq!(catalog::find("mnist").map(CatalogEntry::bytes), Some(11_594_722));
    assert_eq!(catalog::find("imagenet"), None);
}
