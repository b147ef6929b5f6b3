//! Linker options for macOS.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // By default, a macOS library's install name is its path on the machine that built it.
    if std::env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libgodot_shared_memory.dylib");
        // The `libc` crate links system libraries that this addon doesn't call.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-dead_strip_dylibs");
    }
}
