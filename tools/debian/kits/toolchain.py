"""Debian's Rust, with the source of its standard library: with it, cargo builds for any target.

Afterwards root/usr/bin has rustc, rustdoc, cargo, clippy and rustfmt. They take from the system what it has
installed of what they need.
"""

import shutil

NUMBER = 3
WHAT = "a Rust that has its library's source (150 MB)"
# The oldest release that has a new enough Rust, so that it runs on all later ones. Its security updates bring
# the Rust that current browsers need.
SUITES = ("bookworm", "bookworm-security")
PACKAGES = ("cargo-web", "rustc-web", "rust-web-src", "rust-web-clippy", "rustfmt-web", "patchelf")
FETCHED = ".*rust.*|cargo.*|patchelf"
PROGRAMS = ("cargo", "rustc", "rustdoc", "rustfmt", "cargo-fmt", "clippy-driver", "cargo-clippy")


def set_up(kit):
    # The compiler's own source, and what tests it, are most of it.
    for source in kit.root.glob("usr/src/rustc-*/*"):
        if source.name != "library":
            shutil.rmtree(source) if source.is_dir() else source.unlink()
    programs = [kit.root / "usr/bin" / name for name in PROGRAMS]
    kit.tie([kit.root / "usr/bin/patchelf"], programs)
    for program in programs:
        kit.run(program, "--version")
    if not (kit.root / "usr/lib/rustlib/src/rust/library/std/Cargo.toml").exists():
        raise OSError("the source of the standard library is missing")
