# shellcheck shell=bash
# build.sh test: the tests of the Rust crates, then those that run in a real Godot.

test_help() {
  cat <<'END'
Usage: ./build.sh test [FILTER]

Runs the tests of the Rust crates with cargo, and those of rust/hazard/tests/loom.rs with loom, which tries every
order in which threads can get in each other's way; builds the addon, then runs tests/ in a real Godot (see
./build.sh godot --help for which). Some tests exchange memory with numpy and with a package for Node.js: they come from
PyPI and npm into target/, and where they can't be had, these tests are skipped. With FILTER: only the tests, of any
kind, whose name contains it; names of tests/ are FILE:TEST. target/tests-venv has their pytest, for runs by hand:
target/tests-venv/bin/python -m pytest tests --godot "$(./build.sh godot)".
END
}

test_main() {
  [ $# -le 1 ] || fail "test: one filter at most (see ./build.sh test --help)"
  local filter=${1:-} godot template='' log=$root/target/test-logs rust=passed loom=passed engine=passed ran selected=0
  check_prerequisites
  # Before minutes of building.
  prepare_partner
  godot=$(godot_path)
  if ! template=$(godot_template 2>/dev/null); then
    template=
    say "no export template of $godot was found (GODOT_TEMPLATE names one): no test of an exported game"
  fi
  mkdir -p "$log"

  say "tests of the Rust crates"
  with_heartbeat "testing the Rust crates" run_rust_tests || rust=FAILED
  say "the order of threads, tried by loom"
  with_heartbeat "trying with loom" run_loom_tests || loom=FAILED
  ran=$(($(passed_in "$log/rust.log") + $(passed_in "$log/loom.log")))

  # The filter may be for a Rust test. pytest ends with 5 if nothing is selected.
  make_venv tests
  godot_tests --collect-only --quiet >/dev/null || selected=$?
  if [ "$selected" -ne 5 ]; then
    build_addon
    prepare_peers
    say "tests in $godot"
    with_heartbeat "testing in Godot" run_godot_tests || engine=FAILED
    ran=$((ran + $(passed_in "$log/godot.log")))
  elif [ "$rust" = passed ] && [ "$ran" -eq 0 ]; then
    fail "test: no test has '$filter' in its name"
  else
    engine="no such test"
  fi

  say "Rust crates: $rust; with loom: $loom; in Godot: $engine; $ran tests passed"
  [ "$rust" != FAILED ] && [ "$loom" != FAILED ] && [ "$engine" != FAILED ]
}

# On Windows, the tests of the segment crate exchange memory with a program in C, which they find by this variable. Any
# compiler will do, also one that rustc does not link with.
prepare_partner() {
  local compiler program=$root/target/partner.exe
  [ -z "${SHM_SEGMENT_PARTNER:-}" ] || return 0
  case $(uname -s) in
    MINGW* | MSYS*) ;;
    *) return 0 ;;
  esac
  compiler=$(type -P gcc || type -P clang) ||
    fail "gcc or clang is needed on Windows, for a program that the tests exchange memory with: put one of them on the PATH."
  mkdir -p "$root/target"
  "$compiler" -std=c11 -O2 -o "$program" "$root/rust/segment/tests/partner/partner.c" ||
    fail "$compiler could not build rust/segment/tests/partner/partner.c"
  export SHM_SEGMENT_PARTNER=$program
}

# These use the variables of test_main.
run_rust_tests() {
  # Built without a limit, run with one: cargo has none of its own for a test that hangs.
  (
    cd "$root" && cargo test --locked --workspace --no-run &&
      python3 tools/with_limit.py 600 cargo test --locked --workspace ${filter:+-- "$filter"} &&
      nothing_left
  ) 2>&1 | tee "$log/rust.log"
}

# A build of its own: with loom in the place of the standard library's atomics. Optimised, as it tries every order.
run_loom_tests() {
  (
    cd "$root" && export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR
    CARGO_TARGET_DIR=$(cargo_target)/loom
    cargo test --locked --release -p hazard --test loom --no-run &&
      python3 tools/with_limit.py 300 \
        cargo test --locked --release -p hazard --test loom ${filter:+-- "$filter"}
  ) 2>&1 | tee "$log/loom.log"
}

# The names that the Rust tests make all have one of these beginnings.
nothing_left() {
  local path found=0
  for path in /dev/shm/{rust,dir,call}-test_*; do
    [ -e "$path" ] || continue
    say "the tests left $path"
    found=1
  done
  [ "$found" -eq 0 ]
}

run_godot_tests() {
  # The tests' user:// folders, and the settings that an export writes, are not the user's own.
  local home=$root/target/test-home
  XDG_DATA_HOME=$home/data XDG_CONFIG_HOME=$home/config XDG_CACHE_HOME=$home/cache \
    PYTHONUNBUFFERED=1 godot_tests 2>&1 | tee "$log/godot.log"
}

# godot_tests ARGUMENTS...: tests/ with pytest.
godot_tests() {
  "$root/target/tests-venv/bin/python" -m pytest "$root/tests" --godot "$godot" ${template:+--template "$template"} \
    --filter "$filter" "$@"
}

# passed_in LOG: the sum of all 'N passed' in the lines with which cargo and pytest close.
passed_in() {
  awk '/^test result: |^=+ .* in [0-9.]+s/ {
    for (i = 2; i <= NF; i++) if ($i ~ /^passed/) sum += $(i - 1)
  } END { print sum + 0 }' "$1"
}
