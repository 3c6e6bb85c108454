#!/bin/sh
# Make this checkout ready: a virtual environment in .venv, and the programs that a target needs.
#
#   sh scripts/setup.sh runtime           what `edgeproxy` needs to run
#   sh scripts/setup.sh dev               the above, and what checks and tests need
#   sh scripts/setup.sh programs NAME...  commands on the PATH, from Debian's packages
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
        taskset) echo util-linux ;;
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

programs() {
    wanted=
    for name in "$@"; do
        # /usr/sbin is not on everybody's PATH
        if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$name" >/dev/null 2>&1; then
            package=$(package_of "$name")
            case " $wanted " in *" $package "*) ;; *) wanted="$wanted $package" ;; esac
        fi
    done
    # shellcheck disable=SC2086
    [ -z "$wanted" ] || install_packages $wanted
}

# A build with profile-guided optimisation, like Debian's own, needs a third less CPU per request
# than a plain one, which is what version managers make: it comes first, if it can be used.
find_python() {
    for wanted in optimised any; do
        for candidate in ${PYTHON:-} /usr/bin/python3.11 python3.11 python3 python3.12 python3.13; do
            if "$candidate" - "$wanted" "$(id -u)" 2>/dev/null <<'END'
import importlib.util, sys, sysconfig
optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
has_venv = importlib.util.find_spec("ensurepip") is not None
usable = sys.argv[1] == "any" or (optimised and (has_venv or sys.argv[2] == "0"))
sys.exit(sys.version_info < (3, 11) or not usable)
END
            then
                command -v "$candidate"
                return
            fi
        done
    done
    return 1
}

starts() { "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; }

make_venv() {
    python=$(find_python) || die "Python 3.11 or later is needed (Debian: apt-get install python3)"
    # Debian ships the venv module without the part that puts pip in: python3-venv brings it
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$python" = /usr/bin/python3 ]; then
            install_packages python3-venv
        else
            install_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        fi
    fi
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
    runtime) [ -f "$venv/.ready-dev" ] && packages dev '.[dev]' || packages runtime . ;;
    dev) packages dev '.[dev]' ;;
    programs) programs "$@" ;;
    *) die "usage: setup.sh runtime | dev | programs NAME..." ;;
esac
