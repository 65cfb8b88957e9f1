# shellcheck shell=bash
# Sourced by the set-up scripts: finds out what is missing and installs it from Debian. Installing needs root or sudo;
# with everything there nothing is run as root and nothing is downloaded.

missing=()

# need PACKAGE COMMAND...: the package is missing where the command fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

say() { printf '%s\n' "$*" >&2; }

can_install() {
    [ -z "${NO_INSTALL:-}" ] && command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts a server as soon as it is installed. The tests start their own, on ports of their own.
forbid_service_starts() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then policy=; return; fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
}

# Nor shall it start with the machine.
disable_service() {
    if command -v systemctl >/dev/null; then as_root systemctl disable "$@" >/dev/null 2>&1 || true; fi
}

install_missing() {
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    say "missing: ${missing[*]}"
    if ! can_install >/dev/null; then
        say "Please install what corresponds to these Debian packages (as root: apt-get install ${missing[*]}), then try again."
        exit 1
    fi
    say "installing them with apt-get$([ "$(id -u)" -eq 0 ] || echo ' (by sudo)'); NO_INSTALL=1 prevents this"
    forbid_service_starts
    as_root apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
    local service
    for service in mosquitto rabbitmq-server; do
        case " ${missing[*]} " in *" $service "*) disable_service "$service" ;; esac
    done
    # Erlang's port mapper, which comes with RabbitMQ.
    case " ${missing[*]} " in *" rabbitmq-server "*) disable_service epmd.socket epmd.service ;; esac
    missing=()
}
