# shellcheck shell=bash
# Fetches packages of Debian releases into a folder, without installing anything and without root. Sourced by the
# fetch_*.sh programs.

# fetch_packages WORK SUITES WANTED PACKAGE...: downloads the packages, and what they need, into WORK/cache/archives. Of
# what the system has installed, only what matches WANTED (a regular expression for whole names) is fetched all the same.
# Of the SUITES, names of releases with spaces between them, not every one must be there.
fetch_packages() {
  local work=$1 suites=$2 wanted=$3 suite architecture here sources
  shift 3
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"

  echo "== the system's own Debian mirror"
  sources=$work/suites.sources
  architecture=$(dpkg --print-architecture)
  : >"$sources"
  for suite in $suites; do
    python3 "$here/apt_source.py" "$suite" "$architecture" >>"$sources" || echo "no source has $suite"
  done
  [ -s "$sources" ] || {
    echo "The apt sources of this system name no Debian archive."
    return 1
  }
  cat "$sources"

  awk -v RS= -v ORS='\n\n' -v wanted="^($wanted)\$" '$2 !~ wanted' /var/lib/dpkg/status >"$work/installed"

  # What the system does after an update of its own lists is none of this one's business.
  cat >"$work/apt.conf" <<'CONF'
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
CONF

  echo "== packages"
  # One of several mirrors may be down, or too old to have this release. What is missing shows in the next step.
  own_apt update || echo "not every source answered"
  own_apt -y --download-only install "$@"
}

# apt-get with a state of its own, for fetch_packages. What the system says of proxies and passwords stays in force.
own_apt() {
  apt-get -q -c "$work/apt.conf" \
    -oDir::Etc::SourceList="$sources" \
    -oDir::Etc::SourceParts=/dev/null \
    -oDir::Etc::Preferences=/dev/null \
    -oDir::Etc::PreferencesParts=/dev/null \
    -oDir::State="$work/state" \
    -oDir::State::Lists="$work/state/lists" \
    -oDir::State::status="$work/installed" \
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

# unpack_packages WORK FOLDER: unpacks what fetch_packages has downloaded.
unpack_packages() {
  local package
  echo "== unpacking"
  mkdir -p "$2"
  for package in "$1"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$2"
  done
  # Some packages hold programs that run as root for everybody: not in somebody's build folder.
  find "$2" -perm /6000 -type f -exec chmod ug-s {} +
  rm -rf "$2/usr/share/doc" "$2/usr/share/man"
}
