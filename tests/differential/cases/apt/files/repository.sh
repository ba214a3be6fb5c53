#!/bin/bash
# Make a signed repository with two suites below /var/lib/rehearsal, and serve it on this host alone.
set -eu
root=/var/lib/rehearsal
[ ! -e $root/made ] || exit 0
rm -rf $root && mkdir -p $root/stable $root/later $root/files && cd $root
export GNUPGHOME=$root/secret
mkdir -m 0700 $GNUPGHOME
gpg -q --batch --passphrase '' --quick-generate-key 'Rehearsal <rehearsal@example.invalid>' ed25519 sign never 2>/dev/null
gpg -q --armor --export > key.asc 2>/dev/null

package() {  # folder name version [field ...]
  local folder=$1 name=$2 version=$3 build; shift 3
  build=$(mktemp -d) && chmod 755 "$build" && mkdir -p "$build/DEBIAN" "$build/usr/share/$name"
  echo "$version" > "$build/usr/share/$name/version"
  { printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.invalid>\n' "$name" "$version"
    [ $# = 0 ] || printf '%s\n' "$@"; printf 'Description: for rehearsals\n'; } > "$build/DEBIAN/control"
  case $name in
    rehearsal-conf)
      mkdir -p "$build/etc"
      echo "shipped $version" > "$build/etc/rehearsal.conf"
      echo /etc/rehearsal.conf > "$build/DEBIAN/conffiles" ;;
    rehearsal-daemon)
      printf '#!/bin/sh\ntest ! -x /usr/sbin/policy-rc.d || /usr/sbin/policy-rc.d\necho $? > /etc/rehearsal-policy\n' > "$build/DEBIAN/postinst"
      chmod 755 "$build/DEBIAN/postinst" ;;
  esac
  dpkg-deb -Zgzip -z1 --root-owner-group -b "$build" "$folder/${name}_${version}_all.deb" > /dev/null
  rm -rf "$build"
}

index() {  # folder suite [field]
  local folder=$1 deb; shift
  for deb in "$folder"/*.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$(basename "$deb")" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
  done > "$folder/Packages"
  { printf 'Origin: Rehearsal\nSuite: %s\n' "$(basename "$folder")"; printf '%s\n' "$@"; LC_ALL=C date -u +'Date: %a, %d %b %Y %T UTC'
    printf 'SHA256:\n %s %s Packages\n' "$(sha256sum "$folder/Packages" | cut -d' ' -f1)" "$(stat -c %s "$folder/Packages")"
  } > "$folder/Release"
  gpg -q --batch --yes --clearsign -o "$folder/InRelease" "$folder/Release" 2>/dev/null
}

for version in 1.0 1.1 2.0; do
  package stable rehearsal-app $version "Depends: rehearsal-lib" "Recommends: rehearsal-extra"
  package stable rehearsal-lib $version
  package stable rehearsal-conf $version
  package files rehearsal-file $version "Depends: rehearsal-lib"
done
package stable rehearsal-extra 1.0
package stable rehearsal-daemon 1.0
package stable rehearsal-rival 1.0 "Conflicts: rehearsal-extra"
package later rehearsal-app 3.0 "Depends: rehearsal-lib"
index stable "Codename: stable"
index later "Codename: later" "NotAutomatic: yes"
chmod -R a+rX $root/stable $root/later $root/files $root/key.asc
systemd-run -q --unit rehearsal-repository python3 -m http.server 8099 --bind 127.0.0.1 -d $root
for _ in $(seq 100); do
  python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8099))' 2>/dev/null && break
  sleep 0.05
done
touch made
