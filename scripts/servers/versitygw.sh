#!/usr/bin/env bash
# versitygw, the second S3, as a server of its own: the version that Penchant embeds.
#
#   versitygw.sh install
#   versitygw.sh start DIR [--port P]
#       starts the server of DIR where it does not run, and prints its address. A folder that was started before goes on
#       with its port and data.
#   versitygw.sh stop DIR
#
# The pid stands in DIR/versitygw.pid.
source "$(dirname "$0")/common.sh"

version=$(sed -n 's:^\s*github.com/versity/versitygw \(v[^ ]*\).*:\1:p' "$root/go.mod")
binary=$cache/versitygw-$version/versitygw

# Not optimised, as few tests use it: that takes half the time. The standard library stands in the build cache as the product's
# build left it.
install() {
  once "versitygw-$version" install_go "github.com/versity/versitygw/cmd/versitygw@$version" "$cache/versitygw-$version" \
    -ldflags='-s -w' -gcflags='all=-N -l -dwarf=false' -gcflags='std='
}

start() {
  local port="" metadata=()
  while [ $# -gt 0 ]; do
    case $1 in
      --port) port=$2; shift 2 ;;
      *) fail "unknown option $1" ;;
    esac
  done
  install
  mkdir -p "$dir/data"
  [ -e "$dir/port" ] || echo "${port:-$(free_ports 1)}" >"$dir/port"
  port=$(<"$dir/port")
  # Where the file system has no extended attributes, metadata stands in files beside the data.
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.try", b"1"); os.removexattr(sys.argv[1], "user.try")' "$dir/data" 2>/dev/null || {
    mkdir -p "$dir/metadata"
    metadata=(--sidecar "$dir/metadata")
  }
  running "$dir/versitygw" ||
    launch "$dir/versitygw" "$binary" --access store --secret store-secret --region us-east-1 --port "127.0.0.1:$port" --health /health --quiet \
      posix "${metadata[@]}" "$dir/data"
  await "$dir/versitygw" curl -fsS "http://127.0.0.1:$port/health"
  echo "PENCHANT_TEST_S3_ENDPOINT=http://127.0.0.1:$port"
  echo "PENCHANT_TEST_S3_ACCESS_KEY=store"
  echo "PENCHANT_TEST_S3_SECRET_KEY=store-secret"
}

stop() { halt "$dir/versitygw"; }

run "$@"
