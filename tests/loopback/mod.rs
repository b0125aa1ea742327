//! The real program against real phones: SIPp, baresip and linphone on loopback, with real audio.
//!
//! Each test starts the program that cargo built, in a folder and on ports of its own, waits until
//! it is ready, lets peers call or answer, and asserts what each side heard and what was recorded.
//! Every wait has a limit. A tool that is not there fails the test and says what to install. When a
//! test fails, its folder stays, and the ends of all logs are printed.
//!
//! Addresses: the service and the phones are 127.0.0.1, the trunk is 127.0.0.2, strangers 127.0.0.3.

/// Who sends from elsewhere: hears nothing, is not heard.
mod attack;
/// A headless baresip that registers, answers, dials, and keeps what it hears.
mod baresip;
/// Whole calls from the trunk to each kind of phone, with the voices of both.
pub(crate) mod calls;
/// A marked caller, and everywhere that the mark must not be.
mod canary;
/// What we send, as tshark's expert sees it.
mod capture;
/// Dialed codes.
mod codes;
/// A caller's keys, by all three ways.
mod digits;
/// Hold by either phone.
mod hold;
/// A headless linphonec, the same.
mod linphone;
/// Many calls.
mod load;
/// Signals: draining and reloading.
mod operation;
/// Several phones: forking, transfer, a phone that vanishes, SHA-256.
mod phones;
/// Folder, ports and child processes of one test; bounded waiting.
pub(crate) mod place;
/// A call that is recorded.
mod recording;
/// Callers who give up, are refused, or come at the wrong time.
mod refusals;
/// A plain RTP end: a tone out, everything heard is kept.
pub(crate) mod rtp_peer;
/// What scanners find: nothing.
mod scanners;
/// Encrypted voice with phones of other makes.
mod secure;
/// The program under test: configuration, console, records.
pub(crate) mod service;
/// SIPp runs from the scenarios of `tests/sipp`.
pub(crate) mod sipp;
/// Phones by TCP whose connection ends in a call.
mod streams;
/// Supervisors: who hears whom, by tone.
mod supervision;
/// A service that is killed or replaced in the middle of calls.
mod survival;
/// Phones and trunks by TLS, and a certificate that is exchanged.
mod tls;
/// Tones: µ-law, WAV, and which frequency is heard.
pub(crate) mod tone;
/// A trunk that wants a registration.
mod trunk;
/// Figures of the voices, one-way audio.
mod voices;
