# shellcheck shell=bash
# build.sh fuzz: the fuzz targets of rust/fuzz, by cargo-fuzz and libFuzzer.

# What is run is built by this version, so that a run can be repeated.
cargo_fuzz_version=0.13.2

fuzz_help() {
  cat <<'END'
Usage: ./build.sh fuzz [TARGET...] [--seconds N] [--input FILE] [--merge]

Builds the fuzz targets in rust/fuzz (those named, otherwise all), and runs each for N seconds (60), two at a time.
Each starts from its corpus in rust/fuzz/corpus and from what earlier runs found, in target/fuzz/corpus. What makes
one fail is kept in target/fuzz/findings/TARGET.

  --input FILE  run TARGET with this one input, and nothing else
  --merge       don't run, but replace the corpus in rust/fuzz by as few inputs of both as cover what both cover

With a nightly Rust (rustup toolchain install nightly), under AddressSanitizer; otherwise, on the one that builds
everything else, without. Needs Linux and a C++ compiler (Debian: apt install g++). cargo-fuzz comes from crates.io,
into target/tools.
END
}

fuzz_main() {
  local targets=() seconds=60 input='' merge=no target
  while [ $# -gt 0 ]; do
    case $1 in
      --seconds | --input)
        [ $# -ge 2 ] || fail "fuzz: $1 needs a value (see ./build.sh fuzz --help)"
        if [ "$1" = --seconds ]; then seconds=$2; else input=$2; fi
        shift
        ;;
      --merge) merge=yes ;;
      -*) fail "fuzz: unknown option '$1' (see ./build.sh fuzz --help)" ;;
      *) targets+=("$1") ;;
    esac
    shift
  done
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "fuzz: '$seconds' is no number of seconds"
  [ -z "$input" ] || [ ${#targets[@]} -eq 1 ] || fail "fuzz: --input takes exactly one target"
  [ -z "$input" ] || [ -f "$input" ] || fail "fuzz: there is no file '$input'"
  [ "$(uname -s)" = Linux ] || fail "fuzz: the targets look into /dev/shm, which only Linux has"
  for target in ${targets[@]+"${targets[@]}"}; do
    [ -f "$root/rust/fuzz/src/bin/$target.rs" ] || fail "fuzz: no target '$target'; there are: $(fuzz_targets | xargs)"
  done
  [ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(fuzz_targets)
  check_prerequisites
  have c++ || fail "fuzz: a C++ compiler is needed, for libFuzzer (Debian, Ubuntu: apt install g++)."

  local toolchain=() sanitizer=none out=$root/target/fuzz host
  host=$(rustc -vV | sed -n 's/^host: //p')
  if has_nightly; then
    toolchain=(env RUSTUP_TOOLCHAIN=nightly) sanitizer=address
  else
    say "no nightly Rust was found: without AddressSanitizer"
  fi
  has_cargo_fuzz
  say "building ${#targets[@]} fuzz targets (sanitizer: $sanitizer)"
  with_heartbeat "building the fuzz targets" build_fuzz_targets
  fuzz_names=fuzz-test_$$
  trap fuzz_clean EXIT

  if [ -n "$input" ]; then
    fuzz_binary "${targets[0]}" "$input"
  elif [ "$merge" = yes ]; then
    for target in "${targets[@]}"; do fuzz_merge "$target"; done
  else
    fuzz_all
  fi
}

# Ends what still runs, and removes the names in /dev/shm of those that have found something.
fuzz_clean() {
  # Not where a part of this script ends. In one that is killed as soon as it was forked, bash still takes $BASHPID for
  # its parent's: it is the system that knows who this is.
  # shellcheck disable=SC2016 # sh is to expand it.
  [ "$(exec sh -c 'echo "$PPID"')" = "$$" ] || return 0
  local job
  for job in $(jobs -p); do kill "$job" 2>/dev/null; done
  wait
  rm -rf /dev/shm/"$fuzz_names"_*
}

fuzz_targets() {
  local file
  for file in "$root"/rust/fuzz/src/bin/*.rs; do basename "$file" .rs; done
}

has_cargo_fuzz() {
  local tools=$root/target/tools
  [ "$("$tools/bin/cargo-fuzz" --version 2>/dev/null)" = "cargo-fuzz $cargo_fuzz_version" ] && return
  say "installing cargo-fuzz $cargo_fuzz_version from crates.io into target/tools"
  with_heartbeat "installing cargo-fuzz" \
    cargo install --quiet --locked --root "$tools" --version "$cargo_fuzz_version" cargo-fuzz ||
    fail "cargo-fuzz could not be installed; it comes from crates.io."
}

# These use the variables of fuzz_main.
build_fuzz_targets() {
  local target
  # A folder for each sanitizer: the one would have to build again what the other has built.
  for target in "${targets[@]}"; do
    (cd "$root/rust/fuzz" && ${toolchain[@]+"${toolchain[@]}"} "$root/target/tools/bin/cargo-fuzz" build --fuzz-dir . \
      --sanitizer "$sanitizer" --target-dir "$out/$sanitizer" "$target")
  done
}

# fuzz_binary TARGET ARGUMENTS...: runs it, with names of its own.
fuzz_binary() {
  local target=$1
  shift
  mkdir -p "$out/corpus/$target" "$out/findings/$target" "$root/rust/fuzz/corpus/$target"
  # No -handle_bus=0: libFuzzer's handler is there before ours, so it gets what is none of ours, and reports it.
  SHM_FUZZ_NAME=${fuzz_names}_$target "$out/$sanitizer/$host/release/$target" \
    -timeout=10 -rss_limit_mb=4096 -max_len=1024 -print_final_stats=1 \
    -artifact_prefix="$out/findings/$target/" "$@"
}

fuzz_all() {
  local target running=() failed=()
  mkdir -p "$out/logs"
  say "running ${targets[*]}, $seconds s each, two at a time; the logs are in target/fuzz/logs"
  for target in "${targets[@]}"; do
    if [ ${#running[@]} -eq 2 ]; then
      fuzz_ended
    fi
    fuzz_binary "$target" -max_total_time="$seconds" "$out/corpus/$target" "$root/rust/fuzz/corpus/$target" \
      >"$out/logs/$target.log" 2>&1 &
    running+=("$target:$!")
  done
  while [ ${#running[@]} -gt 0 ]; do
    fuzz_ended
  done
  [ ${#failed[@]} -eq 0 ] || fail "fuzz: something was found by $(printf '%s ' "${failed[@]}")"
  say "fuzz: nothing found"
}

# Waits for the first of `running`, which was started first and so ends first, and says how it went.
fuzz_ended() {
  local target=${running[0]%%:*} log status=0
  log=$out/logs/$target.log
  with_heartbeat "fuzzing" wait_for "${running[0]##*:}" || status=$?
  if [ "$status" -eq 0 ]; then
    say "$target: $(fuzz_figures "$log")"
  else
    say "$target: FAILED with status $status, after $(fuzz_figures "$log")"
    sed '/^#[0-9]/d' "$log" | tail -n 60 >&2
    failed+=("$target")
  fi
  running=("${running[@]:1}")
}

wait_for() {
  wait "$1"
}

# The last line with coverage, and the closing statistics of libFuzzer.
fuzz_figures() {
  awk '
    /^#[0-9]+.* cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corp = $(i + 1) } }
    /^stat::number_of_executed_units/ { runs = $2 }
    /^stat::average_exec_per_sec/ { rate = $2 }
    END { printf "%d runs, %d a second, %d edges covered, corpus %s\n", runs, rate, cov, corp ? corp : "-" }' "$1"
}

# fuzz_merge TARGET: the committed corpus becomes what is needed of it and of what was found since.
fuzz_merge() {
  local target=$1 merged=$out/merged/$1
  rm -rf "$merged"
  mkdir -p "$merged"
  # As few inputs as reach every edge, however often they do: some thirty instead of some hundreds.
  fuzz_binary "$target" -set_cover_merge=1 -use_counters=0 "$merged" "$root/rust/fuzz/corpus/$target" "$out/corpus/$target" \
    >"$out/merge.log" 2>&1 || fail "fuzz: the corpus of $target could not be merged; see target/fuzz/merge.log"
  rm -rf "$root/rust/fuzz/corpus/$target"
  mv "$merged" "$root/rust/fuzz/corpus/$target"
  say "$target: $(find "$root/rust/fuzz/corpus/$target" -type f | wc -l) inputs"
}
