#!/usr/bin/env bash
# MinIO, built from its Go module: a minute or two the first time. It is run, never linked: its licence is the AGPL.
#
#   minio.sh install
#   minio.sh start DIR [--port P]
#       starts the server of DIR where it does not run, and prints its address. A folder that was started before goes on
#       with its port and data.
#   minio.sh stop DIR
#
# The pid stands in DIR/minio.pid.
source "$(dirname "$0")/common.sh"

version=v0.0.0-20260212201848-7aac2a2c5b7c
binary=$cache/minio-$version/minio

# Optimised where it works with data, and nowhere else: that takes three quarters of the time. The standard library stands in
# the build cache as the product's build left it.
install() {
  local quick='-dwarf=false'
  once "minio-$version" install_go "github.com/minio/minio@$version" "$cache/minio-$version" -ldflags='-s -w' \
    -gcflags="all=-N -l $quick" -gcflags='std=' -gcflags="github.com/minio/...=$quick" \
    -gcflags="github.com/klauspost/...=$quick" -gcflags="github.com/tinylib/...=$quick"
}

start() {
  local port=""
  while [ $# -gt 0 ]; do
    case $1 in
      --port) port=$2; shift 2 ;;
      *) fail "unknown option $1" ;;
    esac
  done
  install
  [ -e "$dir/port" ] || echo "${port:-$(free_ports 1)}" >"$dir/port"
  port=$(<"$dir/port")
  running "$dir/minio" ||
    launch "$dir/minio" env MINIO_ROOT_USER=store MINIO_ROOT_PASSWORD=store-secret MINIO_BROWSER=off MINIO_UPDATE=off \
      "$binary" server --quiet --address "127.0.0.1:$port" "$dir/data"
  await "$dir/minio" curl -fsS "http://127.0.0.1:$port/minio/health/ready"
  echo "PENCHANT_TEST_S3_ENDPOINT=http://127.0.0.1:$port"
  echo "PENCHANT_TEST_S3_ACCESS_KEY=store"
  echo "PENCHANT_TEST_S3_SECRET_KEY=store-secret"
}

stop() { halt "$dir/minio"; }

run "$@"
