#!/bin/sh
# Puts ngtcp2's client and an nginx that speaks HTTP/3 into a folder, from a newer Debian, and
# installs nothing: sh bench/http3/programs.sh FOLDER [SUITE]
#
# Asks the mirror that apt asks here already. Then: python -m bench.http3 --programs FOLDER/root
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
suite=${2:-trixie}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | grep -v security | head -n 1)
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/root"
: > "$folder/status"
echo "deb [signed-by=$keyring] $mirror $suite main" > "$folder/sources.list"
cat > "$folder/apt.conf" <<EOF
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
EOF
export APT_CONFIG="$folder/apt.conf"
apt-get -q update
apt-get -q install -y --download-only --no-install-recommends ngtcp2-client nginx
for package in "$folder"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
done
