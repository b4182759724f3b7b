//! The domain.
pub mod clock;
pub mod ids;
pub mod lifecycle;
pub mod plan;
