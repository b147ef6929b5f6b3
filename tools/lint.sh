# shellcheck shell=bash
# build.sh lint: everything that can be judged without running it.

lint_help() {
  cat <<'END'
Usage: ./build.sh lint

Checks Rust (rustfmt, clippy, rustdoc), GDScript (gdformat, gdlint), Python (ruff), shell (shellcheck) and the
workflows (check-jsonschema, zizmor). All of them run, whatever the first ones find. What is not part of Rust
comes from PyPI, pinned in tools/requirements-lint.txt, into target/lint-venv. What is compiled for Windows only is
checked if ./build.sh windows has been run.
END
}

lint_main() {
  [ $# -eq 0 ] || fail "lint: unknown argument '$1' (see ./build.sh lint --help)"
  check_prerequisites
  (cargo fmt --version && cargo clippy --version) >/dev/null 2>&1 ||
    fail "rustfmt and clippy are needed: run 'rustup component add rustfmt clippy'."
  local bin=$root/target/lint-venv/bin file
  local gdscript=() python=() failed=()
  make_venv lint

  cd "$root"
  while IFS= read -r file; do gdscript+=("$file"); done < <(
    find demo tests bench -name '*.gd' ! -path '*/addons/*' ! -path '*/.godot/*' | sort
  )
  while IFS= read -r file; do python+=("$file"); done < <(
    find demo tests bench rust tools -name '*.py' ! -path '*/addons/*' | sort
  )

  check rustfmt cargo fmt --all --check
  check "rustfmt of rust/fuzz" cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
  check clippy with_heartbeat "checking Rust" \
    cargo clippy --locked --workspace --all-targets -- -D warnings
  # Without libFuzzer, which would take a C++ compiler; a folder of its own, because of the other flags.
  check "clippy of rust/fuzz" with_heartbeat "checking the fuzz targets" \
    env RUSTFLAGS="--cfg fuzzing" cargo clippy --locked --manifest-path rust/fuzz/Cargo.toml --no-default-features \
    --target-dir target/fuzz/lint -- -D warnings
  lint_windows
  check rustdoc with_heartbeat "checking Rust's documentation" \
    env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
  check gdformat "$bin/gdformat" --check "${gdscript[@]}"
  check gdlint "$bin/gdlint" "${gdscript[@]}"
  check ruff "$bin/ruff" check --quiet "${python[@]}"
  check "ruff format" "$bin/ruff" format --quiet --check "${python[@]}"
  check shellcheck "$bin/shellcheck" --external-sources --check-sourced build.sh tools/fetch_*.sh .ci/run
  check "workflow schema" "$bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
  check zizmor "$bin/zizmor" --offline --quiet .github/workflows
  # Users get a copy of the licence with the folder.
  check "the addon's LICENSE" cmp LICENSE addons/shared_memory/LICENSE

  [ ${#failed[@]} -eq 0 ] || fail "lint: problems found by$(printf ' %s,' "${failed[@]}" | sed 's/,$//')"
  say "lint: nothing found"
}

# With the Rust at hand, or the one that ./build.sh windows has fetched.
lint_windows() {
  local clippy=(cargo clippy)
  if ! has_target "$windows_target"; then
    if ! is_fetched toolchain "$toolchain_stamp" || ! is_fetched windows "$windows_stamp"; then
      say "clippy for Windows: skipped, it takes what ./build.sh windows fetches"
      return
    fi
    clippy=("$toolchain_folder/root/usr/bin/cargo-clippy" clippy)
  fi
  check "clippy for Windows" with_heartbeat "checking Rust for Windows" windows_cargo "${clippy[@]}" \
    --locked --workspace --all-targets --target "$windows_target" -- -D warnings
}

# check LABEL COMMAND...: runs it; adds LABEL to `failed` of lint_main if it found something.
check() {
  local label=$1
  shift
  say "$label"
  "$@" || failed+=("$label")
}
