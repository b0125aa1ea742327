//! A simulated world: the real switchboard and the real media engine, phones and a trunk made of the
//! project's own stack, links that lose, double and delay, and time that only moves when told to.

pub mod link;
pub mod phone;
pub mod world;

pub use link::{Fate, Link};
pub use phone::{Answer, Phone, PhoneId};
pub use world::World;
