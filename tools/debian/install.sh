#!/usr/bin/env bash
# Installs Debian packages into the system: install.sh PACKAGE...
#
# Asks before, except under root in a container, or where BUILD_YES=1 says yes. Where nobody can be asked, it
# tells the one command that installs everything, and fails. Needs no Python: build.sh gets its own from here.
set -euo pipefail

command=(apt-get install --yes --no-install-recommends "$@")
[ "$(id -u)" -eq 0 ] || command=(sudo "${command[@]}")

# ischroot is part of every Debian. A container looks to it as a chroot does, or leaves one of these.
in_container() {
  [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "${container:-}" ] || ischroot 2>/dev/null
}

if [ "${BUILD_YES:-}" = 1 ] || { [ "$(id -u)" -eq 0 ] && in_container; }; then
  answer=yes
elif [ -t 0 ] && [ -t 2 ]; then
  printf 'build.sh needs these packages: %s\nInstall them with "%s"? [y/N] ' "$*" "${command[*]}" >&2
  read -r answer
else
  answer=no
fi
case $answer in
  y | Y | yes | Yes) ;;
  *)
    printf 'build.sh: these packages are needed: run "%s", or add --yes.\n' "${command[*]}" >&2
    exit 1
    ;;
esac

printf '==> installing %s\n' "$*" >&2
update=(apt-get -q update)
[ "$(id -u)" -eq 0 ] || update=(sudo "${update[@]}")
export DEBIAN_FRONTEND=noninteractive
# A source that does not answer may not matter.
"${update[@]}" >&2 || true
"${command[@]}" </dev/null >&2 || {
  printf 'build.sh: the packages could not be installed.\n' >&2
  exit 1
}
