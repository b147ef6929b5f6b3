# shellcheck shell=bash
# What has to be on the machine before anything is built, by name, with the way to get it.

# check_prerequisites: names everything that is missing, then fails if anything is.
check_prerequisites() {
  local needed found ok=yes
  needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
  if ! have cargo || ! have rustc; then
    missing "cargo and rustc $needed or newer are needed: install Rust with rustup (https://rustup.rs)."
  else
    found=$(rustc --version | cut -d ' ' -f 2)
    is_at_least "$found" "$needed" ||
      missing "rustc is $found, but $needed or newer is needed: run 'rustup update', or install rustup (https://rustup.rs)."
  fi

  if ! have python3; then
    missing "python3 is needed, 3.9 or newer: install it (Debian, Ubuntu: apt install python3; macOS: brew install python)."
  elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    missing "python3 is older than 3.9: install a newer one."
  fi

  # rustc links with it. On Windows rustc finds Visual Studio's linker by itself.
  case $(uname -s) in
    Darwin) have cc || missing "a C linker (cc) is needed: run 'xcode-select --install'." ;;
    Linux | *BSD) have cc || missing "a C linker (cc) is needed: install gcc (Debian, Ubuntu: apt install gcc libc6-dev)." ;;
  esac
  [ "$ok" = yes ] || exit 1
}

# Sets `ok` of check_prerequisites.
missing() {
  printf 'build.sh: %s\n' "$*" >&2
  ok=no
}

# Asks rustup, because a nightly that is named but not there may be fetched.
has_nightly() {
  rustup toolchain list 2>/dev/null | grep -q '^nightly'
}

# is_at_least VERSION NEEDED: compares dotted numbers, whatever may follow them.
is_at_least() {
  local IFS=. i have_part need_part
  # shellcheck disable=SC2206 # Split at the dots.
  local given=($1) needs=($2)
  for i in 0 1 2; do
    have_part=${given[i]:-0} need_part=${needs[i]:-0}
    have_part=${have_part%%[!0-9]*} need_part=${need_part%%[!0-9]*}
    [ "${have_part:-0}" -gt "${need_part:-0}" ] && return 0
    [ "${have_part:-0}" -lt "${need_part:-0}" ] && return 1
  done
  return 0
}
