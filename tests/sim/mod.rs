//! A simulated world: the real switchboard and the real media engine, phones and a trunk made of
//! the project's own stack, links that lose, double and delay, and time that only moves when told
//! to.

mod clock;
pub(crate) mod dialogs;
pub(crate) mod disks;
pub(crate) mod ears;
pub(crate) mod endings;
pub(crate) mod game;
pub(crate) mod hearing;
pub(crate) mod invariants;
mod legs;
pub(crate) mod life;
pub(crate) mod link;
pub(crate) mod pace;
pub(crate) mod phone;
pub(crate) mod raw;
mod recording;
mod rehearsals;
mod reunion;
pub(crate) mod sights;
mod streams;
mod terms;
pub(crate) mod world;

pub(crate) use phone::{Answer, PhoneId};
pub(crate) use raw::{Raw, sdp};
pub(crate) use world::World;
