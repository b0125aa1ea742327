//! Codecs, and from one to another.

use std::hint::black_box;

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};
use koebashi::media::codec::{Decoder, Encoder, FRAMES_MAX, PAYLOAD_MAX, Transcoder};
use koebashi::media::{Codec, Law, g711};

use crate::{Run, Work, timed, voice};

const LIBRARY: &str = "audio-codec";
const OUT: usize = FRAMES_MAX * PAYLOAD_MAX;

pub(crate) fn works() -> Vec<Work> {
    let mut works = vec![
        Work::new("G.722 encoded", encode()).beside(LIBRARY, library_encode()).short(),
        Work::new("G.722 decoded", decode()).beside(LIBRARY, library_decode()).short(),
        Work::new("µ-law to A-law", convert()),
    ];
    let codecs = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    for from in codecs {
        for to in codecs {
            if let Some(transcoder) = Transcoder::new(from, to) {
                let run = transcode(transcoder, payloads(from));
                works.push(Work::new(format!("{} to {}, transcoded", name(from), name(to)), run));
            }
        }
    }
    works
}

/// What others call a codec.
pub(crate) fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
        Codec::G722 => "G.722",
        Codec::Opus => "Opus",
    }
}

/// A voice in frames of 20 ms at a codec's rate.
fn frames(codec: Codec) -> Vec<Vec<i16>> {
    let samples = codec.rate().samples();
    voice(samples as u32 * 50).chunks(samples).map(<[i16]>::to_vec).collect()
}

/// A second of a voice as a codec's packets.
pub(crate) fn payloads(codec: Codec) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec).unwrap();
    let encode = |frame: &Vec<i16>| {
        let mut payload = vec![0; PAYLOAD_MAX];
        let length = encoder.encode(frame, &mut payload);
        payload.truncate(length);
        payload
    };
    frames(codec).iter().map(encode).collect()
}

/// Which of so many comes next.
pub(crate) fn nth<T>(all: &[T], n: u32) -> &T {
    &all[n as usize % all.len()]
}

fn encode() -> Run {
    let (frames, mut encoder) = (frames(Codec::G722), Encoder::new(Codec::G722).unwrap());
    let mut out = [0; PAYLOAD_MAX];
    Box::new(move |count| {
        timed(count, |n| {
            assert_eq!(
                encoder.encode(black_box(nth(&frames, n).as_slice()), &mut out),
                PAYLOAD_MAX
            );
            black_box(&out);
        })
    })
}

fn library_encode() -> Run {
    let (frames, mut encoder) = (frames(Codec::G722), G722Encoder::new());
    let mut out = [0; PAYLOAD_MAX];
    Box::new(move |count| {
        timed(count, |n| {
            let length =
                encoder.encode_into(black_box(nth(&frames, n).as_slice()), &mut out).unwrap();
            assert_eq!(length, PAYLOAD_MAX);
            black_box(&out);
        })
    })
}

fn decode() -> Run {
    let (payloads, mut decoder) = (payloads(Codec::G722), Decoder::new(Codec::G722).unwrap());
    let mut out = Vec::new();
    Box::new(move |count| {
        timed(count, |n| {
            out.clear();
            assert!(decoder.decode(black_box(nth(&payloads, n).as_slice()), &mut out));
            black_box(&out);
        })
    })
}

fn library_decode() -> Run {
    let (payloads, mut decoder) = (payloads(Codec::G722), G722Decoder::new());
    let mut out = [0; 2 * PAYLOAD_MAX];
    Box::new(move |count| {
        timed(count, |n| {
            let length =
                decoder.decode_into(black_box(nth(&payloads, n).as_slice()), &mut out).unwrap();
            assert_eq!(length, 2 * PAYLOAD_MAX);
            black_box(&out);
        })
    })
}

fn convert() -> Run {
    let mut payload = payloads(Codec::Pcmu).swap_remove(7);
    Box::new(move |count| {
        timed(count, |n| {
            let (from, to) = if n % 2 == 0 { (Law::Mu, Law::A) } else { (Law::A, Law::Mu) };
            g711::convert(from, to, black_box(&mut payload));
        })
    })
}

fn transcode(mut transcoder: Transcoder, payloads: Vec<Vec<u8>>) -> Run {
    let mut out = [0; OUT];
    Box::new(move |count| {
        timed(count, |n| {
            assert!(transcoder.run(black_box(nth(&payloads, n).as_slice()), &mut out).is_some());
            black_box(&out);
        })
    })
}
