//! Query and path parameters. An unknown parameter is an error that names the nearest one.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path, Query as AxumQuery},
    http::request::Parts,
};

use super::{nearest, shown};
use crate::{
    error::{ApiError, ApiResult, field_error},
    limits,
};

/// The query's parameters, each at most once and each known.
#[derive(Debug)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    fn parse(parts: &Parts, known: &[&str]) -> ApiResult<Self> {
        let AxumQuery(pairs) = AxumQuery::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::parameter("query", "must be `name=value` pairs joined by `&`", ""))?;
        let mut values = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let message = if known.is_empty() {
                    "there is no such parameter: none is taken here".to_owned()
                } else {
                    format!("there is no such parameter: known are {}", known.join(", "))
                };
                let suggestion = nearest(&name, known.iter().copied());
                errors.push(field_error(shown(&name), message, Some(shown(&value)), suggestion));
            } else if values.insert(name.clone(), value.clone()).is_some() {
                errors.push(field_error(name, "must be given once", Some(shown(&value)), None));
            }
        }
        if errors.is_empty() { Ok(Self(values)) } else { Err(ApiError::Parameter(errors)) }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that is parsed; `expected` says what would be right.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> ApiResult<Option<T>> {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| ApiError::parameter(name, format!("must be {expected}"), &shown(text)))
            })
            .transpose()
    }

    /// One of a closed set of names.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> ApiResult<Option<T>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Some((_, value)) = choices.iter().find(|(known, _)| *known == text) {
            return Ok(Some(*value));
        }
        let known: Vec<_> = choices.iter().map(|(known, _)| *known).collect();
        let message = format!("must be one of {}", known.join(", "));
        let suggestion = nearest(text, known);
        Err(ApiError::Parameter(vec![field_error(name, message, Some(shown(text)), suggestion)]))
    }

    /// The page's length.
    pub(crate) fn limit(&self) -> ApiResult<u32> {
        let expected = format!("a whole number from 1 to {}", limits::PAGE_MAX_ITEMS);
        match self.parsed("limit", &expected)? {
            None => Ok(limits::PAGE_DEFAULT_ITEMS),
            Some(limit) if (1..=limits::PAGE_MAX_ITEMS).contains(&limit) => Ok(limit),
            Some(limit) => {
                Err(ApiError::parameter("limit", format!("must be {expected}"), &limit.to_string()))
            }
        }
    }
}

/// A query's parameters as a type.
pub(crate) trait FromQuery: Sized {
    /// The names that are known.
    const NAMES: &'static [&'static str];

    /// Reads them.
    fn from_query(params: &Params) -> ApiResult<Self>;
}

/// Takes no parameter at all.
impl FromQuery for () {
    const NAMES: &'static [&'static str] = &[];

    fn from_query(_: &Params) -> ApiResult<Self> {
        Ok(())
    }
}

/// Extracts a query.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: FromQuery, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        T::from_query(&Params::parse(parts, T::NAMES)?).map(Self)
    }
}

/// Extracts a path's parameter `id`.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: From<uuid::Uuid>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let text = named(parts, state, "id").await?;
        match uuid::Uuid::parse_str(&text) {
            Ok(id) => Ok(Self(id.into())),
            Err(_) => Err(ApiError::parameter("id", "must be a UUID", &shown(&text))),
        }
    }
}

async fn named<S: Send + Sync>(parts: &mut Parts, state: &S, name: &'static str) -> ApiResult<String> {
    let values = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
    let value = values.ok().and_then(|Path(mut values)| values.remove(name));
    value.ok_or_else(|| ApiError::parameter(name, "must be text in UTF-8", parts.uri.path()))
}

/// Extracts a path's parameter `file`: a name that is safe on every file system.
pub(crate) struct FileName(pub(crate) String);

/// Longest name of a file, in characters.
const FILE_NAME_MAX_CHARS: usize = 64;

impl<S: Send + Sync> FromRequestParts<S> for FileName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let text = named(parts, state, "file").await?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = text.len() <= FILE_NAME_MAX_CHARS
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
        if fits {
            return Ok(Self(text));
        }
        let message = format!(
            "must be 1 to {FILE_NAME_MAX_CHARS} of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, such as step-000000.npz"
        );
        Err(ApiError::parameter("file", message, &shown(&text)))
    }
}

/// Extracts the only parameter of a path as text.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(ApiError::parameter("path", "must be text in UTF-8", parts.uri.path())),
        }
    }
}

/// Cursors are opaque to clients; here they are a key's text behind a letter that says of what.
pub(crate) struct Cursor;

impl Cursor {
    pub(crate) fn write(kind: char, key: impl Display) -> String {
        format!("{kind}{}", hex::encode(key.to_string()))
    }

    pub(crate) fn read<T: FromStr>(kind: char, params: &Params) -> ApiResult<Option<T>> {
        let Some(text) = params.text("cursor") else { return Ok(None) };
        let key = text
            .strip_prefix(kind)
            .and_then(|rest| hex::decode(rest).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|key| key.parse().ok());
        let wrong = || ApiError::parameter("cursor", "must be a `next_cursor` of this list", &shown(text));
        key.map(Some).ok_or_else(wrong)
    }
}
