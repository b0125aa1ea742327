//! A telephone's microphone and earpiece: a packet of µ-law every 20 ms, and a note of everything
//! that comes (RFC 3550, 3551).
//!
//! Owns one RTP socket while a call is up. Does not know what the voice says nor what is made of
//! what was heard.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::chance::Chance;
use crate::media::Law;
use crate::media::g711::{decode, silence};
use crate::sip::sdp::Agreed;

/// Time from one packet to the next.
const TICK: Duration = Duration::from_millis(20);
/// Samples of a packet.
const SAMPLES: usize = 160;
/// Packets that are kept of each direction: a minute.
const PACKETS_MAX: usize = 3_000;
/// Packets of a fifth of a second.
const FIFTH: usize = 10;
/// As silent as can be told, in dB below full scale.
const SILENCE_DB: f64 = -96.0;
/// Longest packet that is read.
const LENGTH_MAX: usize = 1_500;

/// A packet that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Its stream.
    pub ssrc: u32,
    /// Its place in the stream, in samples.
    pub timestamp: u32,
    /// µ-law.
    pub payload: Vec<u8>,
}

/// Everything of one side of a call.
#[derive(Debug, Default)]
pub struct Recording {
    /// Packets that went out with words in them: when, and µ-law.
    pub said: Vec<(Instant, Vec<u8>)>,
    /// Packets that came, in the order in which they did.
    pub heard: Vec<Heard>,
}

/// A side that is talking. It ends when the sender of its cue is dropped.
pub struct Audio {
    socket: UdpSocket,
    agreed: Agreed,
    words: Vec<u8>,
    cue: watch::Receiver<Option<Instant>>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Bytes of `words` that are said.
    spoken: usize,
    recording: Recording,
}

impl Audio {
    /// Starts to send silence, `words` from the cue on, and silence again after them.
    pub fn start(
        socket: UdpSocket,
        agreed: Agreed,
        words: Vec<u8>,
        cue: watch::Receiver<Option<Instant>>,
        chance: &mut Chance,
    ) -> JoinHandle<io::Result<Recording>> {
        let mut audio = Self {
            socket,
            agreed,
            words,
            cue,
            ssrc: chance.u32(),
            sequence: chance.u32() as u16,
            timestamp: chance.u32(),
            spoken: 0,
            recording: Recording::default(),
        };
        tokio::spawn(async move {
            audio.run().await?;
            Ok(audio.recording)
        })
    }

    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = [0; LENGTH_MAX];
        self.socket.writable().await?;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                came = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = came?;
                    self.hear(&buffer[..length], from);
                }
                () = sleep_until(next.into()) => {
                    self.speak()?;
                    // Absolute deadlines: a late wake-up makes no later one late.
                    next += TICK;
                }
                told = self.cue.changed() => {
                    if told.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn speak(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_cued = self.cue.borrow().is_some_and(|from| from <= now);
        let words = self.words.get(self.spoken..).filter(|words| is_cued && !words.is_empty());
        let payload = match words {
            Some(words) => words[..words.len().min(SAMPLES)].to_vec(),
            None => vec![silence(Law::Mu); SAMPLES],
        };
        if words.is_some() {
            self.spoken += payload.len();
        }
        let packet = RtpPacketBuilder::new()
            .payload_type(self.agreed.payload_send)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(&payload)
            .build()
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        // A packet that can't be sent is lost, as any may be.
        let is_sent = self.socket.try_send_to(&packet, self.agreed.rtp).is_ok();
        let is_word = payload.iter().any(|byte| *byte != silence(Law::Mu));
        if is_sent && is_word && self.recording.said.len() < PACKETS_MAX {
            self.recording.said.push((now, payload));
        }
        Ok(())
    }

    fn hear(&mut self, packet: &[u8], from: SocketAddr) {
        let at = Instant::now();
        let Ok(packet) = RtpReader::new(packet) else { return };
        let is_voice =
            from == self.agreed.rtp && packet.payload_type() == self.agreed.payload_receive;
        if is_voice && self.recording.heard.len() < PACKETS_MAX {
            self.recording.heard.push(Heard {
                at,
                ssrc: packet.ssrc(),
                timestamp: packet.timestamp(),
                payload: packet.payload().to_vec(),
            });
        }
    }
}

impl Recording {
    /// The longest time between two packets that came.
    pub fn longest_gap(&self) -> Duration {
        let gaps = self.heard.windows(2).map(|pair| pair[1].at - pair[0].at);
        gaps.max().unwrap_or_default()
    }

    /// The loudest fifth of a second that came, in dB below full scale; `None`: nothing did.
    pub fn loudest(&self) -> Option<f32> {
        let power = |packets: &[Heard]| {
            let samples = packets.iter().flat_map(|packet| &packet.payload);
            let squares = samples.map(|byte| f64::from(decode(Law::Mu, *byte)).powi(2));
            let (sum, count) = squares.fold((0.0, 0), |(sum, n), square| (sum + square, n + 1));
            sum / f64::from(count.max(1))
        };
        let loudest = self.heard.chunks(FIFTH).map(power).reduce(f64::max)?;
        let db = 10.0 * (loudest / f64::from(i16::MAX).powi(2)).log10();
        Some(db.max(SILENCE_DB) as f32)
    }

    /// How long the other side's words took to come here: each time, shortest first. A packet is
    /// known again by its contents, which the way does not change.
    pub fn delays(&self, other: &Self) -> Vec<Duration> {
        let took = |heard: &Heard| {
            let same = |said: &&(Instant, Vec<u8>)| said.0 <= heard.at && said.1 == heard.payload;
            other.said.iter().rev().find(same).map(|(at, _)| heard.at - *at)
        };
        let mut delays: Vec<_> = self.heard.iter().filter_map(took).collect();
        delays.sort();
        delays
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::{self, Direction};

    fn agreed(rtp: SocketAddr) -> Agreed {
        Agreed {
            codec: sdp::Codec::Pcmu,
            payload_send: 0,
            payload_receive: 0,
            events: None,
            rtp,
            rtcp: None,
            direction: Direction::SendRecv,
            ptime: 20,
            rtcp_mux: false,
            crypto: None,
        }
    }

    #[test]
    fn the_loudest_part_counts() {
        let packet = |byte| Heard {
            at: Instant::now(),
            ssrc: 1,
            timestamp: 0,
            payload: vec![byte; SAMPLES],
        };
        let of = |heard: Vec<Heard>| Recording { heard, said: Vec::new() }.loudest();
        assert_eq!(of(vec![]), None);
        assert_eq!(of(vec![packet(0xff); 20]), Some(-96.0));
        // 0x80 is the loudest byte of µ-law.
        let mut heard = vec![packet(0xff); 10];
        heard.extend(vec![packet(0x80); 10]);
        assert!(of(heard).unwrap() > -1.0);
    }

    #[tokio::test]
    async fn two_of_them_hear_each_other_from_the_cue_on() {
        let a = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (to_a, to_b) = (agreed(a.local_addr().unwrap()), agreed(b.local_addr().unwrap()));
        let (tell, cue) = watch::channel(None);
        let mut chance = Chance::from_number(1);
        let words: Vec<u8> = (0..5u8).flat_map(|n| vec![n; SAMPLES]).collect();
        let a = Audio::start(a, to_b, words.clone(), cue.clone(), &mut chance);
        let b = Audio::start(b, to_a, vec![], cue, &mut chance);
        tokio::time::sleep(Duration::from_millis(60)).await;
        tell.send(Some(Instant::now())).unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        drop(tell);
        let (a, b) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
        assert_eq!(a.said.len(), 5);
        assert_eq!(b.said.len(), 0);
        let heard: Vec<u8> = b.heard.iter().map(|h| h.payload[0]).collect();
        let at = heard.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(heard[at..at + 6], [0, 1, 2, 3, 4, 0xff]);
        assert_eq!(heard[0], 0xff);
        assert_eq!(b.delays(&a).len(), 5);
        assert!(a.longest_gap() > Duration::from_millis(5));
    }
}
