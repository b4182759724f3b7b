//! Seeded choices of what to break next.

use motif_sweep::clock::Entropy as _;
use motif_testkit::SeededEntropy;
use uuid::Uuid;

/// A stream of choices; the same seed gives the same ones.
pub struct Chance(SeededEntropy);

impl Chance {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A number below `bound`, which is small: the bias of a remainder does not matter here.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        let mut bits = [0; 8];
        self.0.fill(&mut bits);
        u64::from_le_bytes(bits) % bound.max(1)
    }

    /// An id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let mut bits = [0; 16];
        self.0.fill(&mut bits);
        uuid::Builder::from_random_bytes(bits).into_uuid()
    }
}
