//! Datasets: labelled images as bytes, their canonical form and content hash, the built-in generator, the
//! importers, and the folder in which a machine keeps them.
//!
//! Must not know: networks, normalization, trials, HTTP, clocks. Everything here is bytes in, bytes out, and the
//! same on every machine.

pub mod catalog;
pub mod cifar;
pub mod csv;
pub mod dataset;
pub mod glyphs;
pub mod idx;
pub mod import;
pub mod library;
pub mod npz;
pub mod svhn;

mod names;

pub use catalog::{CatalogEntry, RemoteFile};
pub use dataset::{Dataset, DatasetError, DatasetSummary, Shape, Split};
pub use glyphs::{GLYPHS_HASH, GLYPHS_NAME};
pub use import::{ImportError, import};
pub use library::{DatasetEntry, Library, LibraryError};
