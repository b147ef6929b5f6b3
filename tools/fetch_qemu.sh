#!/usr/bin/env bash
# Fetches QEMU, which runs programs of another processor, and the C library for arm64, without installing anything and
# without root.
#
#   fetch_qemu.sh FOLDER STAMP
#
# Afterwards there are FOLDER/qemu-aarch64, which needs no library, and FOLDER/arm64/lib. Invariant: FOLDER/stamp exists,
# with STAMP in it, only once everything else is in place and has run; whatever is found without it is thrown away.
set -euo pipefail

folder=$1
stamp=$2
# shellcheck source=tools/debian_packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

# An old one, so that the C library is one that programs of all later ones could have been built for.
suites="bookworm bookworm-security"
packages=(qemu-user-static libc6-arm64-cross)

work=$folder/work
rm -rf "${folder:?}/stamp" "${folder:?}/qemu-aarch64" "${folder:?}/arm64" "$work"
mkdir -p "$work"
fetch_packages "$work" "$suites" "qemu-user-static|libc6-arm64-cross" "${packages[@]}"
unpack_packages "$work" "$work/root"
mv "$work/root/usr/bin/qemu-aarch64-static" "$folder/qemu-aarch64"
mv "$work/root/usr/aarch64-linux-gnu" "$folder/arm64"

echo "== trying it"
"$folder/qemu-aarch64" "$folder/arm64/lib/ld-linux-aarch64.so.1" --verify "$folder/arm64/lib/libc.so.6"
rm -rf "$work"
printf '%s\n' "$stamp" >"$folder/stamp.new"
mv "$folder/stamp.new" "$folder/stamp"
