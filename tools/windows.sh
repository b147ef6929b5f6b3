# shellcheck shell=bash
# build.sh windows, build.sh test-windows: the library for Windows, built and tried without Windows.

windows_target=x86_64-pc-windows-gnu
windows_folder=$root/target/windows
# The number goes up with every change to fetch_windows.sh that older downloads lack. The folder is part of it because
# the programs hold its path.
windows_stamp="1 $windows_folder"
windows_library=$windows_folder/godot_shared_memory.windows.x86_64.dll

# What can't be run in Wine.
wine_skipped=(
  # They compare with a Python, and there is none for Windows.
  python_agrees
  python_agrees_on_every_edge
)

windows_help() {
  cat <<'END'
Usage: ./build.sh windows

Builds the addon for Windows (x86_64), in release, into target/windows/, and the programs that test-windows runs. On
Debian and its like, on x86_64. What it takes comes from Debian's packages, fetched once from the mirror that this system
is set up for: a C compiler for Windows and Wine into target/windows/ (160 MB), and, where rustup has no library for the
target x86_64-pc-windows-gnu, a Rust that builds it from source into target/toolchain/ (140 MB). Nothing is installed,
and no root is needed.
END
}

windows_main() {
  [ $# -eq 0 ] || fail "windows: unknown argument '$1' (see ./build.sh windows --help)"
  check_prerequisites
  build_for_windows
  printf '%s\n' "$windows_library"
}

test_windows_help() {
  cat <<END
Usage: ./build.sh test-windows [FILTER]

Builds what ./build.sh windows builds, and runs it in Wine: the tests of the segment crate, with a partner in C that
makes and opens memory with the system calls that Python makes on Windows; then a program that loads the addon's library,
looks for its entry, and looks up everything that it imports. With FILTER: only the tests whose name contains it.

Not run: ${wine_skipped[*]}
(they compare with a Python, and there is none for Windows here).
END
}

test_windows_main() {
  [ $# -le 1 ] || fail "test-windows: one filter at most (see ./build.sh test-windows --help)"
  local filter=${1:-} log=$root/target/test-logs/windows.log result=passed ran test skips=()
  check_prerequisites
  build_for_windows
  mkdir -p "$(dirname "$log")"
  for test in "${wine_skipped[@]}"; do
    say "not run: $test"
    skips+=(--skip "$test")
  done
  say "tests in Wine"
  trap stop_wine EXIT
  start_wine
  with_heartbeat "testing in Wine" run_windows_tests || result=FAILED
  ran=$(passed_in "$log")
  [ "$result" = FAILED ] || [ "$ran" -gt 0 ] || fail "test-windows: no test has '$filter' in its name"
  say "in Wine: $result; $ran tests passed"
  [ "$result" != FAILED ]
}

fetch_for_windows() {
  fetch_once windows "$windows_stamp" "a C compiler for Windows and Wine (160 MB)" ||
    fail "the library for Windows is built on Debian and its relatives, on x86_64; elsewhere, build on Windows itself."
}

build_for_windows() {
  fetch_for_windows
  say "building the addon for Windows (release)"
  with_heartbeat "building" windows_cargo build_library --target "$windows_target"
  install_file "$(cargo_target)/$windows_target/release/godot_shared_memory.dll" "$windows_library"
  say "target/windows/$(basename "$windows_library") is ready"
  say "building the test programs for Windows"
  with_heartbeat "building" windows_cargo cargo_in_root test --locked -p shm-segment --target "$windows_target" --no-run
  windows_program partner "$root/rust/segment/tests/partner/partner.c"
  windows_program load "$root/tools/load.c"
}

# windows_cargo COMMAND...: runs a command that calls cargo for Windows.
windows_cargo() (
  # Not only rustc's linker, but also the tool that it calls for the system's own libraries.
  PATH=$windows_folder/bin:$PATH
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
  for_target "$windows_target" "$@"
)

cargo_in_root() {
  (cd "$root" && cargo "$@")
}

# windows_program NAME SOURCE: builds a program in C.
windows_program() {
  "$windows_folder/bin/x86_64-w64-mingw32-gcc" -std=c11 -Wall -Wextra -Werror -O2 -s -o "$windows_folder/$1.exe" "$2"
}

# Uses the variables of test_windows_main.
run_windows_tests() {
  # Each program has a limit of its own: cargo has none for a test that hangs.
  local runner="['python3', '$root/tools/with_limit.py', '300', '$windows_folder/bin/wine']"
  {
    SHM_SEGMENT_PARTNER=Z:$windows_folder/partner.exe \
      windows_cargo cargo_in_root test --locked -p shm-segment --target "$windows_target" --no-fail-fast \
      --config "target.$windows_target.runner=$runner" -- ${filter:+"$filter"} "${skips[@]}" &&
      { [ -n "$filter" ] || load_library; }
  } 2>&1 | tee "$log"
}

load_library() {
  python3 "$root/tools/with_limit.py" 60 "$windows_folder/bin/wine" "$windows_folder/load.exe" \
    "Z:$windows_library" godot_shared_memory_init
}

# What Wine runs in the background is there before the tests, without their output: who reads that waits until all are
# gone that have it.
start_wine() {
  "$windows_folder/bin/wineserver" --persistent >/dev/null 2>&1 </dev/null
  python3 "$root/tools/with_limit.py" 60 "$windows_folder/bin/wine" cmd /c exit >/dev/null 2>&1 </dev/null ||
    fail "Wine does not run: remove target/windows, and try again."
}

# Ends all that runs in it.
stop_wine() {
  python3 "$root/tools/with_limit.py" 20 "$windows_folder/bin/wineserver" --kill || say "Wine could not be stopped"
}
