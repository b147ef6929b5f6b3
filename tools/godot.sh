# shellcheck shell=bash
# build.sh godot: finds a Godot to work with.

fetch_folder=$root/target/godot
fetched_godot=$fetch_folder/bin/godot
fetched_template=$fetch_folder/root/usr/bin/godot-template-release
# The number goes up with every change to fetch_godot.sh that older downloads lack. The folder is part of it
# because the programs hold its path.
fetch_stamp="1 $fetch_folder"

godot_help() {
  cat <<'END'
Usage: ./build.sh godot [--template | --official VERSION]

Prints the path of a Godot 4.3 or newer, and nothing else, on stdout. Looked for, in this order:
  1. the program that the variable GODOT names (used or refused, never skipped);
  2. godot4, then godot, on the PATH;
  3. on Debian and its like: Debian's own packages, fetched once into target/godot/ from the mirror that
     this system is set up for. Nothing is installed, and no root is needed.

  --template   print the path of the release export template that belongs to that Godot instead. The variable
               GODOT_TEMPLATE names one; otherwise it comes with 3., or from where the editor keeps templates.
  --official   fetch the official build of that version (such as 4.3) for this system into target/godot-VERSION/ if it
               isn't there, and print the path of that: GODOT=$(./build.sh godot --official 4.3) ./build.sh test
END
}

godot_main() {
  local template='' official=''
  while [ $# -gt 0 ]; do
    case $1 in
      --template) template=yes ;;
      --official)
        [ $# -ge 2 ] || fail "godot: --official needs a version, such as 4.3"
        official=$2
        shift
        ;;
      *) fail "godot: unknown argument '$1' (see ./build.sh godot --help)" ;;
    esac
    shift
  done
  if [ -n "$official" ]; then
    python3 "$root/tools/official_godot.py" "$official" "$root/target/godot-$official"
  elif [ -n "$template" ]; then
    godot_template
  else
    godot_path
  fi
}

# godot_version PROGRAM: prints the version that the program gives, or fails if it gives none.
godot_version() {
  python3 "$root/tools/godot_version.py" "$1"
}

# is_new_enough VERSION: what the library is built for, the compatibility_minimum of the .gdextension file.
is_new_enough() {
  is_at_least "$1" 4.3
}

# Prints the path of the Godot to use.
godot_path() {
  local program version name
  have python3 || fail "python3 is missing: install it (on Debian and Ubuntu: apt install python3)."

  if [ -n "${GODOT:-}" ]; then
    # Asked for by name: to take another one silently would hide a mistake.
    program=$(type -P -- "$GODOT") || fail "GODOT is set to '$GODOT', which is not a program; set it to the executable of a Godot 4.3 or newer, or unset it."
    version=$(godot_version "$program") || fail "GODOT is set to '$GODOT', which does not answer --version as Godot does; set it to the executable of a Godot 4.3 or newer, or unset it."
    is_new_enough "$version" || fail "GODOT is set to '$GODOT', which is version $version; set it to the executable of a Godot 4.3 or newer, or unset it."
    absolute_path "$program"
    return
  fi

  for name in godot4 godot; do
    program=$(type -P "$name") || continue
    if ! version=$(godot_version "$program"); then
      say "$program does not answer --version as Godot does: not used"
    elif ! is_new_enough "$version"; then
      say "$program is version $version, older than 4.3: not used"
    else
      absolute_path "$program"
      return
    fi
  done

  if fetch_once godot "$fetch_stamp" "Godot (180 MB)"; then
    printf '%s\n' "$fetched_godot"
    return
  fi
  fail "no Godot 4.3 or newer was found: install one (https://godotengine.org/download) and set GODOT to the path of its executable."
}

# Prints the path of the release export template of the Godot to use.
godot_template() {
  local program version folder file
  if [ -n "${GODOT_TEMPLATE:-}" ]; then
    [ -f "$GODOT_TEMPLATE" ] || fail "GODOT_TEMPLATE is set to '$GODOT_TEMPLATE', which is not a file."
    absolute_path "$GODOT_TEMPLATE"
    return
  fi
  program=$(godot_path) || exit 1
  if [ "$program" = "$fetched_godot" ]; then
    printf '%s\n' "$fetched_template"
    return
  fi
  # 4.6.3.stable.official.abcdef keeps its templates in a folder called 4.6.3.stable.
  version=$(godot_version "$program" | sed -E 's/^([0-9.]+\.[a-z0-9]+).*/\1/')
  case $(uname -s) in
    Darwin) folder="$HOME/Library/Application Support/Godot/export_templates" file=macos.zip ;;
    *) folder="${XDG_DATA_HOME:-$HOME/.local/share}/godot/export_templates" file=linux_release.$(godot_machine) ;;
  esac
  file=$folder/$version/$file
  [ -f "$file" ] || fail "no export template of Godot $version was found: install it in the editor (Editor > Manage Export Templates) or set GODOT_TEMPLATE to the path of the release template."
  printf '%s\n' "$file"
}

# What Godot calls this machine's processor.
godot_machine() {
  case $(uname -m) in
    aarch64 | arm64) echo arm64 ;;
    *) uname -m ;;
  esac
}

absolute_path() {
  (cd "$(dirname -- "$1")" && printf '%s/%s\n' "$(pwd)" "$(basename -- "$1")")
}
