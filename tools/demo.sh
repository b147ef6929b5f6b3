# shellcheck shell=bash
# build.sh demo: Godot and its Python partner, side by side.

demo_help() {
  cat <<'END'
Usage: ./build.sh demo [NAME] [--window]

Builds the addon, starts the demo NAME (hello, if none is given) in Godot and its partner in Python, and shows
what both say. Runs twice, with either side starting first, ends by itself, and fails if either side fails.

  --window   show the demo in a window instead, until it is closed; lines typed here go to the Python side
END
}

demo_main() {
  local name='' window='' argument godot
  for argument; do
    case $argument in
      --window) window=$argument ;;
      -*) fail "demo: unknown argument '$argument' (see ./build.sh demo --help)" ;;
      *)
        [ -z "$name" ] || fail "demo: one name at most (see ./build.sh demo --help)"
        name=$argument
        ;;
    esac
  done
  check_prerequisites
  # Asked before minutes of building: an unknown name, and no Godot.
  python3 "$root/tools/demo.py" --check "${name:-hello}"
  godot=$(godot_path)
  build_addon
  say "demo ${name:-hello}"
  python3 "$root/tools/demo.py" --godot "$godot" ${window:+"$window"} "${name:-hello}"
}
