#!/usr/bin/env bash
# The test suite on every CPython from 3.10 to 3.14 that is found here; says at the end which ran and how.
#
#   ./tests/on_every_python.sh [arguments for pytest]
#
# An interpreter is looked for in this order: $PYTHON (default: python3) if it has the version; pyenv's versions, the
# newest patch release first; python3.N on the PATH. Each gets its own virtual environment .venv-3.N in the checkout,
# made once and set up again when pyproject.toml has changed. Exits non-zero if a run failed or if there was none.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

VERSIONS="3.10 3.11 3.12 3.13 3.14"

# Whether $1 is a working CPython $2 that can make virtual environments: a name on the PATH may be a pyenv shim of a
# version that is not selected, or a Debian Python without venv.
fits() {
    "$1" - "$2" >/dev/null 2>&1 <<'PY'
import sys, sysconfig, venv, ensurepip
wanted = tuple(map(int, sys.argv[1].split(".")))
free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
sys.exit(sys.implementation.name != "cpython" or sys.version_info[:2] != wanted or bool(free_threaded))
PY
}

# Print the interpreter for version $1, if there is one.
find_python() {
    local version=$1 candidate
    while IFS= read -r candidate; do
        if [ -n "$candidate" ] && fits "$candidate" "$version"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done <<CANDIDATES
${PYTHON:-python3}
$(find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -maxdepth 1 -name "$version.*" 2>/dev/null | sort -rV | sed 's|$|/bin/python|')
$(type -aP "python$version")
CANDIDATES
    return 1
}

# Make or refresh the virtual environment $2 with interpreter $1.
set_up() {
    local python=$1 venv=$2
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        rm -rf "$venv"
        "$python" -m venv "$venv" || return 1
    fi
    if [ ! -e "$venv/.test" ] || [ pyproject.toml -nt "$venv/.test" ] || [ setup.py -nt "$venv/.test" ]; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]' || return 1
        touch "$venv/.test"
    fi
}

summary=""
ran=0
failed=0

for version in $VERSIONS; do
    if ! python=$(find_python "$version"); then
        summary+="$version  not found"$'\n'
        continue
    fi
    venv=.venv-$version
    ran=$((ran + 1))
    printf '\n== CPython %s: %s\n' "$version" "$python"
    if ! set_up "$python" "$venv"; then
        result="could not be set up"
        failed=$((failed + 1))
    elif "$venv/bin/python" -m pytest --numprocesses 2 "$@"; then
        result=passed
    else
        result="FAILED (pytest's exit code $?)"
        failed=$((failed + 1))
    fi
    [ -x "$venv/bin/python" ] && python=$venv/bin/python # it may be another patch release than the one found
    exact=$("$python" -c 'import platform; print(platform.python_version())')
    summary+="$version  $result ($exact)"$'\n'
done

printf '\n== CPython, and how the tests went\n%s' "$summary"
if [ "$ran" -eq 0 ]; then
    echo "No CPython from 3.10 to 3.14 was found." >&2
fi
[ "$ran" -gt 0 ] && [ "$failed" -eq 0 ]
