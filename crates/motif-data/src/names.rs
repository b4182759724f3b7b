//! What a dataset may be called, and what a content hash looks like.

/// Longest dataset name.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Hex digits of a content hash.
const HASH_DIGITS: usize = 64;

/// `[a-z0-9][a-z0-9._-]{0,63}`: safe as a file name everywhere.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let [first, rest @ ..] = text.as_bytes() else { return false };
    text.len() <= MAX_NAME_BYTES && plain(*first) && rest.iter().all(|&b| plain(b) || b"._-".contains(&b))
}

/// 64 lower-case hex digits: also what keeps a hash from being a path.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
