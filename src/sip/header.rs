//! Header names and typed values.

/// A header's name.
#[derive(Clone, Debug)]
pub enum Name {
    /// Via.
    Via,
}
