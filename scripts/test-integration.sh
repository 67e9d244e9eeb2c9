#!/usr/bin/env bash
# The integration tier: the service suite, the clients, the stories and the faults on real servers. It installs Kafka, MinIO
# and versitygw into the user's cache the first time (scripts/servers), and Redis with apt.
#
# PENCHANT_TEST_LONG=1 runs the long variants: outages of minutes, abuse with gigabytes, the soak over 300,000 events.
set -euo pipefail
cd "$(dirname "$0")/.."

installs=()
for server in kafka redis minio; do
  "scripts/servers/$server.sh" install &
  installs+=($!)
done
for install in "${installs[@]}"; do
  wait "$install"
done
nice -n 19 scripts/servers/versitygw.sh install & # needed late, and the tracks before it mostly wait
export PENCHANT_TEST_BINARY=$PWD/bin/penchant

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=()

declare -A tracks=()

# track NAME COMMAND...: runs the command on servers of its own, beside other tracks, most of which wait most of the time.
track() {
  local name=$1
  shift
  (scripts/servers/with-servers.sh "$@" >"$logs/$name" 2>&1 && echo "== $name passed after $SECONDS s" >>"$logs/$name") &
  tracks[$name]=$!
}

# finish NAME...: waits for tracks, and prints what they said.
finish() {
  local name
  for name in "$@"; do
    if wait "${tracks[$name]}"; then
      grep -E '^(ok|---|==|[0-9]+ passed)' "$logs/$name" || true
    else
      failed+=("$name")
      cat "$logs/$name"
    fi
  done
}

go vet ./services/penchant/... # builds what the tracks share before they start
faults=(go test -count=1 -timeout 40m -v ./services/penchant/faults)
track faults-a "${faults[@]}" -run '^Test[A-M]'
track faults-b "${faults[@]}" -run '^Test[N-Z]'

# The packages whose tests use Kafka, Redis or S3, one after the other, since they share the servers.
suite=(go test -count=1 -p 1)
track services "${suite[@]}" ./pkg/bus ./pkg/userstate ./pkg/blob ./pkg/archive ./pkg/catalog ./pkg/dataset ./pkg/modelstore \
  ./services/control ./services/firehose ./services/recommender ./services/retrainer ./services/sessionupdater ./services/tracker
finish services
operations=(scripts/integration/test_operations.py scripts/integration/test_samples.py)
track clients .venv/bin/python -m pytest -q scripts/integration "${operations[@]/#/--ignore=}"
track cluster --redis-cluster "${suite[@]}" ./pkg/userstate
finish clients cluster
track operations .venv/bin/python -m pytest -q "${operations[@]}"
track versitygw --s3 versitygw "${suite[@]}" ./pkg/blob ./pkg/archive ./pkg/catalog
track stories go test -count=1 -timeout 20m -v -run 'TestStory|TestKill|TestRealServers|TestBadInput$|TestHTTPAbuse$' ./services/penchant
finish operations versitygw stories faults-a faults-b

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
echo "the integration tier passed in $SECONDS s"
