//! Reads a TOML or JSON file, or stdin, and turns what is wrong with it into messages that name the place.

use std::{fs, io::Read as _};

use motif_sweep::{
    document::{Document, Format},
    spec::{SpecError, SpecErrors},
};

/// Largest spec that is read.
const INPUT_MAX_BYTES: u64 = 8 << 20;

/// A file's text and where it came from.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The user's input is wrong: exit status 2.
#[derive(Debug)]
pub(crate) struct WrongInput(pub(crate) String);

impl std::fmt::Display for WrongInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongInput {}

/// Reads a file; `-` is stdin.
pub(crate) fn read_input(path: &str) -> anyhow::Result<Input> {
    let mut text = String::new();
    let (name, read) = if path == "-" {
        ("stdin".to_owned(), std::io::stdin().take(INPUT_MAX_BYTES + 1).read_to_string(&mut text))
    } else {
        let file = fs::File::open(path).map_err(|e| WrongInput(format!("cannot open {path}: {e}")))?;
        (path.to_owned(), file.take(INPUT_MAX_BYTES + 1).read_to_string(&mut text))
    };
    read.map_err(|e| WrongInput(format!("cannot read {name} as text: {e}")))?;
    if text.len() as u64 > INPUT_MAX_BYTES {
        return Err(WrongInput(format!("{name} is larger than {INPUT_MAX_BYTES} bytes")).into());
    }
    Ok(Input { name, text })
}

impl Input {
    /// The text with the places of its keys.
    pub(crate) fn document(&self) -> anyhow::Result<Document> {
        Document::read(&self.text, self.format()).map_err(|errors| self.wrong(&errors))
    }

    /// Its name says whether it is TOML or JSON, or that it begins like an object.
    fn format(&self) -> Format {
        let json = self.name.ends_with(".json")
            || (!self.name.ends_with(".toml") && self.text.trim_start().starts_with('{'));
        if json { Format::Json } else { Format::Toml }
    }

    /// A message that lists what is wrong, a line each, with its place as compilers and editors write it.
    pub(crate) fn wrong(&self, errors: &SpecErrors) -> anyhow::Error {
        let mut message = format!("{} cannot be used:", self.name);
        for error in &errors.0 {
            let place = match (error.line, error.column) {
                (Some(line), Some(column)) => format!("{}:{line}:{column}: ", self.name),
                _ => String::new(),
            };
            let told = SpecError { line: None, ..error.clone() };
            message.push_str(&format!("\n  {place}{told}"));
        }
        WrongInput(message).into()
    }
}
