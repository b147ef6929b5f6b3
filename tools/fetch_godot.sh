#!/usr/bin/env bash
# Fetches Debian's own Godot into a folder, without installing anything and without root.
#
#   fetch_godot.sh FOLDER STAMP
#
# The packages come from a newer release than the system may be, so they bring every library they need, libc
# included, and keep apart from the system's own. Invariant: FOLDER/stamp exists, with STAMP in it, only once
# everything else is in place and has run; whatever is found without it is thrown away.
set -euo pipefail

folder=$1
stamp=$2
# shellcheck source=tools/debian_packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

# The release that packages Godot 4.
suite=forky
packages=(
  godot
  godot-template-release
  patchelf
  # For a window: OpenGL, in software where there is no graphics card.
  libgl1
  libegl1
  libgl1-mesa-dri
  libglx-mesa0
  libegl-mesa0
)

work=$folder/work
rm -rf "${folder:?}/stamp" "${folder:?}/bin" "${folder:?}/root" "$work"
mkdir -p "$work"

# All they need: the libraries of an older release won't do.
fetch_packages "$work" "$suite" ".*" "${packages[@]}"
unpack_packages "$work" "$work/root"
root=$folder/root
mv "$work/root" "$root"

# Programs of a newer release don't run on the libraries of an older one. Their own loader and library folders
# are therefore written into them. To start them through the loader instead would do for the editor, but then
# `OS.get_executable_path()` is the loader, and an exported game neither finds its files nor starts by itself.
echo "== tying the programs to their libraries"
loaders=("$root"/usr/lib/*-linux-gnu*/ld-linux*.so.*)
loader=${loaders[0]}
libraries=$(dirname "$loader")
patch() {
  "$loader" --library-path "$libraries" "$root/usr/bin/patchelf" "$@"
}
for program in godot godot-template-release; do
  patch --set-interpreter "$loader" --force-rpath \
    --set-rpath "$libraries:$libraries/pulseaudio:$libraries/blas:$libraries/lapack" "$root/usr/bin/$program"
done
# A library with a search path of its own ignores its program's.
find "$libraries" -type f -name '*.so*' ! -path '*/gconv/*' | while IFS= read -r library; do
  if [ -n "$(patch --print-rpath "$library" 2>/dev/null)" ]; then
    patch --remove-rpath "$library"
  fi
done

mkdir -p "$folder/bin"
{
  echo '#!/usr/bin/env bash'
  echo '# Made by build.sh. Leads to the OpenGL drivers, keyboard tables and sound settings unpacked here.'
  printf 'export %s=%q\n' \
    LIBGL_DRIVERS_PATH "$libraries/dri" \
    __EGL_VENDOR_LIBRARY_DIRS "$root/usr/share/glvnd/egl_vendor.d" \
    XKB_CONFIG_ROOT "$root/usr/share/X11/xkb" \
    ALSA_CONFIG_PATH "$root/usr/share/alsa/alsa.conf"
  printf 'exec %q "$@"\n' "$root/usr/bin/godot"
} >"$folder/bin/godot"
chmod +x "$folder/bin/godot"

echo "== trying it"
"$folder/bin/godot" --headless --version
rm -rf "$work"
printf '%s\n' "$stamp" >"$folder/stamp.new"
mv "$folder/stamp.new" "$folder/stamp"
