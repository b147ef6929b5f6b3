# shellcheck shell=bash
# build.sh miri: what of the segment crate the interpreter Miri can run.

miri_help() {
  cat <<'END'
Usage: ./build.sh miri

Runs those tests of the segment crate that need no shared memory of the system (which Miri hasn't got) in Miri, which
finds undefined behaviour: the module that touches the mapped bytes, on anonymous memory; what threads share without a
lock; the rules for names, and for structs.
Needs a nightly Rust with Miri: rustup toolchain install nightly --component miri,rust-src
END
}

miri_main() {
  [ $# -eq 0 ] || fail "miri takes no argument (see ./build.sh miri --help)"
  cargo +nightly miri --version >/dev/null 2>&1 ||
    fail "Miri is missing; get it with: rustup toolchain install nightly --component miri,rust-src"
  cd "$root"
  shown cargo +nightly miri test --locked -p shm-segment --lib -- memory:: name:: layout::structs::
  # It reads how much to do from a variable of the environment.
  MIRIFLAGS=-Zmiri-disable-isolation shown cargo +nightly miri test --locked -p hazard --test threads
}
