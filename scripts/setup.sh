#!/bin/sh
# Make this checkout ready: a virtual environment in .venv, and the programs that a target needs.
#
#   sh scripts/setup.sh runtime [COMMAND...]   what `edgeproxy` needs to run
#   sh scripts/setup.sh dev [COMMAND...]       the above, and what checks and tests need
#
# COMMANDs are programs that have to be there, from Debian's packages.
#
# Every step may be interrupted and repeated: a stamp is written only after a step was completed,
# an environment that does not start is made anew. As root, missing Debian packages are installed;
# anybody else is told which ones are missing. A run with nothing to do takes milliseconds.
set -eu
cd "$(dirname "$0")/.."
venv=.venv

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The Debian package that brings a command.
package_of() {
    case "$1" in
        nghttp|h2load) echo nghttp2-client ;;
        nginx) echo nginx-light ;;
        taskset|unshare|nsenter) echo util-linux ;;
        testssl) echo testssl.sh ;;
        *) echo "$1" ;;
    esac
}

install_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        die "missing: $* (Debian's names); there is no apt-get here, install them and run this again"
    fi
    if [ "$(id -u)" -ne 0 ]; then
        die "missing Debian packages: $*
setup: install them as root, then run this again:  apt-get update && apt-get install --no-install-recommends $*"
    fi
    say "installing Debian packages: $*"
    DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >&2 ||
        say "the package lists could not be refreshed; trying with the ones at hand"
    # shellcheck disable=SC2086  # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null >&2 ||
        die "apt-get could not install: $*"
}

wanted=

want() {
    case " $wanted " in *" $1 "*) ;; *) wanted="${wanted:+$wanted }$1" ;; esac
}

can() { "$@" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Debian's own build comes first, if it can be used: it is optimised with profiles, and serves a hit
# for a third less CPU than the plain builds that version managers make.
find_python() {
    debian=/usr/bin/python3.11
    if [ -z "${PYTHON:-}" ] && can "$debian" && {
        [ "$(id -u)" -eq 0 ] || "$debian" -c 'import ensurepip' 2>/dev/null
    }; then
        echo "$debian"
        return
    fi
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13; do
        if can "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

starts() { "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; }

# Everything that is missing is found before anything is installed or refused, so that it is said
# once and completely.
system_packages() {
    for name in "$@"; do
        # /usr/sbin is not on everybody's PATH
        PATH="$PATH:/usr/sbin:/sbin" command -v "$name" >/dev/null 2>&1 || want "$(package_of "$name")"
    done
    if ! starts; then
        if ! python=$(find_python); then
            want python3
            want python3-venv
        # Debian ships the venv module without the part that puts pip in
        elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            want "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        fi
    fi
    # shellcheck disable=SC2086  # one word per package
    [ -z "$wanted" ] || install_packages $wanted
}

make_venv() {
    python=$(find_python) || die "Python 3.11 or later is needed"
    say "making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die "could not make $venv"
    starts || die "$venv was made but does not start"
}

# What an environment depends on: the declared packages, the interpreter, and where it lies
# (the scripts of an environment hold absolute paths).
fingerprint() {
    { cat pyproject.toml; pwd; readlink -f "$venv/bin/python"; } | cksum
}

packages() {
    stamp="$venv/.ready-$1"
    requirement=$2
    if starts; then
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
            return
        fi
    else
        make_venv
    fi
    say "installing the Python packages ($1)"
    rm -f "$stamp"
    if ! "$venv/bin/python" -m pip install -q --disable-pip-version-check -e "$requirement" </dev/null; then
        say "that failed; once more in a new environment"
        make_venv
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -e "$requirement" </dev/null ||
            die "the Python packages could not be installed (is the package index reachable?)"
    fi
    fingerprint >"$stamp"
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
    runtime|dev) system_packages "$@" ;;
    *) die "usage: setup.sh runtime|dev [COMMAND...]" ;;
esac
# an environment for development serves for running as well
if [ "$command" = dev ] || [ -f "$venv/.ready-dev" ]; then
    packages dev '.[dev]'
else
    packages runtime .
fi
