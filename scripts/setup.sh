#!/usr/bin/env bash
# What the gateway is built from, beside Swift: OpenSSL 3 and SQLite with their headers, a C++ library, pkg-config, git.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/debian.sh
. ./debian.sh

cxx_headers() { ls -d /usr/include/c++/*/string || ls -d /usr/include/c++/v1/string; }

need pkg-config command -v pkg-config
need libssl-dev test -e /usr/include/openssl/ssl.h
need libsqlite3-dev test -e /usr/include/sqlite3.h
need g++ cxx_headers
need git command -v git
install_missing

if ! command -v swift >/dev/null; then
    say "Swift 6.2 or later is needed and not in PATH. Its installer, for Debian 12, is described at swift.org/install."
    exit 1
fi
