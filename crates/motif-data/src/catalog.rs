//! Datasets that can be fetched by name: where they are published, how long each file is, and its checksum.
//!
//! Must not know: how to fetch, where to keep.
//!
//! Lengths and SHA-256 sums are those that TensorFlow Datasets publishes for the same addresses. A file without a
//! known sum has no place here: what arrives over plain HTTP is only as good as its checksum.

/// A file of a published dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, below the dataset's base address and in the folder it is imported from.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: &'static str,
}

/// A published dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogEntry {
    /// What it is called here.
    pub name: &'static str,
    /// The address that its files' names are appended to, ending in a slash.
    pub base_url: &'static str,
    /// Its files, which together [import](crate::import()) reads.
    pub files: &'static [RemoteFile],
}

impl CatalogEntry {
    /// Length of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Every dataset that can be fetched, in alphabetical order.
pub const CATALOG: &[CatalogEntry] = &[
    CatalogEntry {
        name: "cifar10",
        base_url: "https://www.cs.toronto.edu/~kriz/",
        files: &[file(
            crate::cifar::ARCHIVE_FILE,
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
    },
    CatalogEntry {
        name: "fashion-mnist",
        base_url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ],
    },
    CatalogEntry {
        name: "mnist",
        base_url: "https://storage.googleapis.com/cvdf-datasets/mnist/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
    },
    CatalogEntry {
        name: "svhn",
        base_url: "http://ufldl.stanford.edu/housenumbers/",
        files: &[
            file(
                crate::svhn::TRAIN_FILE,
                182_040_794,
                "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            ),
            file(
                crate::svhn::TEST_FILE,
                64_275_384,
                "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            ),
        ],
    },
];

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> RemoteFile {
    RemoteFile { name, bytes, sha256 }
}

/// The dataset of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static CatalogEntry> {
    CATALOG.iter().find(|entry| entry.name == name)
}
