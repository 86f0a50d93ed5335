#!/bin/sh
# Prepare .venv from the locked requirements, and do nothing when it is as it should be.
#
#   scripts/venv.sh runtime    what `jobctl` needs, and the project itself (editable)
#   scripts/venv.sh dev        that, and the tools that check and test it
#
# PYTHON names the interpreter; without it the newest of python3.14 to python3.11, else python3, is taken.
# A virtual environment of another interpreter, of another lock or of another place, or one whose installation was
# interrupted, is made again. State is compared by content, so file times do not matter.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
level=${1:?usage: scripts/venv.sh runtime|dev}

# Prints the path of the interpreter itself (never that of a virtual environment), or fails silently.
usable() {
    "$1" -c 'import sys, ensurepip, venv
if sys.version_info < (3, 11): sys.exit(1)
print(sys._base_executable)' 2>/dev/null </dev/null
}

choose() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" && return
        echo "make: PYTHON=$PYTHON cannot be used: give a Python 3.11 or newer that has the venv module" >&2
        exit 2
    fi
    for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
        usable "$candidate" && return
    done
    echo "make: no Python 3.11 or newer with the venv module on PATH: name one: make PYTHON=/path/to/python3" >&2
    exit 2
}

stamped() {
    [ -f "$venv/$1" ] && [ "$(cat "$venv/$1")" = "$2" ]
}

install() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -q -q "$@" </dev/null
}

python=$(choose)
made=$("$python" -c 'import os, sys; print(sys.version, sys.base_prefix, os.getcwd())' &&
    cat requirements/runtime.txt requirements/dev.txt | cksum)
project=$(cksum <pyproject.toml)

if [ -e "$venv/.installing" ] || ! stamped .made "$made" || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "making $venv with $python, which may take a minute" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    : >"$venv/.installing"
    install --require-hashes -r requirements/runtime.txt
    printf '%s\n' "$made" >"$venv/.made"
    rm "$venv/.installing"
fi

if [ "$level" = dev ] && [ ! -f "$venv/.dev" ]; then
    echo "installing the development tools" >&2
    : >"$venv/.installing"
    install --require-hashes -r requirements/dev.txt
    : >"$venv/.dev"
    rm "$venv/.installing"
fi

if ! stamped .project "$project"; then
    install --no-deps --no-build-isolation --editable .
    printf '%s\n' "$project" >"$venv/.project"
fi
