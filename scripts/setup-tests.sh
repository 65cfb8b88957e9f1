#!/usr/bin/env bash
# The peers that the tests talk to: a real Mosquitto and its clients, Lua with the libraries of the NodeMCU shim, the openssl
# command, and .venv/bin/python with cryptography and paho-mqtt. A peer that can't be had is a failure.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/debian.sh
. ./debian.sh
PATH=$PATH:/usr/sbin # where Debian keeps mosquitto

venv=../.venv
requirements=../Examples/nodes/python/requirements.txt
# Debian's own Python sees Debian's packages; another one that comes first in PATH does not.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3 || echo python3)

has_modules() { "$venv/bin/python" -c 'import cryptography, paho.mqtt.client, tomllib'; }
make_venv() {
    [ -x "$venv/bin/python" ] || "$python" -m venv --without-pip --system-site-packages "$venv"
}

need mosquitto command -v mosquitto
need mosquitto-clients command -v mosquitto_pub
need openssl command -v openssl
need lua5.1 command -v lua5.1
need lua-socket lua5.1 -e 'require "socket"'
need lua-luaossl lua5.1 -e 'require "openssl.hmac"'
need python3 "$python" --version
make_venv 2>/dev/null || true
if can_install >/dev/null; then
    need python3-cryptography "$venv/bin/python" -c 'import cryptography'
    need python3-paho-mqtt "$venv/bin/python" -c 'import paho.mqtt.client'
fi
install_missing

make_venv
if ! has_modules 2>/dev/null; then
    say "the system's Python lacks the modules: installing them into .venv"
    rm -rf "$venv"
    "$python" -m venv --system-site-packages "$venv"
    "$venv/bin/python" -m pip install -q -r "$requirements"
    has_modules
fi
