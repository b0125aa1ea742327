#!/usr/bin/env bash
# Fuzzes the readers and the switchboard: each target of tests/fuzz for so many seconds, two at a
# time: `fuzz/run.sh 60` a minute each, as for every change, `fuzz/run.sh 28800` over night, before a
# release, `fuzz/run.sh 300 uri sdp` these only.
# `fuzz/run.sh keep` puts what was found of new ways, in few and small files, into fuzz/corpus.
# Needs a C++ compiler. Ends with 1 when a promise was broken, and says how to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-15}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
  targets=(sequence config wav kept journal srtp rtp rtcp datagram headers stream sdp auth uri)
fi
program=target/debug/all
work=target/fuzz

RUSTC_WRAPPER=$PWD/fuzz/counted \
  cargo build --locked --manifest-path fuzz/Cargo.toml --target-dir target

# Longest input of a target, in bytes: what is longer costs time and finds nothing new.
longest() {
  case $1 in
  wav) echo 8192 ;;
  config | kept) echo 16384 ;;
  sequence) echo 97 ;;
  uri) echo 512 ;;
  *) echo 4096 ;;
  esac
}

fuzz() {
  local target=$1 folder=$work/$1
  mkdir -p "$folder/corpus" "$folder/broken" "fuzz/corpus/$target"
  local log=$folder/log
  if KOEBASHI_TARGET=$target "$program" "$folder/corpus" "fuzz/corpus/$target" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 -max_len="$(longest "$target")" \
    -artifact_prefix="$folder/broken/" -print_final_stats=1 >"$log" 2>&1; then
    local runs covered
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    printf '%-9s %10s executions, %s\n' "$target" "$runs" "$covered"
  else
    tail -n 60 "$log"
    local file
    file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    printf '\n%s BREAKS A PROMISE: %s\nAGAIN: KOEBASHI_TARGET=%s %s %s\n' \
      "$target" "$file" "$target" "$program" "$file"
    return 1
  fi
}

# Of all files that were found, few that go all known ways; the smallest of them, where they are many.
keep() {
  local target=$1 folder=$work/$1 kept
  kept=$(mktemp -d)
  KOEBASHI_TARGET=$target "$program" -set_cover_merge=1 -rss_limit_mb=2048 \
    -artifact_prefix="$folder/broken/" \
    -max_len="$(longest "$target")" "$kept" "fuzz/corpus/$target" "$folder/corpus" >"$folder/log" 2>&1
  # What was put there by hand has a name, and stays.
  find "fuzz/corpus/$target" -type f -regextype egrep -regex '.*/[0-9a-f]{40}' -delete
  local named room=14000 size file count=0
  named=$(find "fuzz/corpus/$target" -type f | wc -l)
  while read -r size file; do
    ((count + named < 40 && room >= size)) || break
    room=$((room - size))
    count=$((count + 1))
    cp "$kept/$file" "fuzz/corpus/$target/"
  done < <(find "$kept" -type f -printf '%s %f\n' | sort -n)
  rm -r "$kept"
  echo "$target: $count files beside $named with names"
}

if [[ $seconds == keep ]]; then
  for target in "${targets[@]}"; do keep "$target"; done
  exit
fi
export -f fuzz longest
export seconds program work
printf '%s\n' "${targets[@]}" | xargs -P 2 -I TARGET bash -c 'fuzz TARGET'
