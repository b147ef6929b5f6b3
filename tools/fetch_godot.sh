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
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

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
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/root"

echo "== the system's own Debian mirror"
sources=$work/godot.sources
architecture=$(dpkg --print-architecture)
python3 "$tools/apt_source.py" "$suite" "$architecture" >"$sources" || {
  echo "The apt sources of this system name no Debian archive."
  exit 1
}
cat "$sources"

# What the system does after an update of its own lists is none of this one's business.
cat >"$work/apt.conf" <<'END'
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
END

# apt-get with a state of its own in which nothing is installed, so that every dependency is fetched. What the
# system says of proxies and passwords stays in force.
: >"$work/state/status"
apt() {
  apt-get -q -c "$work/apt.conf" \
    -oDir::Etc::SourceList="$sources" \
    -oDir::Etc::SourceParts=/dev/null \
    -oDir::Etc::Preferences=/dev/null \
    -oDir::Etc::PreferencesParts=/dev/null \
    -oDir::State="$work/state" \
    -oDir::State::Lists="$work/state/lists" \
    -oDir::State::status="$work/state/status" \
    -oDir::Cache="$work/cache" \
    -oAPT::Sandbox::User= \
    -oAPT::Default-Release= \
    -oAPT::Install-Recommends=false \
    -oAcquire::Languages=none \
    -oAcquire::Retries=3 \
    -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -oAcquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
    "$@" </dev/null
}

echo "== packages"
# One of several mirrors may be down, or too old to have this release. What is missing shows in the next step.
apt update || echo "not every source answered"
apt -y --download-only install "${packages[@]}"

echo "== unpacking"
root=$folder/root
for package in "$work"/cache/archives/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done
# Some packages hold programs that run as root for everybody: not in somebody's build folder.
find "$work/root" -perm /6000 -type f -exec chmod ug-s {} +
rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man"
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
