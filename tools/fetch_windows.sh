#!/usr/bin/env bash
# Fetches a C compiler for Windows (mingw-w64) and Wine into a folder, without installing anything and without root.
#
#   fetch_windows.sh FOLDER STAMP
#
# Afterwards FOLDER/bin holds x86_64-w64-mingw32-gcc and -dlltool, wine and wineserver. What the system has installed of
# what they need is used from there. Invariant: FOLDER/stamp exists, with STAMP in it, only once everything else is in
# place and has run; whatever is found without it is thrown away.
set -euo pipefail

folder=$1
stamp=$2
# shellcheck source=tools/debian_packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

# An old one, so that its programs run on all later ones.
suite=bookworm
packages=(gcc-mingw-w64-x86-64-win32 wine64)

work=$folder/work
rm -rf "${folder:?}/stamp" "${folder:?}/root" "${folder:?}/bin" "${folder:?}/prefix" "$work"
mkdir -p "$work"
fetch_packages "$work" "$suite" ".*mingw.*|.*wine.*" "${packages[@]}"
unpack_packages "$work" "$work/root"
root=$folder/root
mv "$work/root" "$root"
libraries=$(dirname "$root"/usr/lib/*-linux-gnu*/wine)

# What Debian does when it installs Wine: mingw's zlib becomes one of Wine's own libraries, by these words in its header.
echo "== setting Wine up"
rm -rf "$libraries/wine/i386-windows" "$root/usr/i686-w64-mingw32"
zlib=$root/usr/x86_64-w64-mingw32/lib/zlib1.dll
{
  head -c 64 "$zlib"
  printf 'Wine builtin DLL'
  head -c 16 /dev/zero
  tail -c +97 "$zlib"
} >"$libraries/wine/x86_64-windows/zlib1.dll"
# Instead of a script that looks for it in /usr/lib/wine.
ln -sf wineserver64 "$root/usr/lib/wine/wineserver"

mkdir -p "$folder/bin"
# program NAME PATH VARIABLE=VALUE...: how to call it, with its libraries.
program() {
  local file=$folder/bin/$1 path=$2 setting
  shift 2
  {
    echo '#!/usr/bin/env bash'
    echo '# Made by build.sh.'
    for setting in "LD_LIBRARY_PATH=$libraries" "$@"; do
      printf 'export %q\n' "$setting"
    done
    printf 'exec %q "$@"\n' "$path"
  } >"$file"
  chmod +x "$file"
}
for tool in gcc dlltool; do
  path=$root/usr/bin/x86_64-w64-mingw32-$tool
  [ -e "$path" ] || path=$path-win32
  program "x86_64-w64-mingw32-$tool" "$path"
done
# Wine talks of what it misses, asks for .NET and a browser at its first start, and adds menus to the desktop.
wine=("WINEPREFIX=$folder/prefix" WINEDEBUG=-all "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=")
program wine "$root/usr/lib/wine/wine64" "${wine[@]}"
program wineserver "$root/usr/lib/wine/wineserver64" "${wine[@]}"

# A library that Rust's own needs, and that this Wine hasn't got.
echo "== bcryptprimitives.dll"
cat >"$work/bcryptprimitives.c" <<'C'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
  while (size > 0) {
    ULONG part = size > 0x10000000 ? 0x10000000 : (ULONG)size;
    if (!RtlGenRandom(data, part)) return FALSE;
    data += part;
    size -= part;
  }
  return TRUE;
}
C
"$folder/bin/x86_64-w64-mingw32-gcc" -O2 -s -shared -o "$work/bcryptprimitives.dll" "$work/bcryptprimitives.c" -ladvapi32

echo "== trying it"
stop() {
  timeout -s KILL 20 "$folder/bin/wineserver" --kill || echo "Wine was not running"
}
trap stop EXIT
timeout -s KILL 180 "$folder/bin/wine" wineboot --init </dev/null
cp "$work/bcryptprimitives.dll" "$folder/prefix/drive_c/windows/system32/"
timeout -s KILL 60 "$folder/bin/wine" cmd /c ver </dev/null

rm -rf "$work"
printf '%s\n' "$stamp" >"$folder/stamp.new"
mv "$folder/stamp.new" "$folder/stamp"
