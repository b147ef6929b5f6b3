# shellcheck shell=bash
# build.sh package: the zip that users install.

# Whose dependencies the libraries of all systems have.
packaged_targets=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-apple-darwin
  x86_64-pc-windows-gnu)

package_help() {
  cat <<'END'
Usage: ./build.sh package [--all [--tag TAG]]

Builds the addon and makes target/package/godot-shared-memory-<version>.zip, with addons/ at its root: unpacked
into a Godot project, it works there. Holds the libraries that are in addons/shared_memory/bin/, and the notices
of everything linked into them. The same files give the same zip.

  --all   make target/package/all/godot-shared-memory-<version>.zip instead, with the libraries of all systems (see
          ./build.sh cross --help), and its SHA-256 beside it: what a release is
  --tag   make it only if TAG is v<version>
END
}

package_main() {
  local all='' tag='' key keys=() version zip folder=$root/target/package targets=() options=()
  if [ "${1:-}" = --all ]; then
    all=$1
    shift
    folder=$folder/all targets=("${packaged_targets[@]}")
    options=(--libraries "$cross_folder" --checksum)
    if [ "${1:-}" = --tag ]; then
      tag=${2:-}
      shift $(($# > 1 ? 2 : 1))
    fi
  fi
  [ $# -eq 0 ] || fail "package: unknown argument '$1' (see ./build.sh package --help)"
  check_prerequisites
  version=$(sed -n 's/^version *= *"\(.*\)".*/\1/p' "$root/Cargo.toml" | head -n 1)
  [ -n "$version" ] || fail "Cargo.toml has no version"
  [ -z "$tag" ] || [ "$tag" = "v$version" ] || fail "package: the tag is '$tag', but Cargo.toml has version $version"
  if [ -n "$all" ]; then
    rm -rf "$cross_folder"
    while IFS= read -r key; do keys+=("$key"); done < <(library_keys)
    cross_all "${keys[@]}"
  else
    build_addon
  fi
  mkdir -p "$folder"

  say "collecting the notices of what is linked in"
  # Some of the libraries may contain the standard library of another Rust.
  if [ -n "$all" ] && is_fetched toolchain "$toolchain_stamp"; then
    export FETCHED_RUSTC=$toolchain_folder/root/usr/bin/rustc
  fi
  python3 "$root/tools/notices.py" "$root" ${targets[@]+"${targets[@]}"} >"$folder/THIRD_PARTY_NOTICES.txt"
  say "zipping"
  zip=$folder/godot-shared-memory-$version.zip
  python3 "$root/tools/package.py" ${options[@]+"${options[@]}"} "$zip" "$addon" "$folder/THIRD_PARTY_NOTICES.txt"
  python3 "$root/tools/check_package.py" ${all:+--complete} "$zip"
  printf '%s\n' "$zip"
}
