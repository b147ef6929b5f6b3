# shellcheck shell=bash
# A rustc that can build for any target: with the source of Rust's standard library beside it.

# The number goes up with every change to fetch_toolchain.sh that older downloads lack. The folder is part of it because
# the programs hold its path.
toolchain_folder=$root/target/toolchain
toolchain_stamp="2 $toolchain_folder"

# has_target TARGET: can the machine's own rustc build for it?
has_target() {
  local libraries
  libraries=$(rustc --print target-libdir --target "$1" 2>/dev/null) &&
    compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

# for_target TARGET COMMAND...: runs a command that calls cargo with `--target TARGET`, with what it takes for rustc to
# have the target's standard library: nothing where `rustup target add` was run, otherwise Debian's rustc, which builds
# that library from source (`-Zbuild-std`, for which stable Rust has to be told that it may).
for_target() {
  local target=$1
  shift
  if has_target "$target"; then
    "$@"
    return
  fi
  fetch_once toolchain "$toolchain_stamp" "a Rust that has its library's source (140 MB)" ||
    fail "this Rust has no library for $target: run 'rustup target add $target'."
  RUSTC_BOOTSTRAP=1 RUSTC=$toolchain_folder/root/usr/bin/rustc RUSTDOC=$toolchain_folder/root/usr/bin/rustdoc \
    CARGO_UNSTABLE_BUILD_STD=std,panic_unwind "$@"
}
