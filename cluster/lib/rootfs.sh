# shellcheck shell=bash
# Root file systems from the distribution's packages: the closure of some packages, downloaded by apt, unpacked without
# their scripts and without installing anything on this machine.

# What a closure names and an image does not need: package management, accounts, perl, terminals.
NOT_IN_IMAGES='^(dpkg|tar|mawk|debconf|usrmerge|init-system-helpers|sysvinit-utils|lsb-base|passwd|adduser|login.*|perl.*|libperl.*|lib.*-perl'
NOT_IN_IMAGES+='|libpam.*|libaudit.*|libsemanage.*|libsepol.*|libcap-ng.*|libgdbm.*|libdb5.*|dcmtk|locales|libc-l10n|gcc-.*-base|openssl|readline-common'
NOT_IN_IMAGES+='|libselinux.*|libacl.*|libmd0|libpcre2.*|libsystemd.*|debianutils|coreutils|python3-distutils|python3-lib2to3)$'

apt_closure() { # PACKAGE...: "uri file" of each package of the closure, as if nothing were installed or downloaded
  mkdir -p "$work/no-archives/partial"
  apt-get -qq -y --print-uris --no-install-recommends -o Dir::State::status="$work/no-packages" -o Dir::Cache::archives="$work/no-archives" \
    -o Debug::NoLocking=1 install "$@" |
    awk '{gsub("\x27", "", $1); print $1, $2}' |
    while read -r uri file; do
      [[ ${file%%_*} =~ $NOT_IN_IMAGES ]] || printf '%s %s\n' "$uri" "$file"
    done
}

# closure PACKAGE...: the same, worked out once for each state of apt's lists; after an apt-get update if there are none
closure() {
  local answer
  answer=$CACHE/closures/$( (echo "$*$NOT_IN_IMAGES"; declare -f apt_closure; stat -c '%n %Y' /var/lib/apt/lists /var/lib/apt/lists/*Packages* 2>/dev/null) | sha256sum | cut -c1-16)
  if [ ! -s "$answer" ]; then
    mkdir -p "$CACHE/closures"
    apt_closure "$@" >"$answer.new" 2>/dev/null || { apt-get update -qq >&2 && apt_closure "$@" >"$answer.new"; } ||
      die "apt does not know how to get: $*; see apt-get install --simulate $*"
    mv "$answer.new" "$answer"
  fi
  cat "$answer"
}

unpack_closure() { # FOLDER PACKAGE...
  local root=$1 debs=$CACHE/debs names name
  shift
  names=$(closure "$@" | awk '{print $2}') || return 1
  mkdir -p "$debs/partial" "$root"/usr/{bin,sbin,lib,lib64}
  # Merged /usr, as the distributions have it, so that paths of /lib and /lib64 resolve.
  for name in bin sbin lib lib64; do ln -sfn "usr/$name" "$root/$name"; done
  apt-get -qq -y -d --no-install-recommends -o Dir::State::status="$work/no-packages" -o Debug::NoLocking=1 \
    -o Dir::Cache::archives="$debs" -o APT::Keep-Downloaded-Packages=true -o APT::Sandbox::User=root install "$@" </dev/null >/dev/null
  for name in $names; do
    dpkg-deb --fsys-tarfile "$debs/$name" | tar -x -C "$root" --keep-directory-symlink --no-same-owner
  done
  rm -rf "$root"/usr/share/{doc,man,locale,lintian,info,bug,bash-completion,menu,pixmaps,applications,doc-base,gcc}
  busybox_names "$root"
  accounts "$root"
}

busybox_names() { # the tools of an image's shell scripts and of people who look inside
  local tool
  [ -e "$1/usr/bin/busybox" ] || return 0
  for tool in sh ls cat echo sleep env wget nslookup nc ip ping id mkdir rmdir rm cp mv ln chmod chown touch head tail grep sed awk \
    kill ps test true false date du df find sort uniq wc tr cut xargs tar gzip gunzip sha256sum md5sum stat mktemp dirname basename readlink expr timeout vi; do
    [ -e "$1/usr/bin/$tool" ] || ln -s busybox "$1/usr/bin/$tool"
  done
}

accounts() {
  mkdir -p "$1"/{tmp,root,home,proc,sys,dev,run,var/tmp,etc}
  chmod 1777 "$1/tmp" "$1/var/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\ngantry:x:1000:1000::/home:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n' >"$1/etc/passwd"
  printf 'root:x:0:\ngantry:x:1000:\nnogroup:x:65534:\n' >"$1/etc/group"
  printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
  ln -sf /usr/share/zoneinfo/Etc/UTC "$1/etc/localtime" # Orthanc does not start without
  if [ -d "$1/usr/share/ca-certificates/mozilla" ]; then
    mkdir -p "$1/etc/ssl/certs"
    cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
  fi
}
