#!/usr/bin/env bash
# Runs a command beside real servers, whose addresses it is given as PENCHANT_TEST_… variables, and stops them when it ends.
#
#   with-servers.sh [--brokers N] [--redis-cluster] [--s3 minio|versitygw] COMMAND…
source "$(dirname "$0")/common.sh"

kafka=() redis=() s3=minio
while [ $# -gt 0 ]; do
  case $1 in
    --brokers) kafka=(--brokers "$2"); shift 2 ;;
    --redis-cluster) redis=(--cluster); shift ;;
    --s3) s3=$2; shift 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || fail "no command given"

dir=$(mktemp -d "${TMPDIR:-/tmp}/penchant-servers-XXXXXX")
stop() {
  "$here/kafka.sh" stop "$dir/kafka"
  "$here/redis.sh" stop "$dir/redis"
  "$here/$s3.sh" stop "$dir/s3"
  rm -rf "$dir"
}
trap stop EXIT

variables=$("$here/kafka.sh" start "$dir/kafka" "${kafka[@]}")
variables+=$'\n'$("$here/redis.sh" start "$dir/redis" "${redis[@]}")
variables+=$'\n'$("$here/$s3.sh" start "$dir/s3")
echo "$variables" >&2
while read -r variable; do
  export "${variable?}"
done <<<"$variables"
PENCHANT_TEST_REAL=1 "$@"
