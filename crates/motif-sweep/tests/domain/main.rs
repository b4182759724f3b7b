//! Tests of the domain through its public face.

#[cfg(test)]
mod amend;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod derive;
#[cfg(test)]
mod document;
#[cfg(test)]
mod exclude;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod requires;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod spec;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod until;
#[cfg(test)]
mod zip;
