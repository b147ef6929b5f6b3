# shellcheck shell=bash
# build.sh package: the zip that users install.

package_help() {
  cat <<'END'
Usage: ./build.sh package

Builds the addon and makes target/package/godot-shared-memory-<version>.zip, with addons/ at its root: unpacked
into a Godot project, it works there. Holds the libraries that are in addons/shared_memory/bin/, and the notices
of everything linked into them. The same files give the same zip.
END
}

package_main() {
  [ $# -eq 0 ] || fail "package: unknown argument '$1' (see ./build.sh package --help)"
  check_prerequisites
  local version folder=$root/target/package
  version=$(sed -n 's/^version *= *"\(.*\)".*/\1/p' "$root/Cargo.toml" | head -n 1)
  [ -n "$version" ] || fail "Cargo.toml has no version"
  build_addon
  mkdir -p "$folder"

  say "collecting the notices of what is linked in"
  python3 "$root/tools/notices.py" "$root" >"$folder/THIRD_PARTY_NOTICES.txt"
  say "zipping"
  python3 "$root/tools/package.py" "$folder/godot-shared-memory-$version.zip" \
    "$addon" "$folder/THIRD_PARTY_NOTICES.txt"
  printf '%s\n' "$folder/godot-shared-memory-$version.zip"
}
