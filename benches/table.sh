#!/usr/bin/env bash
# Runs every benchmark and writes the table of README.md anew, between its two markers.
# Wants a quiet machine, and takes about 12 minutes; what each benchmark prints is kept in
# target/table/. The figures of the service are medians of three runs; the others are medians
# within their run already.
#
#   benches/table.sh         all of it, into README.md
#   benches/table.sh --try   shows that everything runs: tiny, unoptimized, and only printed
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."

out=target/table
mkdir -p "$out"
export TABLE=$PWD/$out/rows
: >"$TABLE"

bench() { # name, arguments
  local name=$1
  shift
  echo "-- $name $*" >&2
  cargo bench --locked --quiet "${profile[@]}" --bench "$name" -- "$@" | tee -a "$out/$name.md" >&2
}

rm -f "$out"/*.md
case ${1:-} in
  --try)
    profile=(--profile dev)
    bench parse 1 20
    bench sound 1 200
    bench relay 1 1
    bench service --quick --calls 4,8
    ;;
  '')
    profile=()
    bench parse
    bench sound
    bench relay
    for _ in 1 2 3; do bench service --calls 200,1500; done
    ;;
  *)
    sed -n '2,9s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac

# The rows of several runs that say the same become one: their median.
rows() {
  awk -F'|' '
    function median(list,   all, n, i, j, held) {
      n = split(list, all, " ")
      for (i = 2; i <= n; i++)
        for (j = i; j > 1 && all[j - 1] + 0 > all[j] + 0; j--) {
          held = all[j]; all[j] = all[j - 1]; all[j - 1] = held
        }
      return all[int((n + 1) / 2)]
    }
    function short(x) { return sprintf(x < 0.1 ? "%.3f" : x < 10 ? "%.2f" : "%.0f", x) }
    !($1 in figures) { order[++count] = $1 }
    {
      figures[$1] = figures[$1] " " $2; unit[$1] = $3
      name[$1] = $4; others[$1] = others[$1] " " $5; goal[$1] = $6
    }
    END {
      for (k = 1; k <= count; k++) {
        what = order[k]; figure = median(figures[what]); beside = ""
        if (name[what] != "") {
          other = median(others[what])
          beside = name[what] " " short(other) " " unit[what]
          if (other > 0) beside = beside sprintf(" (%.2f ×)", figure / other)
        }
        printf "| %s | %s %s | %s | %s |\n", what, short(figure), unit[what], beside, goal[what]
      }
    }' "$TABLE"
}

table() {
  local model
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf '%s, commit %s: %s cores (%s), Linux %s, %s.\n\n' "$(date -u +%F)" \
    "$(git rev-parse --short HEAD)" "$(nproc)" "${model:-unknown}" "$(uname -r)" \
    "$(rustc --version | cut -d ' ' -f 1-2)"
  printf '| what | koebashi | beside it, in the same run | goal |\n|---|---|---|---|\n'
  rows
}

table >"$out/table.md"
cat "$out/table.md"
[[ ${1:-} == --try ]] && exit

awk -v table="$out/table.md" '
  /^<!-- numbers: end -->$/ { inside = 0; ends++ }
  !inside { print }
  /^<!-- numbers: begin/ { inside = 1; begins++; while ((getline line < table) > 0) print line }
  END { exit !(begins == 1 && ends == 1 && !inside) }
' README.md >"$out/README.md" || {
  echo "README.md lacks its two markers: nothing was changed" >&2
  exit 1
}
cat "$out/README.md" >README.md
