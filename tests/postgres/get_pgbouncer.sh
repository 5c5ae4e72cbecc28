#!/bin/sh
# A PgBouncer for the tests, by apt-get: unpacked into the folder $1, not installed, so that
# the machine keeps no daemon, no user and no configuration of it. Without one the tests that
# need it are skipped, so this never fails.
set -u
folder=$1
[ -x "$folder/usr/sbin/pgbouncer" ] && exit 0
command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] && exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 0

mkdir -p "$folder/debs" || exit 0
cd "$folder/debs" || exit 0

fetch() {
    libraries=$(apt-cache depends pgbouncer | awk '/Depends: lib(c-?ares|event)/ {print $2}')
    [ -n "$libraries" ] && timeout 60 apt-get -qq download pgbouncer $libraries
}

{ fetch || { [ "$(id -u)" = 0 ] && timeout 60 apt-get -qq update && fetch; }; } \
    >"$folder/log" 2>&1 </dev/null
for package in *.deb; do
    [ -f "$package" ] && dpkg-deb -x "$package" "$folder" >>"$folder/log" 2>&1
done
rm -rf "$folder/debs"
[ -x "$folder/usr/sbin/pgbouncer" ] ||
    echo 'No PgBouncer could be fetched: its tests are skipped.'
exit 0
