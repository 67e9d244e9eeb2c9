#!/usr/bin/env bash
# The integration tier: the service suite, the clients and the stories on real servers, then the faults. It installs Kafka,
# MinIO and versitygw into the user's cache the first time (scripts/servers), and Redis with apt.
#
# PENCHANT_TEST_LONG=1 runs the long variants: outages of minutes, abuse with gigabytes, the soak over 300,000 events.
set -euo pipefail
cd "$(dirname "$0")/.."

for server in kafka redis minio versitygw; do
  "scripts/servers/$server.sh" install
done
export PENCHANT_TEST_BINARY=$PWD/bin/penchant

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=()

# track NAME COMMAND...: runs beside other tracks; finish prints what it said.
track() {
  local name=$1
  shift
  ("$@" >"$logs/$name" 2>&1 && echo "== $name passed after $SECONDS s" >>"$logs/$name") &
  tracks[$name]=$!
}
finish() {
  local name
  for name in "${!tracks[@]}"; do
    if wait "${tracks[$name]}"; then
      grep -E '^(ok|---|==|[0-9]+ passed|.*in [0-9.]+s)' "$logs/$name" || true
    else
      failed+=("$name")
      cat "$logs/$name"
    fi
  done
  tracks=()
}
declare -A tracks=()

# The packages whose tests use Kafka, Redis or S3, one after the other, since they share the servers.
services=(./pkg/bus ./pkg/userstate ./pkg/blob ./pkg/archive ./pkg/catalog ./pkg/dataset ./pkg/modelstore
  ./services/control ./services/firehose ./services/recommender ./services/retrainer ./services/sessionupdater ./services/tracker)
track services scripts/servers/with-servers.sh go test -count=1 -p 1 "${services[@]}"
track clients scripts/servers/with-servers.sh .venv/bin/python -m pytest -q scripts/integration
finish

track cluster scripts/servers/with-servers.sh --redis-cluster go test -count=1 -p 1 ./pkg/userstate
track versitygw scripts/servers/with-servers.sh --s3 versitygw go test -count=1 -p 1 ./pkg/blob ./pkg/archive ./pkg/catalog
track stories scripts/servers/with-servers.sh go test -count=1 -timeout 20m -v -run 'TestStory|TestKill|TestRealServers|TestBadInput$|TestHTTPAbuse$' ./services/penchant
finish

track faults scripts/servers/with-servers.sh go test -count=1 -timeout 40m -v ./services/penchant/faults
finish

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
echo "the integration tier passed in $SECONDS s"
