#!/usr/bin/env bash
# Unpack Debian's (or Ubuntu's) PostgreSQL server into .venv/postgres/, for tests: nothing is installed, and nobody has to
# be root. Where that is impossible, .venv/postgres/reason says why, and the tests that want a server are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
target="$PWD/.venv/postgres"
[ -e "$target/.stamp" ] && exit 0

rm -rf "$target"
mkdir -p "$target/debs"
give_up() {
    echo "no PostgreSQL for the tests: $1"
    echo "$1" > "$target/reason"
    exit 0
}
for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" > /dev/null || give_up "$tool is not there: this is not Debian or Ubuntu"
done

cd "$target/debs"
# The newest server that this release has.
server() { apt-cache "$@" depends postgresql 2> /dev/null | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1; }
options=()
package="$(server)"
if [ -z "$package" ]; then
    # The machine has no package lists: fetch some of our own.
    mkdir -p lists/partial
    options=(-o "Dir::State::lists=$PWD/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    apt-get "${options[@]}" -qq update 2> /dev/null || give_up "apt-get cannot fetch its package lists"
    package="$(server "${options[@]}")"
    [ -n "$package" ] || give_up "apt-get knows no package postgresql"
fi
# What it needs that is not installed here; without the compiler of queries (LLVM) and scripts around the server.
needs="$(apt-get "${options[@]}" -s --no-install-recommends install "$package" 2> /dev/null |
    sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p' | grep -v -e llvm -e '-perl$' || true)"
echo "unpacking $package into .venv/postgres/"
# shellcheck disable=SC2086
apt-get "${options[@]}" -qq download "$package" "${package/-/-client-}" libpq5 $needs 2> apt.log ||
    give_up "apt-get cannot download $package: $(tail -n 1 apt.log)"
for deb in *.deb; do
    dpkg-deb -x "$deb" "$target"
done
cd "$target"
rm -rf debs usr/share/doc usr/share/man usr/share/locale usr/share/postgresql/*/man
touch .stamp
