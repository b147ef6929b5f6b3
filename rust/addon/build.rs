//! What only the linker of one system is to be told.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What a macOS library calls itself would otherwise be its path on the machine that built it.
    if std::env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libgodot_shared_memory.dylib");
        // The C library's crate names some that nothing of us calls.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-dead_strip_dylibs");
    }
}
