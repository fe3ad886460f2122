#!/bin/sh
# Puts what the tests and the bench need of Debian's packages on this machine.
#   scripts/system-packages.sh [dovecot] [cyrus] [rclone] [bench]     (default: dovecot cyrus)
# Installs as root or with `sudo -n`; otherwise prints the one line to run, and fails.
# Servers that Debian won't install beside Dovecot are only unpacked, below .cache/servers.
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.cache/servers

dovecot="dovecot-core dovecot-imapd util-linux"
cyrus="sasl2-bin libsasl2-modules libsasl2-modules-db libical3 libclamav12 libxapian30 libzephyr4 libwrap0 libpcre3 libldap-2.5-0 \
libpq5 libjansson4 libicu72 libsqlite3-0 libxml2 libbrotli1 libnghttp2-14"
cyrus_unpacked="cyrus-common cyrus-imapd"
bench="restic isync"

[ $# -gt 0 ] || set -- dovecot cyrus
packages=""
for wish in "$@"; do
  case $wish in
    dovecot) packages="$packages $dovecot" ;;
    cyrus) packages="$packages $cyrus" ;;
    bench) packages="$packages $bench" ;;
    rclone) echo "rclone comes with the Python packages: make install" ;;
    *) echo "usage: $0 [dovecot] [cyrus] [rclone] [bench]" >&2; exit 2 ;;
  esac
done

missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done

apt() { DEBIAN_FRONTEND=noninteractive $as_root apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || { echo "error: this is no Debian; install by hand:$missing" >&2; exit 1; }
  if [ "$(id -u)" = 0 ]; then as_root=""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"
  else
    echo "error: packages are missing; run this, then try again:" >&2
    echo "sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
  fi
  # Debian starts what it installs; nothing of this is wanted as a service.
  if [ ! -e /usr/sbin/policy-rc.d ] && [ -z "$as_root" ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  # shellcheck disable=SC2086
  apt install -y --no-install-recommends $missing || { apt update && apt install -y --no-install-recommends $missing; }
fi

unpack() { # NAME PACKAGES: below .cache/servers/NAME, once
  [ ! -e "$cache/$1/done" ] || return 0
  rm -rf "${cache:?}/$1" && mkdir -p "$cache/$1/debs"
  # Without root nobody else's rights are needed, only a list of packages that someone has fetched.
  (cd "$cache/$1/debs" && { apt-get -q download $2 || { as_root=${as_root-} && apt update && apt-get -q download $2; }; })
  for deb in "$cache/$1/debs"/*.deb; do dpkg -x "$deb" "$cache/$1"; done
  rm -rf "$cache/$1/debs" && touch "$cache/$1/done"
}

for wish in "$@"; do
  case $wish in
    cyrus) unpack cyrus "$cyrus_unpacked" ;;
  esac
done
