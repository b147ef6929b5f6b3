# shellcheck shell=bash
# build.sh (build): the library for this machine, the addon folder, and the projects' copies of it.

addon=$root/addons/shared_memory
extension=res://addons/shared_memory/shared_memory.gdextension

build_help() {
  cat <<'END'
Usage: ./build.sh [build]

Builds the addon for this machine, in release, puts the library into addons/shared_memory/bin/, and copies
addons/shared_memory/ into the Godot projects demo/, tests/ and bench/, so that Godot can open them.
END
}

build_main() {
  [ $# -eq 0 ] || fail "build: unknown argument '$1' (see ./build.sh build --help)"
  check_prerequisites
  build_addon
}

build_addon() {
  local built name
  name=$(library_name)
  if [ -n "${SHARED_MEMORY_LIBRARY:-}" ]; then
    given_library "$name"
  else
    say "building the addon (release)"
    with_heartbeat "building" build_library
    built=$(library_built)
    [ -f "$built" ] || fail "cargo built no $built"
  fi
  mkdir -p "$addon/bin" "$root/target"
  install_file "$built" "$addon/bin/$name"
  say "addons/shared_memory/bin/$name is ready"
  local project
  for project in demo tests bench; do
    fill_project "$root/$project"
  done
  say "demo/, tests/ and bench/ have this addon"
}

# given_library NAME: sets `built` of build_addon to the library of that name that SHARED_MEMORY_LIBRARY says.
given_library() {
  built=$SHARED_MEMORY_LIBRARY
  [ -f "$built" ] || fail "SHARED_MEMORY_LIBRARY is set to '$built', which is not a file."
  say "not building the addon: SHARED_MEMORY_LIBRARY is $built"
  case $built in
    *.zip)
      mkdir -p "$root/target"
      built=$root/target/given.$1
      python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
        "$SHARED_MEMORY_LIBRARY" "addons/shared_memory/bin/$1" >"$built" ||
        fail "there is no $1 in $SHARED_MEMORY_LIBRARY"
      ;;
  esac
}

# build_library [CARGO ARGUMENTS]
build_library() {
  of_the_addon cargo build "$@"
}

# of_the_addon CARGO_COMMAND...: runs it for the addon, in release.
of_the_addon() {
  # The folders of whoever builds would otherwise stand in the library, in the text of every panic.
  local crates=${CARGO_HOME:-$HOME/.cargo}/registry/src library=$toolchain_folder/root/usr/lib/rustlib/src/rust
  # On Windows CARGO_HOME may have backslashes, which mean something in TOML.
  crates=${crates//\\//}
  local flags="\"--remap-path-prefix=$root=.\", \"--remap-path-prefix=$crates=crates\""
  flags+=", \"--remap-path-prefix=$library=rust\""
  (cd "$root" && "$@" --release --locked -p godot_shared_memory --config "target.'cfg(all())'.rustflags=[$flags]")
}

# What the .gdextension file calls the library of this machine.
library_name() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) library_of linux.x86_64 ;;
    Linux-aarch64) library_of linux.arm64 ;;
    # One processor's half only. A release joins both.
    Darwin-*) library_of macos ;;
    MINGW*-x86_64 | MSYS*-x86_64) library_of windows.x86_64 ;;
    *) fail "the addon has no library for $(uname -s) on $(uname -m)" ;;
  esac
}

# library_of KEY: what the .gdextension file calls the library of such a system. Fails where it has no such key.
library_of() {
  sed -n "s#^${1//./\\.} = \"res://addons/shared_memory/bin/\(.*\)\"#\1#p" "$addon/shared_memory.gdextension" | grep .
}

# The keys of all libraries that the .gdextension file names.
library_keys() {
  sed -n 's#^\([a-z0-9_.]*\) = "res://addons/shared_memory/bin/.*"#\1#p' "$addon/shared_memory.gdextension"
}

# Where cargo leaves it.
library_built() {
  local folder
  folder=$(cargo_target)/release
  case $(uname -s) in
    Darwin) echo "$folder/libgodot_shared_memory.dylib" ;;
    MINGW* | MSYS*) echo "$folder/godot_shared_memory.dll" ;;
    *) echo "$folder/libgodot_shared_memory.so" ;;
  esac
}

# Cargo's target folder, which its settings may have moved.
cargo_target() {
  (cd "$root" && cargo metadata --no-deps --format-version 1) |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"], end="")'
}

# install_file FROM TO: a running Godot may have the old file mapped, so it is replaced, never written into.
# Left alone when it is the same, so that an open editor sees no change where there is none.
install_file() {
  cmp -s "$1" "$2" && return
  # Not beside its place, where another build.sh at work would take it for a file of the addon.
  local unfinished=$root/target/install.$$
  cp "$1" "$unfinished"
  mv -f "$unfinished" "$2"
}

# fill_project PROJECT: makes its addons/shared_memory the same as ours.
fill_project() {
  local file copy=$1/addons/shared_memory
  mkdir -p "$copy"
  (cd "$addon" && find . -type f) | while IFS= read -r file; do
    mkdir -p "$(dirname "$copy/$file")"
    install_file "$addon/$file" "$copy/$file"
  done
  # What is gone there goes here too, except for what the editor made.
  (cd "$copy" && find . -type f ! -name '*.import' ! -name '*.uid') | while IFS= read -r file; do
    [ -e "$addon/$file" ] || rm -f "$copy/$file"
  done
  list_extension "$1"
}

# Godot loads an extension only if this file names it. The editor writes it when it first opens a project;
# the demo and the tests run without that.
list_extension() {
  local list=$1/.godot/extension_list.cfg
  mkdir -p "$(dirname "$list")"
  if ! grep -qxF "$extension" "$list" 2>/dev/null; then
    printf '%s\n' "$extension" >>"$list"
  fi
}
