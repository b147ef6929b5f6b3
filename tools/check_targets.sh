# shellcheck shell=bash
# build.sh check-targets: what the compiler says of the code for systems that nothing can be run on here.

# Of the crates' tests as well, which are to be run there.
linted_targets=(aarch64-apple-darwin x86_64-apple-darwin x86_64-pc-windows-gnu)
# The segment crate alone: where it has nothing to offer, it must at least compile.
checked_targets=(x86_64-unknown-freebsd aarch64-linux-android aarch64-apple-ios wasm32-unknown-emscripten)

check_targets_help() {
  cat <<END
Usage: ./build.sh check-targets [TARGET...]

Compiles for other systems, as far as a compiler gets without their linkers, and runs clippy, to which every warning is
an error: both crates and their tests for macOS and Windows, the segment crate for FreeBSD, Android, iOS and the Web.
With TARGET (${linted_targets[*]}
${checked_targets[*]}): only for these. Where rustup has no standard library for one,
Debian's Rust is fetched into target/toolchain, and compiles it from source.
END
}

check_targets_main() {
  local target targets=("$@") failed=()
  [ $# -gt 0 ] || targets=("${linted_targets[@]}" "${checked_targets[@]}")
  for target in "${targets[@]}"; do
    is_one_of "$target" "${linted_targets[@]}" "${checked_targets[@]}" ||
      fail "check-targets: unknown target '$target' (see ./build.sh check-targets --help)"
  done
  check_prerequisites
  cd "$root"
  for target in "${targets[@]}"; do
    if is_one_of "$target" "${linted_targets[@]}"; then
      check "$target" with_heartbeat "checking" for_linted_target "$target" clippy_of_rust \
        --locked --workspace --all-targets --target "$target" -- -D warnings
    else
      check "$target" with_heartbeat "checking" for_target "$target" env RUSTFLAGS="-D warnings" \
        cargo check --locked -p shm-segment --target "$target"
    fi
  done
  [ ${#failed[@]} -eq 0 ] || fail "check-targets: problems found for$(printf ' %s,' "${failed[@]}" | sed 's/,$//')"
  say "check-targets: nothing found for ${targets[*]}"
}

# for_linted_target TARGET COMMAND...: for Windows, the compiler itself calls a tool that comes with mingw.
for_linted_target() {
  local target=$1
  shift
  if [ "$target" = "$windows_target" ]; then
    fetch_for_windows
    windows_cargo "$@"
  else
    for_target "$target" "$@"
  fi
}

# cargo clippy, that of the rustc that for_target chose.
clippy_of_rust() {
  if [ -n "${RUSTC:-}" ] && [ -x "$(dirname "$RUSTC")/cargo-clippy" ]; then
    "$(dirname "$RUSTC")/cargo-clippy" clippy "$@"
  else
    cargo clippy "$@"
  fi
}

# is_one_of WORD WORDS...
is_one_of() {
  local word=$1 other
  shift
  for other; do
    [ "$word" != "$other" ] || return 0
  done
  return 1
}
