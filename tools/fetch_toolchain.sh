#!/usr/bin/env bash
# Fetches Debian's own rustc with the source of Rust's standard library into a folder, without installing anything and
# without root. With both, cargo builds for any target (`-Zbuild-std`), where rustup can't bring the target's library.
#
#   fetch_toolchain.sh FOLDER STAMP
#
# Afterwards there are FOLDER/root/usr/bin/rustc and, beside it, clippy-driver and cargo-clippy. What the system has
# installed of what they need is used from there. Invariant: FOLDER/stamp exists, with STAMP in it, only once
# everything else is in place and has run; whatever is found without it is thrown away.
set -euo pipefail

folder=$1
stamp=$2
# shellcheck source=tools/debian_packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

# The oldest release that has a new enough Rust, so that it runs on all later ones. Its security updates bring the Rust
# that current browsers need.
suites="bookworm bookworm-security"
packages=(rustc-web rust-web-src rust-web-clippy patchelf)

work=$folder/work
rm -rf "${folder:?}/stamp" "${folder:?}/root" "$work"
mkdir -p "$work"
fetch_packages "$work" "$suites" ".*rust.*|cargo.*|patchelf" "${packages[@]}"
unpack_packages "$work" "$work/root"
root=$folder/root
mv "$work/root" "$root"
# The compiler's own source, and what tests it, are most of it.
find "$root"/usr/src/rustc-*/ -mindepth 1 -maxdepth 1 ! -name library -exec rm -rf {} +

# The programs find their libraries by themselves: with LD_LIBRARY_PATH, the linker and the build scripts that rustc
# starts would get them, too.
echo "== tying the programs to their libraries"
libraries=$(dirname "$(find "$root/usr/lib" -name 'librustc_driver-*.so' | head -n 1)")
for program in rustc rustdoc clippy-driver cargo-clippy; do
  "$root/usr/bin/patchelf" --force-rpath --set-rpath "$libraries" "$root/usr/bin/$program"
done

echo "== trying it"
"$root/usr/bin/rustc" --version --verbose
"$root/usr/bin/clippy-driver" --version
test -f "$root/usr/lib/rustlib/src/rust/library/std/Cargo.toml"
rm -rf "$work"
printf '%s\n' "$stamp" >"$folder/stamp.new"
mv "$folder/stamp.new" "$folder/stamp"
