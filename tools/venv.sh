# shellcheck shell=bash
# Tools from PyPI, each set in a virtual environment of its own.

# make_venv NAME: has the tools of tools/requirements-NAME.txt in target/NAME-venv. The copy of that file inside is
# written last: an installation that was broken off, or is of other versions, is made anew.
make_venv() {
  local venv=$root/target/$1-venv wanted=$root/tools/requirements-$1.txt
  cmp -s "$wanted" "$venv/requirements.txt" && return
  say "installing the tools of tools/requirements-$1.txt from PyPI into target/$1-venv"
  rm -rf "$venv"
  mkdir -p "$root/target"
  python3 -m venv "$venv" >&2 ||
    fail "python3 cannot make a virtual environment: install its venv module (Debian, Ubuntu: apt install python3-venv)."
  with_heartbeat "installing" \
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted" >&2 ||
    fail "the tools could not be installed; they come from PyPI, as tools/requirements-$1.txt lists them."
  cp "$wanted" "$venv/requirements.txt"
}
