# shellcheck shell=bash
# Has target/NAME filled from Debian's packages, once, by tools/fetch_NAME.sh.

# fetch_once NAME STAMP WHAT: makes sure that target/NAME is there, as STAMP says. Fails where it can't be fetched.
fetch_once() {
  local folder=$root/target/$1
  is_fetched "$1" "$2" && return
  [ "$(uname -s)" = Linux ] && have apt-get && have dpkg && have dpkg-deb && have flock || return 1
  mkdir -p "$folder"
  (
    # Two builds at once must not fetch into one folder. The kernel drops the lock with its holder.
    if ! flock -n 9; then
      say "waiting for another build.sh that is fetching into target/$1"
      flock 9
    fi
    is_fetched "$1" "$2" && exit
    say "fetching $3 from Debian's packages into target/$1, once"
    if ! with_heartbeat "fetching" run_fetch "$1" "$2"; then
      say "it could not be fetched; target/$1/fetch.log tells why"
      exit 1
    fi
  ) 9>"$folder/lock"
}

is_fetched() {
  [ "$(cat "$root/target/$1/stamp" 2>/dev/null)" = "$2" ]
}

# A program of its own, so that it stops at its first error, which a function called in a condition does not.
run_fetch() {
  "$root/tools/fetch_$1.sh" "$root/target/$1" "$2" >"$root/target/$1/fetch.log" 2>&1 9>&-
}
