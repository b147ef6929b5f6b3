# shellcheck shell=bash
# build.sh cross: the libraries of other systems, and this one's so that it loads on old ones.

cross_folder=$root/target/cross
zigbuild=$root/target/cross-venv/bin/cargo-zigbuild
# Of 2018: Debian 10, Ubuntu 18.10, RHEL 8.
oldest_glibc=2.28
# The oldest macOS that runs on Apple's own processors.
oldest_macos=11.0

cross_help() {
  cat <<END
Usage: ./build.sh cross [SYSTEM...]

Builds the addon's libraries for the systems named, or for all that addons/shared_memory/shared_memory.gdextension
has keys for, puts them into target/cross/, and checks them. Nothing of the machine is changed:

  linux.x86_64, linux.arm64   linked by zig, for glibc $oldest_glibc and newer
  macos                       linked by zig, for macOS $oldest_macos and newer; both processors' halves in one file
  windows.x86_64              what ./build.sh windows builds

zig and cargo-zigbuild come from PyPI, into target/cross-venv. Where rustup has a system's standard library (rustup
target add), it is used; otherwise Debian's Rust is fetched into target/toolchain, and builds it from source.
END
}

cross_main() {
  local key keys=("$@")
  check_prerequisites
  if [ $# -eq 0 ]; then
    while IFS= read -r key; do keys+=("$key"); done < <(library_keys)
  fi
  cross_all "${keys[@]}"
}

# cross_all KEY...: builds them, and looks into them.
cross_all() {
  local key keys=("$@") libraries=()
  for key in "${keys[@]}"; do
    library_of "$key" >/dev/null ||
      fail "cross: the .gdextension file has no key '$key', but these: $(library_keys | paste -sd ' ' -)"
  done
  make_venv cross
  mkdir -p "$cross_folder"
  for key in "${keys[@]}"; do
    cross_build "$key"
    libraries+=("$cross_folder/$(library_of "$key")")
  done
  check_libraries "${libraries[@]}"
}

# cross_build KEY: builds one, and puts it into target/cross.
cross_build() {
  local built
  say "building for $1"
  case $1 in
    linux.x86_64) zig_build x86_64-unknown-linux-gnu ".$oldest_glibc" ;;
    linux.arm64) zig_build aarch64-unknown-linux-gnu ".$oldest_glibc" ;;
    macos) zig_build_macos ;;
    windows.x86_64)
      build_for_windows
      built=$windows_library
      ;;
    *) fail "cross: nothing is known of how to build for $1" ;;
  esac
  # The functions set `built`.
  install_file "$built" "$cross_folder/$(library_of "$1")"
}

# zig_build TARGET SUFFIX: sets `built` of cross_build.
zig_build() {
  with_heartbeat "building" for_target "$1" with_zig of_the_addon "$zigbuild" zigbuild --target "$1$2"
  built=$(cargo_target)/$1/release/libgodot_shared_memory.so
}

# The halves of both processors, joined.
zig_build_macos() {
  local target needed=aarch64-apple-darwin
  for target in aarch64-apple-darwin x86_64-apple-darwin; do
    has_target "$target" || needed=$target
  done
  # rustc would strip it with a program that not every Rust comes with; and it must not be changed after it is signed.
  with_heartbeat "building" for_target "$needed" with_zig of_the_addon \
    "$zigbuild" zigbuild --target universal2-apple-darwin --config profile.release.strip=false
  built=$(cargo_target)/universal2-apple-darwin/release/libgodot_shared_memory.dylib
}

# with_zig COMMAND...: runs a command that calls cargo-zigbuild.
with_zig() {
  local zig
  zig=("$root"/target/cross-venv/lib/python3*/site-packages/ziglang)
  # zig brings what it needs of macOS. That is told to rustc, which would otherwise look for Xcode.
  CARGO_ZIGBUILD_ZIG_PATH=${zig[0]}/zig \
    SDKROOT=${zig[0]}/lib/libc/darwin MACOSX_DEPLOYMENT_TARGET=$oldest_macos "$@"
}

# check_libraries FILE...: what each needs of its system, and whether that is too much.
check_libraries() {
  say "looking into the libraries"
  "$root/target/cross-venv/bin/python" "$root/tools/check_libraries.py" --glibc "$oldest_glibc" \
    --macos "$oldest_macos" --foreign "$root" --foreign "${CARGO_HOME:-$HOME/.cargo}" "$@"
}
