//! Opus in a program that was built without it: there is none to be had.
//!
//! Stands in for `opus.rs`; its types have no values.

use std::convert::Infallible;

/// No packet of silence either.
pub(super) const SILENCE: &[u8] = &[];

/// Is never made.
#[derive(Debug)]
pub(super) struct Decoder(Infallible);

impl Decoder {
    pub(super) fn new() -> Option<Self> {
        None
    }

    pub(super) fn decode(&mut self, _: &[u8], _: &mut Vec<i16>) -> bool {
        match self.0 {}
    }

    pub(super) fn lost(&mut self, _: Option<&[u8]>, _: &mut Vec<i16>) -> bool {
        match self.0 {}
    }
}

/// Is never made.
#[derive(Debug)]
pub(super) struct Encoder(Infallible);

impl Encoder {
    pub(super) fn new() -> Option<Self> {
        None
    }

    pub(super) fn encode(&mut self, _: &[i16], _: &mut [u8]) -> usize {
        match self.0 {}
    }
}
