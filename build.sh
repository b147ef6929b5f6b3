#!/usr/bin/env bash
# The one entry to everything that is built, run or checked here. Each command is a file in tools/.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/prerequisites.sh
. "$root/tools/prerequisites.sh"
# shellcheck source=tools/fetch.sh
. "$root/tools/fetch.sh"
# shellcheck source=tools/toolchain.sh
. "$root/tools/toolchain.sh"
# shellcheck source=tools/build.sh
. "$root/tools/build.sh"
# shellcheck source=tools/godot.sh
. "$root/tools/godot.sh"
# shellcheck source=tools/demo.sh
. "$root/tools/demo.sh"
# shellcheck source=tools/peers.sh
. "$root/tools/peers.sh"
# shellcheck source=tools/test.sh
. "$root/tools/test.sh"
# shellcheck source=tools/windows.sh
. "$root/tools/windows.sh"
# shellcheck source=tools/miri.sh
. "$root/tools/miri.sh"
# shellcheck source=tools/fuzz.sh
. "$root/tools/fuzz.sh"
# shellcheck source=tools/sanitize.sh
. "$root/tools/sanitize.sh"
# shellcheck source=tools/soak.sh
. "$root/tools/soak.sh"
# shellcheck source=tools/bench.sh
. "$root/tools/bench.sh"
# shellcheck source=tools/venv.sh
. "$root/tools/venv.sh"
# shellcheck source=tools/cross.sh
. "$root/tools/cross.sh"
# shellcheck source=tools/test_arm64.sh
. "$root/tools/test_arm64.sh"
# shellcheck source=tools/check_targets.sh
. "$root/tools/check_targets.sh"
# shellcheck source=tools/lint.sh
. "$root/tools/lint.sh"
# shellcheck source=tools/package.sh
. "$root/tools/package.sh"

usage() {
  cat <<'END'
Usage: ./build.sh [COMMAND] [ARGUMENTS]

  (none), build   build the addon for this machine and put it into addons/ and the Godot projects here
  demo [NAME]     build, then run a demo: Godot and Python talk through shared memory
  test [FILTER]   build, then run all tests, or those whose name contains FILTER
  windows         build the addon for Windows, on Linux
  test-windows    build it, then run the segment crate's tests in Wine, and load the library there
  miri            run what can be run of the segment crate in the interpreter Miri
  fuzz            run the fuzz targets: what parses or trusts what another process may have made
  sanitize        run the tests of the segment crate under ThreadSanitizer or AddressSanitizer
  soak [MINUTES]  run the randomised tests of the segment crate over and over
  bench           build, then measure: calls, copies and round trips, beside other ways
  lint            check formatting, warnings and scripts
  cross           build the libraries of all systems, and look into them
  test-arm64      run the segment crate's tests as programs for arm64, through QEMU
  check-targets   compile and lint for the systems that nothing is run on here
  package         build, then make the zip that users install
  godot           print the path of a Godot to use; fetched if there is none

./build.sh COMMAND --help tells more. Variables:
  GODOT           the Godot to use (4.3 or newer); otherwise godot4 or godot on the PATH, or a fetched one
  GODOT_TEMPLATE  the release export template of that Godot, for the test of an exported game
  SHARED_MEMORY_LIBRARY  a library of the addon, or a zip with it, to use instead of building one: a release, say
END
}

command=${1:-build}
[ $# -eq 0 ] || shift
case $command in
  build | demo | test | windows | test-windows | cross | test-arm64 | check-targets | miri | fuzz | sanitize | soak | bench | lint | package | godot) ;;
  -h | --help | help)
    usage
    exit
    ;;
  *) fail "unknown command '$command' (see ./build.sh --help)" ;;
esac
function=${command//-/_}
for argument; do
  case $argument in
    -h | --help)
      "${function}_help"
      exit
      ;;
  esac
done
"${function}_main" "$@"
