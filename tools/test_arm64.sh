# shellcheck shell=bash
# build.sh test-arm64: the segment crate's tests, built for Linux on arm64 and run through QEMU.

qemu_folder=$root/target/qemu
# As in godot.sh: goes up with every change to fetch_qemu.sh.
qemu_stamp="1 $qemu_folder"
arm64_target=aarch64-unknown-linux-gnu

# What can't be run there, each with its reason.
arm64_skipped=(
  # Ten emulated processes on two cores don't get to their turn within the 50 ms that a call goes on trying.
  of_ten_racing_for_one_memory_all_get_it
)

test_arm64_help() {
  cat <<END
Usage: ./build.sh test-arm64 [FILTER]

Builds the tests of the segment crate for arm64 and glibc $oldest_glibc, and runs them on this machine, through QEMU: the
processor is emulated, the kernel is this machine's own. With FILTER: only the tests whose name contains it. On Linux 6.7
or newer with apt; QEMU and the C library come from Debian's packages, into target/qemu. On a machine that is arm64 itself,
./build.sh test does more. The loops over random moments run 20 times (SHM_SEGMENT_ROUNDS).

Not run: ${arm64_skipped[*]}
(too slow under emulation).
END
}

test_arm64_main() {
  [ $# -le 1 ] || fail "test-arm64: one filter at most (see ./build.sh test-arm64 --help)"
  local filter=${1:-} log=$root/target/test-logs/arm64.log test skips=()
  [ "$(uname -s)" = Linux ] || fail "test-arm64: this runs on Linux only"
  [ "$(uname -m)" != aarch64 ] || fail "test-arm64: this machine is arm64 itself: run ./build.sh test"
  check_prerequisites
  make_venv cross
  fetch_once qemu "$qemu_stamp" "QEMU and arm64's C library (65 MB)" ||
    fail "test-arm64: QEMU could not be fetched; it comes from Debian's packages."
  mkdir -p "$(dirname "$log")"
  for test in "${arm64_skipped[@]}"; do
    say "not run: $test"
    skips+=(--skip "$test")
  done
  say "building the tests for arm64"
  with_heartbeat "building" for_target "$arm64_target" with_zig arm64_tests --no-run
  say "running them"
  with_heartbeat "testing" run_arm64_tests 2>&1 | tee "$log"
  nothing_left
  say "$(passed_in "$log") tests passed on arm64"
}

# These two use the variables of test_arm64_main.
run_arm64_tests() {
  SHM_SEGMENT_ROUNDS=${SHM_SEGMENT_ROUNDS:-20} for_target "$arm64_target" with_zig arm64_tests \
    ${filter:+"$filter"} -- "${skips[@]}"
}

arm64_tests() {
  local emulator=(python3 "$root/tools/with_emulator.py" "$qemu_folder/qemu-aarch64" "$qemu_folder/arm64")
  [ "$1" != --no-run ] || emulator=()
  (cd "$root" && python3 tools/with_limit.py 900 ${emulator[@]+"${emulator[@]}"} \
    "$zigbuild" test --locked -p shm-segment --target "$arm64_target.$oldest_glibc" "$@")
}
