#!/bin/sh
# Puts what the tests and the bench need of Debian's packages on this machine.
#   scripts/system-packages.sh [dovecot] [cyrus] [courier] [imap4d] [postfix] [exim] [sendmail] [ministack] [rclone] [bench] [python]     (default: all servers)
# Installs as root or with `sudo -n`; otherwise prints the one line to run, and fails.
# Servers that Debian won't install beside Dovecot are only unpacked, below .cache/servers.
# MiniStack and mailvault demand their own versions of what we use, so each gets an environment of its own there.
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.cache/servers

dovecot="dovecot-core dovecot-imapd dovecot-pop3d dovecot-managesieved dovecot-sieve util-linux"
cyrus="sasl2-bin libsasl2-modules libsasl2-modules-db libical3 libclamav12 libxapian30 libzephyr4 libwrap0 libpcre3 libldap-2.5-0 \
libpq5 libjansson4 libicu72 libsqlite3-0 libxml2 libbrotli1 libnghttp2-14"
cyrus_unpacked="cyrus-common cyrus-imapd"
courier="courier-authlib courier-authlib-userdb courier-authdaemon libcourier-unicode4 libgamin0 libgdbm6 libidn12 libgnutls30 \
libpcre3"
courier_unpacked="courier-base courier-imap"
imap4d="mailutils-common libmailutils9 libgsasl18 libwrap0"
imap4d_unpacked="mailutils-imap4d"
postfix="dovecot-lmtpd libdb5.3 libicu72 libnsl2 libsasl2-2 libssl3"
postfix_unpacked="postfix"
exim="libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0"
exim_unpacked="exim4-daemon-light"
sendmail="m4 libdb5.3 libldap-2.5-0 liblockfile1 libnsl2 libsasl2-2 libssl3 libwrap0"
sendmail_unpacked="sendmail-bin sendmail-base sendmail-cf"
bench="restic isync borgbackup python3-venv"
python="python3-venv"

ministack="python3-venv"

[ $# -gt 0 ] || set -- dovecot cyrus courier imap4d postfix exim sendmail ministack
packages=""
for wish in "$@"; do
  case $wish in
    dovecot) packages="$packages $dovecot" ;;
    cyrus) packages="$packages $cyrus" ;;
    courier) packages="$packages $courier" ;;
    imap4d) packages="$packages $imap4d" ;;
    postfix) packages="$packages $postfix" ;;
    exim) packages="$packages $exim" ;;
    sendmail) packages="$packages $sendmail" ;;
    ministack) packages="$packages $ministack" ;;
    bench) packages="$packages $bench" ;;
    python) packages="$packages $python" ;;
    rclone) echo "rclone comes with the Python packages: make install" ;;
    *) echo "usage: $0 [dovecot] [cyrus] [courier] [imap4d] [postfix] [exim] [sendmail] [ministack] [rclone] [bench] [python]" >&2; exit 2 ;;
  esac
done

missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done

if [ "$(id -u)" = 0 ]; then as_root=""; may_install=yes
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"; may_install=yes
else as_root=""; may_install=no
fi

apt() { DEBIAN_FRONTEND=noninteractive $as_root apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

install_missing() {
  command -v apt-get >/dev/null || { echo "error: this is no Debian; install by hand:$missing" >&2; exit 1; }
  if [ $may_install = no ]; then
    echo "error: packages are missing; run this line, then try again:" >&2
    echo "sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
  fi
  # Debian starts the servers that it installs; the tests start their own.
  if [ -z "$as_root" ] && [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
  fi
  echo "installing$missing"
  # A list of packages that is missing or too old shows only when something can't be fetched.
  apt install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt update
    apt install -y --no-install-recommends $missing >/dev/null
  }
}

unpack() { # NAME PACKAGES: below .cache/servers/NAME, once
  place=$cache/$1
  [ ! -e "$place/done" ] || return 0
  echo "unpacking $2 below $place"
  rm -rf "${place:?}"
  mkdir -p "$place/debs"
  cd "$place/debs"
  apt-get -qq download $2 2>/dev/null || {
    [ $may_install = no ] || apt update
    apt-get -qq download $2 || { echo "error: run this line, then try again: sudo apt-get update" >&2; exit 1; }
  }
  for deb in *.deb; do dpkg -x "$deb" "$place"; done
  cd "$cache"
  rm -rf "$place/debs"
  touch "$place/done"
}

make_account() { # NAME
  [ $may_install = yes ] || { echo "error: run this line, then try again: sudo useradd --system $1" >&2; exit 1; }
  $as_root useradd --system --no-create-home --shell /usr/sbin/nologin "$1"
}

[ -z "$missing" ] || install_missing
for wish in "$@"; do
  case $wish in
    cyrus) unpack cyrus "$cyrus_unpacked" ;;
    courier) unpack courier "$courier_unpacked" && unpack courier-pop courier-pop ;;
    imap4d) unpack imap4d "$imap4d_unpacked" ;;
    postfix) unpack postfix "$postfix_unpacked" ;;
    exim)
      unpack exim "$exim_unpacked"
      # Exim starts only where the account exists whose name is compiled in.
      id Debian-exim >/dev/null 2>&1 || make_account Debian-exim
      ;;
    sendmail) unpack sendmail "$sendmail_unpacked" ;;
    ministack)
      [ -x "$cache/ministack/bin/ministack" ] || {
        echo "installing MiniStack below $cache/ministack"
        python3 -m venv "$cache/ministack"
        "$cache/ministack/bin/pip" install --quiet "ministack>=1.5.33,<2"
      }
      ;;
    bench)
      # A contestant; the bench does without it, and says so, where it can't be had.
      [ -x "$cache/mailvault/bin/mailvault" ] || {
        echo "installing mailvault below $cache/mailvault"
        python3 -m venv "$cache/mailvault" && "$cache/mailvault/bin/pip" install --quiet "mailvault>=0.22,<1" ||
          echo "mailvault could not be installed: the bench leaves it out"
      }
      ;;
  esac
done
