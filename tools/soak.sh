# shellcheck shell=bash
# build.sh soak: the randomised tests of the segment crate, over and over, with many rounds each.

soak_help() {
  cat <<'END'
Usage: ./build.sh soak [MINUTES]

Runs, until MINUTES (60) are over, again and again and with new seeds: processes killed at any moment of any operation
(1,000 rounds each), truncations at any moment of a copy (10,000), and processes that race for a dead owner's name
(1,000). Ends at the first failure. Linux only.
END
}

soak_main() {
  local minutes=${1:-60} end loop=0
  [ $# -le 1 ] || fail "soak: one number at most (see ./build.sh soak --help)"
  [[ $minutes =~ ^[1-9][0-9]*$ ]] || fail "soak: '$minutes' is no number of minutes"
  [ "$(uname -s)" = Linux ] || fail "soak: these tests look into /dev/shm and /proc, which only Linux has"
  check_prerequisites
  say "building the tests"
  (cd "$root" && cargo test --quiet --locked -p shm-segment --no-run)
  end=$((SECONDS + minutes * 60))
  while [ "$SECONDS" -lt "$end" ]; do
    loop=$((loop + 1))
    soak_test 1000 killed a_kill_at_any_moment
    soak_test 10000 truncation truncation_at_any_moment
    soak_test 1000 lifetime of_ten_racing
  done
  say "soak: nothing found in $loop times all of it"
}

# soak_test ROUNDS FILE FILTER: runs those tests of that file, unless the time is over.
soak_test() {
  local rounds=$1 file=$2 filter=$3
  [ "$SECONDS" -lt "$end" ] || return 0
  say "soak $loop: $rounds rounds of $filter, $(((end - SECONDS + 59) / 60)) minutes left"
  (
    cd "$root"
    SHM_SEGMENT_ROUNDS=$rounds with_heartbeat "at $filter" python3 tools/with_limit.py 3600 \
      cargo test --quiet --locked -p shm-segment --test it -- --nocapture "$file::$filter"
  ) || fail "soak: $filter failed; its seed is above (SHM_SEGMENT_SEED and SHM_SEGMENT_ROUNDS repeat it)"
}
