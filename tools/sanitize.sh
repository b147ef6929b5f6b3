# shellcheck shell=bash
# build.sh sanitize: the tests of the segment crate under ThreadSanitizer or AddressSanitizer.

sanitize_help() {
  cat <<'END'
Usage: ./build.sh sanitize [thread|address] [FILTER]

Runs the tests of the segment crate, or those whose name contains FILTER, under a sanitizer of the compiler: thread
(if none is named) or address. SHM_SEGMENT_ROUNDS sets how often the randomised ones run (50). Linux only. Needs

  address: a nightly Rust: rustup toolchain install nightly
  thread:  its sources as well: rustup toolchain install nightly --component rust-src
           The standard library has to be built with the sanitizer too, which otherwise reports whatever threads share
           through it. On Debian, RUSTC=/usr/bin/rustc takes the packages rustc-web and rust-web-src instead, with
           the libclang-rt-N-dev of the same LLVM (rustc -vV says which).

Both need addr2line (Debian: binutils), for names in reports. What ThreadSanitizer is told not to report is in
tools/tsan.supp. The tests that truncate wire formats are left out of its run: an atomic access that faults can't be
made under it. The tests at limits on memory (limits.rs) are left out of both.
END
}

sanitize_main() {
  local kind=thread filter='' common toolchain=() target flags sysroot options=() skipped=() log=$root/target/sanitize
  case ${1:-} in
    thread | address)
      kind=$1
      shift
      ;;
  esac
  [ $# -le 1 ] || fail "sanitize: one filter at most (see ./build.sh sanitize --help)"
  filter=${1:-}
  [ "$(uname -s)" = Linux ] || fail "sanitize: runs on Linux only"
  check_prerequisites
  have addr2line || fail "sanitize: addr2line is needed: install binutils."
  [ -n "${RUSTC:-}" ] || has_nightly ||
    fail "sanitize: a nightly Rust is needed: rustup toolchain install nightly --component rust-src"
  flags="-Zsanitizer=$kind"
  if [ -n "${RUSTC:-}" ]; then
    # Not a nightly, but asked to be one.
    export RUSTC_BOOTSTRAP=1
    sysroot=$("$RUSTC" --print sysroot)
    target=$("$RUSTC" -vV | sed -n 's/^host: //p')
    flags+=" $(clang_runtime "$kind")"
  else
    toolchain=(+nightly)
    sysroot=$(rustc +nightly --print sysroot)
    target=$(rustc +nightly -vV | sed -n 's/^host: //p')
  fi
  if [ "$kind" = thread ]; then
    [ -d "$sysroot/lib/rustlib/src/rust/library" ] ||
      fail "sanitize: the sources of Rust's standard library are needed: rustup component add --toolchain nightly rust-src"
    options=(-Zbuild-std)
    # ThreadSanitizer makes an atomic access itself, under a lock of its own. If that faults, our handler's atomics wait for
    # that lock for ever. (A copy faults outside of it.)
    skipped=(--skip partners::a_truncated_segment_is_an_error)
  fi

  # Faults in shared memory are caught by the crate; what isn't its own must end the process as it does elsewhere.
  common="handle_sigbus=0 external_symbolizer_path=$(command -v addr2line)"
  export TSAN_OPTIONS="$common suppressions=$root/tools/tsan.supp ${TSAN_OPTIONS:-}"
  export ASAN_OPTIONS="$common ${ASAN_OPTIONS:-}"
  export SHM_SEGMENT_ROUNDS=${SHM_SEGMENT_ROUNDS:-50}
  # For the tests at limits on memory, which the sanitizer needs itself.
  export SHM_SEGMENT_SANITIZED=1
  mkdir -p "$log"
  say "tests of the segment crate under the $kind sanitizer, $SHM_SEGMENT_ROUNDS rounds; the log is target/sanitize/$kind.log"
  with_heartbeat "testing under the $kind sanitizer" run_sanitized 2>&1 | tee "$log/$kind.log" ||
    fail "sanitize: something was found"
  # A report of a process that a test has started need not make the test fail.
  ! grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer' "$log/$kind.log" || fail "sanitize: something was found"
  say "sanitize: nothing found"
}

# Uses the variables of sanitize_main.
run_sanitized() {
  (
    cd "$root"
    # A target is named so that build scripts and macros, which run in the compiler, are built without.
    RUSTFLAGS=$flags python3 tools/with_limit.py 3600 \
      cargo ${toolchain[@]+"${toolchain[@]}"} test --locked -p shm-segment --lib --tests \
      ${options[@]+"${options[@]}"} --target "$target" --target-dir "$log/$kind" -- \
      ${skipped[@]+"${skipped[@]}"} ${filter:+"$filter"}
  )
}

# clang_runtime KIND: how to link clang's runtime, for a compiler that comes without its own.
clang_runtime() {
  local name=asan llvm library
  [ "$1" = address ] || name=tsan
  llvm=$("$RUSTC" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  library=$sysroot/lib/llvm-$llvm/lib/clang/$llvm/lib/linux/libclang_rt.$name-$(uname -m).a
  [ -f "$library" ] || fail "sanitize: there is no $library (Debian: apt install libclang-rt-$llvm-dev)"
  printf '%s' "-Zexternal-clangrt -Zpre-link-args=-Wl,--whole-archive,$library,--no-whole-archive,--export-dynamic"
}
