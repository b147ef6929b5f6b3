#!/usr/bin/env bash
# The one entry to everything that is built, run or checked here. This file finds Python; the rest is
# in tools/.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Prints the first Python on the PATH that is new enough.
find_python() {
  local program
  for program in python3 python; do
    if "$program" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
      printf '%s\n' "$program"
      return
    fi
  done
  return 1
}

if ! python=$(find_python); then
  if command -v python3 >/dev/null; then
    echo "build.sh: python3 is older than 3.9: install a newer one." >&2
    exit 1
  elif ! command -v apt-get >/dev/null; then
    echo "build.sh: python3 is needed, 3.9 or newer: install it (macOS: brew install python)." >&2
    exit 1
  fi
  for argument; do
    [ "$argument" != --yes ] || export BUILD_YES=1
  done
  # A system without Python has nothing else, either: everything at once, for one question.
  "$root/tools/debian/install.sh" python3 python3-venv gcc libc6-dev ca-certificates
  python=python3
fi
exec "$python" "$root/tools" "$@"
