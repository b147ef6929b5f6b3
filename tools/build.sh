# shellcheck shell=bash
# build.sh (build): the library for this machine, the addon folder, and the demo's copy of it.

addon=$root/addons/shared_memory
demo_addon=$root/demo/addons/shared_memory
extension=res://addons/shared_memory/shared_memory.gdextension

build_help() {
  cat <<'END'
Usage: ./build.sh [build]

Builds the addon for this machine, in release, puts the library into addons/shared_memory/bin/, and copies
addons/shared_memory/ to demo/addons/, so that demo/ is a complete project that Godot can open.
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
  say "building the addon (release)"
  with_heartbeat "building" build_library
  built=$(library_built)
  [ -f "$built" ] || fail "cargo built no $built"
  mkdir -p "$addon/bin" "$root/target"
  install_file "$built" "$addon/bin/$name"
  say "addons/shared_memory/bin/$name is ready"
  fill_demo
  say "demo/addons/shared_memory is up to date"
}

# build_library [CARGO ARGUMENTS]
# The folders of whoever builds would otherwise stand in the library, in the text of every panic.
build_library() {
  local crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
  local flags="\"--remap-path-prefix=$root=.\", \"--remap-path-prefix=$crates=crates\""
  (cd "$root" && cargo build --release --locked -p godot_shared_memory \
    --config "target.'cfg(all())'.rustflags=[$flags]" "$@")
}

# What the .gdextension file calls the library of this machine.
library_name() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo libgodot_shared_memory.linux.x86_64.so ;;
    Linux-aarch64) echo libgodot_shared_memory.linux.arm64.so ;;
    # One processor's half only. A release joins both.
    Darwin-*) echo libgodot_shared_memory.macos.universal.dylib ;;
    MINGW*-x86_64 | MSYS*-x86_64) echo godot_shared_memory.windows.x86_64.dll ;;
    *) fail "the addon has no library for $(uname -s) on $(uname -m)" ;;
  esac
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
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
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

# Makes demo/addons/shared_memory the same as addons/shared_memory.
fill_demo() {
  local file
  mkdir -p "$demo_addon"
  (cd "$addon" && find . -type f) | while IFS= read -r file; do
    mkdir -p "$(dirname "$demo_addon/$file")"
    install_file "$addon/$file" "$demo_addon/$file"
  done
  # What is gone there goes here too, except for what the editor made.
  (cd "$demo_addon" && find . -type f ! -name '*.import' ! -name '*.uid') | while IFS= read -r file; do
    [ -e "$addon/$file" ] || rm -f "$demo_addon/$file"
  done
  list_extension
}

# Godot loads an extension only if this file names it. The editor writes it when it first opens a project;
# the demo and the tests run without that.
list_extension() {
  local list=$root/demo/.godot/extension_list.cfg
  mkdir -p "$(dirname "$list")"
  if ! grep -qxF "$extension" "$list" 2>/dev/null; then
    printf '%s\n' "$extension" >>"$list"
  fi
}
