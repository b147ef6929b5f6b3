# shellcheck shell=bash
# Programs and libraries of others that the tests exchange memory with, where they can be had.

peers=$root/target/peers
# The package's own build wants cmake-js, and a version of n-api-tools that is not there any more.
node_packages=(@markusjx/shared_memory@1.0.1 @markusjx/n-api-tools@1.2.0 node-addon-api@5.1.0)

# Makes what can be made, and says what the tests do without. Sets the variables by which the tests find it.
prepare_peers() {
  if (make_venv peers) >/dev/null 2>&1; then
    export SHM_TEST_NUMPY=$root/target/peers-venv/bin/python
  else
    say "numpy could not be installed from PyPI: no tests with it"
  fi
  if with_heartbeat "building the Node package" make_node_package >"$root/target/test-logs/node.log" 2>&1; then
    export SHM_TEST_NODE_PACKAGE=$peers/node/shared_memory
  else
    say "the Node package could not be built (target/test-logs/node.log tells why): no tests with it"
  fi
}

# @markusjx/shared_memory, from npm, with Node's own headers.
make_node_package() {
  local headers archive package=$peers/node
  [ "$(cat "$package/stamp" 2>/dev/null)" = "${node_packages[*]}" ] && return
  rm -rf "$package" && mkdir -p "$package" || return
  headers=$(node -p 'require("path").resolve(process.execPath, "../../include/node")') || return
  [ -f "$headers/node_api.h" ] || {
    echo "there is no node_api.h in $headers"
    return 1
  }
  (
    cd "$package" && npm pack --silent "${node_packages[@]}" >/dev/null || exit
    for archive in *.tgz; do
      mkdir "${archive%-*}" && tar -xzf "$archive" -C "${archive%-*}" --strip-components=1 || exit
    done
    mv markusjx-shared_memory shared_memory && mkdir -p shared_memory/build/Release &&
      g++ -std=c++17 -O1 -fPIC -shared -DNAPI_CPP_EXCEPTIONS -DNAPI_VERSION=6 \
        -I"$headers" -Inode-addon-api -Imarkusjx-n-api-tools \
        shared_memory/src/module.cpp shared_memory/src/shared_memory.cpp \
        -o shared_memory/build/Release/shared_memory.node
  ) || return
  echo "${node_packages[*]}" >"$package/stamp"
}
