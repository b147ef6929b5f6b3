# shellcheck shell=bash
# What every command of build.sh uses. Sourced by it, with `root` set.

# Progress and problems go to stderr: stdout belongs to what a command was asked for.
say() {
  printf '==> %s\n' "$*" >&2
}

fail() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# with_heartbeat LABEL COMMAND...: runs the command, and says every 20 seconds that it is still at it.
with_heartbeat() {
  local label=$1 result=0 owner=$$ beat
  shift
  (
    seconds=0
    # Short sleeps, so that nothing lingers after the owner died. Their output is closed: a caller that
    # reads our pipes must not wait for them.
    while sleep 1 >/dev/null 2>&1 && kill -0 "$owner" 2>/dev/null; do
      seconds=$((seconds + 1))
      if [ $((seconds % 20)) -eq 0 ]; then
        say "still $label… $seconds s"
      fi
    done
  ) </dev/null &
  beat=$!
  "$@" || result=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return "$result"
}

# shown COMMAND...: says the command, then runs it.
shown() {
  say "$*"
  "$@"
}
