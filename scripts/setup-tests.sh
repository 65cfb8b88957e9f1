#!/usr/bin/env bash
# The peers that the tests talk to: a real Mosquitto and its clients, a real RabbitMQ with its MQTT plugin, a clock that can be wrong
# (libfaketime), Lua with the libraries of the NodeMCU shim, the openssl command, .venv/bin/python with cryptography and paho-mqtt,
# and beside it the client libraries of other versions: paho-mqtt 1.6 in .venv/paho1, paho-mqtt 2 with aiomqtt and gmqtt in
# .venv/paho2. For CoAP: libcoap's client with each of its TLS libraries, gnutls-cli, mbedTLS for a client of our own, and in
# .venv/coap aiocoap with OSCORE and TinyDTLS (DTLSSocket, which is built here). A peer that can't be had is a failure.
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
python_headers() {
    test -e "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h"
}
make_venv() {
    [ -x "$venv/bin/python" ] || "$python" -m venv --without-pip --system-site-packages "$venv"
}

need mosquitto command -v mosquitto
need mosquitto-clients command -v mosquitto_pub
need rabbitmq-server test -x /usr/lib/rabbitmq/bin/rabbitmq-server
need openssl command -v openssl
need faketime command -v faketime
need lua5.1 command -v lua5.1
need lua-socket lua5.1 -e 'require "socket"'
need lua-luaossl lua5.1 -e 'require "openssl.hmac"'
need strace command -v strace
need libcoap3-bin command -v coap-client-openssl
need gnutls-bin command -v gnutls-cli
need libmbedtls-dev test -e /usr/include/mbedtls/ssl.h
need gcc command -v cc
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

# Whether a folder holds all of these packages in these versions.
holds() {
    local folder=$1 package name
    shift
    for package in "$@"; do
        name=${package%%==*}
        name=$(printf %s "${name%%\[*}" | tr A-Z- a-z_)
        [ -d "$folder/$name-${package##*==}.dist-info" ] || return 1
    done
}

# A client library in a folder of its own, for two versions of it can't be in one environment. Nothing is asked of anybody when
# the folder holds what it should.
libraries() {
    local folder=$venv/$1
    shift
    holds "$folder" "$@" && return
    say "installing $* into $folder"
    rm -rf "$folder"
    "$pip_python" -m pip install -q --disable-pip-version-check --root-user-action ignore --no-compile --target "$folder" "$@"
}

pip_python=$venv/bin/python
"$pip_python" -m pip --version >/dev/null 2>&1 || pip_python=$python
if ! "$pip_python" -m pip --version >/dev/null 2>&1; then
    need python3-pip false
    install_missing
fi
# The one of Debian 12 is 1.6.1, and serves as it is.
if [ "$("$venv/bin/python" -c 'import paho.mqtt as p; print(p.__version__)')" != 1.6.1 ]; then
    libraries paho1 paho-mqtt==1.6.1
fi
# What TinyDTLS is built with.
coap_libraries=("aiocoap[oscore]==0.4.17" DTLSSocket==0.2.3)
if ! holds "$venv/coap" "${coap_libraries[@]}"; then
    need autoconf command -v autoconf
    need automake command -v automake
    need libtool command -v libtoolize
    need make command -v make
    need python3-dev python_headers
    install_missing
fi
libraries coap "${coap_libraries[@]}"
libraries paho2 paho-mqtt==2.2.0 aiomqtt==2.5.1 gmqtt==0.8.0
