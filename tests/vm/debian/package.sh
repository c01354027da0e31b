#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# package.sh - builds the Debian packages, from a copy of the sources.
#
#   package.sh FOLDER [VERSION]
#
# FOLDER gets the packages; VERSION in the place of the changelog's.
set -euo pipefail
shopt -s inherit_errexit

(($# == 1 || $# == 2)) || { echo "usage: package.sh FOLDER [VERSION]" >&2; exit 2; }
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
source=$folder/vfio-cused
rm -rf "$source"
mkdir "$source"
cp -a "$top"/{CMakeLists.txt,LICENSE,README.md,backends,daemon,debian,include,systemd} "$source"
(($# == 1)) || sed -i "1s/(.*)/($2)/" "$source/debian/changelog"
cd "$source"
dpkg-buildpackage -b -us -uc -ui >"$folder/build.log" 2>&1 || {
	tail -n 60 "$folder/build.log"
	exit 1
}
rm -rf "$source"
