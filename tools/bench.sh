# shellcheck shell=bash
# build.sh bench: what the addon costs, beside what it could be compared with.

bench_help() {
  cat <<'END'
Usage: ./build.sh bench [--chart]

Builds the addon and measures it, in a minute or so: calls, copies, objects and threads in a real Godot, and in a game
that it exported; round trips to a Python partner, beside sockets and a pipe; the segment crate beside memcpy, the bare
system calls and the crate shared_memory; the library's size. Prints a table, and writes target/bench.json and
target/bench.svg. Asserts nothing: times depend on the machine, and on what else it does. Linux only.

  --chart   also update docs/images/bench.svg, the chart of the README
END
}

bench_main() {
  local chart='' argument godot template built library
  for argument; do
    case $argument in
      --chart) chart=$argument ;;
      *) fail "bench: unknown argument '$argument' (see ./build.sh bench --help)" ;;
    esac
  done
  [ "$(uname -s)" = Linux ] || fail "bench: this measures on Linux only"
  check_prerequisites
  godot=$(godot_path)
  if ! template=$(godot_template 2>/dev/null); then
    template=
    say "no export template of $godot was found (GODOT_TEMPLATE names one): nothing is measured in an exported game"
  fi
  build_addon
  library=$addon/bin/$(library_name)
  say "building the segment crate's benchmark"
  built=$(with_heartbeat "building" build_bench)
  python3 "$root/tools/bench.py" --godot "$godot" ${template:+--template "$template"} --library "$library" \
    --rust "$built" ${chart:+"$chart"}
}

# Prints the path of the program.
build_bench() {
  (cd "$root" && cargo bench --locked -p shm-segment --bench copy --no-run --message-format json) |
    python3 -c '
import json, sys
print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")])'
}
