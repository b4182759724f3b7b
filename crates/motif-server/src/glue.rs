//! What stands between a worker's request and the store's call, for a simulation that has neither HTTP nor threads.

pub use crate::{
    convert::{checkpoint, finish, lease, point_record},
    extract::lease::{secret, split},
    reaper::Gate,
};
