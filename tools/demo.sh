# shellcheck shell=bash
# build.sh demo: Godot and its Python partner, side by side.

demo_help() {
  cat <<'END'
Usage: ./build.sh demo [NAME] [--window]

Builds the addon, starts the demo NAME in Godot and its partner in Python, and shows what both say. Runs twice, with
either side starting first, ends by itself, and fails if either side fails.

  hello      (if no NAME is given) a conversation, and the bytes it consists of
  telemetry  instruments that show what a simulator publishes 120 times a second
  video      pictures of 1280 x 720 that numpy draws, and one that Godot hands out; installs numpy into target/

  --window   show the demo in a window instead, until it is closed; lines typed here go to the Python side
END
}

demo_main() {
  local name='' window='' argument godot python=python3
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
  if [ "$name" = video ]; then
    make_venv peers
    python=$root/target/peers-venv/bin/python
  fi
  build_addon
  say "demo ${name:-hello}"
  # What the demo saves, it saves there.
  mkdir -p "$root/target/demo"
  (cd "$root/target/demo" && python3 "$root/tools/demo.py" --godot "$godot" --python "$python" \
    ${window:+"$window"} "${name:-hello}")
}
