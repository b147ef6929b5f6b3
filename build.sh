#!/usr/bin/env bash
# The one entry to everything that is built, run or checked here. Each command is a file in tools/.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck source=tools/common.sh
. "$root/tools/common.sh"
# shellcheck source=tools/godot.sh
. "$root/tools/godot.sh"

command=${1:-build}
[ $# -eq 0 ] || shift
for argument; do
  case $argument in
    -h | --help)
      "${command}_help"
      exit
      ;;
  esac
done
"${command}_main" "$@"
