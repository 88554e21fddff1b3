#!/usr/bin/env bash
# Say what this machine lacks and how to get it. With --quiet: only what is missing. Exits 1 if something is.
# Needs nothing but bash, so that it can speak before anything is installed.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH="${PATH//"$PWD/.venv/bin:"/}"

quiet=""
[ "${1:-}" = "--quiet" ] && quiet=yes
missing=0

good() { [ -n "$quiet" ] || printf '  ok       %s\n' "$1"; }
bad() {
    printf '  missing  %s\n' "$1" >&2
    printf '           %s\n' "${@:2}" >&2
    missing=1
}

python="$(command -v python3.11 || command -v python3.12 || true)"
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
    bad "Python 3.11 or 3.12 (as python3.11 or python3.12 on PATH)" \
        "Debian, Ubuntu: apt install python3.11 python3.11-venv" \
        "Fedora: dnf install python3.11      macOS: brew install python@3.11      anywhere: pyenv install 3.11"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    bad "the venv module of $python" "Debian, Ubuntu: apt install $(basename "$python")-venv"
else
    good "$("$python" --version) at $python"
fi

if ! command -v node >/dev/null; then
    bad "node 20 or newer" "Debian, Ubuntu: apt install nodejs npm      macOS: brew install node      anywhere: nvm install 20"
elif [ "$(node --print 'parseInt(process.versions.node)')" -lt 20 ]; then
    bad "node 20 or newer (found $(node --version))" "nvm install 20, or your package manager's newer version"
else
    good "node $(node --version)"
fi

if command -v npm >/dev/null; then
    good "npm $(npm --version 2>/dev/null)"
else
    bad "npm" "It comes with node; Debian, Ubuntu: apt install npm"
fi

for tool in make git; do
    if command -v "$tool" >/dev/null; then
        good "$("$tool" --version | head -n 1)"
    else
        bad "$tool" "Debian, Ubuntu: apt install $tool      macOS: xcode-select --install"
    fi
done

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64 | Linux-aarch64 | Darwin-x86_64 | Darwin-arm64) good "$(uname -s) on $(uname -m)" ;;
    *) bad "a platform that anvil is published for (this is $(uname -s) on $(uname -m))" \
        "Use Linux or macOS on x86-64 or arm64; on Windows, WSL" ;;
esac

if [ -z "$quiet" ]; then
    for part in .venv node_modules; do
        if [ -e "$part/.stamp" ]; then
            good "$part/ is installed"
        else
            printf '  later    %s\n' "$part/ is not installed yet: every make target does that by itself"
        fi
    done
fi

if [ "$missing" -ne 0 ]; then
    echo "Something is missing (above). Get it, then run make again." >&2
    exit 1
fi
[ -n "$quiet" ] || echo "Nothing is missing."
