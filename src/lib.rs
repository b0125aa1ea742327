//! koebashi (声橋, "voice bridge") answers the calls of a public counseling line, plays the guidance,
//! keeps the callers in order and joins each of them with the next free counselor.
//!
//! # The path of a call
//!
//! ```text
//!  caller ── 0570 network ── trunk INVITE ─► trunk ─► guidance ─► queue ─► bridge ─► CDR
//!                                             │ open? │ prompts  │ order  │ ring, answer, join,
//! end
//!                                             │ room? │ digits   │ hold   │
//!                                             ▼       ▼          ▼        ▼
//!                                           schedule  media    counselor  media
//! ```
//!
//! # Layers
//!
//! ```text
//! main ─ cli ─ demo ─ console ─ config ─┐   only `shell`, `console`, `demo` are async; `call`,
//! shell ────────────────────────────────┼─► call ─► sip      `sip` and `media` open no socket,
//! store ────────────────────────────────┘     └───► media    read no clock and spawn nothing:
//!                                                            inputs and `now` in, outputs out
//!          time, pii, chance, lang, complaint below all
//! ```
//!
//! Arrows point down only; `tests/tidy` holds us to that.
//!
//! # Reading order
//!
//! [`shell::sip_socket`] takes a datagram → [`call::switchboard`] `handle` → [`sip::parse`] →
//! [`sip::endpoint`] (transaction, dialog, session) → `call/trunk` asks [`call::schedule`] →
//! `call/guidance` plays [`media::prompt`] and reads [`media::dtmf`] → `call/queue` →
//! `call/switchboard/settle` chooses a counselor → `call/ring` rings, `call/bridge` joins → BYE →
//! [`call::cdr`] → [`store::cdr`] → [`store::report`].
//!
//! # Invariants
//!
//! * `call`, `sip` and `media` have no runtime, socket, file, thread, clock or chance of their own.
//! * One loop owns the switchboard by `&mut`; there is no lock in the core.
//! * `handle` never fails: a bad message is answered, counted or dropped.
//! * Every queue, list and wait has a limit.
//! * Same seed, same inputs: same outputs, byte for byte.
//! * Every call ends in exactly one [`call::cdr::Cdr`].
//! * Every leg has one owner. What a counselor chose is kept, what a counselor does is read off the
//!   live legs.
//! * A caller's number is a [`pii::Pii`], in the memory of the live call and nowhere else.

pub mod chance;
pub mod complaint;
pub mod lang;
pub mod pii;
pub mod time;

pub mod call;
// What no target of the fuzzer drives is left out there: it only costs time.
#[cfg(not(fuzzing))]
pub mod cli;
pub mod config;
#[cfg(not(fuzzing))]
pub mod console;
#[cfg(not(fuzzing))]
pub mod demo;
pub mod media;
pub mod shell;
pub mod sip;
pub mod store;
