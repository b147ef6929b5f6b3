"""Downloads packages of Debian releases into a folder, without installing anything and without root."""

import pathlib
import re

from . import apt_source

# The hooks that the system has for its own updates must not run for this one.
SETTINGS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
"""


def download(kit):
    """Downloads the packages of a kit, and what they need. Returns the paths of the archives."""
    work, wanted = kit.work, kit.module
    for folder in ("sources", "state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    kit.say("the system's own Debian mirror")
    sources = apt_source.write(wanted.SUITES, work / "sources")
    if not sources:
        raise OSError("the apt sources of this system name no Debian archive")
    kit.say(sources)
    (work / "apt.conf").write_text(SETTINGS)
    (work / "installed").write_text(installed(wanted.FETCHED))

    kit.say("packages")
    # One of several mirrors may be down, or too old to have this release. The next step shows
    # what is missing.
    apt = own_apt(work, getattr(wanted, "ARCHITECTURE", None))
    kit.run(*apt, "update", check=False)
    kit.run(*apt, "-y", "--download-only", "install", *wanted.PACKAGES)
    return sorted(work.glob("cache/archives/*.deb"))


def installed(fetched):
    """Returns what dpkg knows as installed, without the packages whose names match."""
    status = pathlib.Path("/var/lib/dpkg/status").read_text(encoding="utf-8")
    entries = [entry for entry in status.split("\n\n") if entry.strip()]
    name = re.compile(rf"Package: ({fetched})$", re.MULTILINE)
    return "".join(entry.strip("\n") + "\n\n" for entry in entries if not name.match(entry))


def own_apt(work, architecture):
    """Returns apt-get with a state of its own. The system's proxies and passwords stay in force.

    Without an `architecture`, it is the system's.
    """
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": work / "sources",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": work / "state",
        "Dir::State::Lists": work / "state/lists",
        "Dir::State::status": work / "installed",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
        "APT::Default-Release": "",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
    }
    if architecture:
        options |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
    settings = [f"-o{key}={value}" for key, value in options.items()]
    return ["apt-get", "-q", "-c", work / "apt.conf", *settings]
