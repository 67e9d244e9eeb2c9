#!/usr/bin/env bash
# The integration tier: the service suite, the clients, the stories and the faults on real servers. make test-integration calls
# it when the binary is built and the servers are installed.
#
# PENCHANT_TEST_LONG=1 runs the long variants: outages of minutes, abuse with gigabytes, the soak over 300,000 events.
set -euo pipefail
cd "$(dirname "$0")/.."

GOGC=300 nice -n 19 scripts/servers/versitygw.sh install & # needed late, and the tests before it mostly wait
export PENCHANT_TEST_BINARY=$PWD/bin/penchant

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
GOGC=300 go test -c -o "$logs/faults.test" ./services/penchant/faults # which also builds what the lanes share before they start

# on_servers NAME [SERVERS' OPTIONS] COMMAND...: runs the command on servers of its own, and says what came of it.
on_servers() {
  local name=$1
  shift
  if scripts/servers/with-servers.sh "$@" >"$logs/$name" 2>&1; then
    grep -E '^(ok|---|[0-9]+ passed)' "$logs/$name" || true
    echo "== $name passed after $SECONDS s"
  else
    cat "$logs/$name"
    echo "== $name failed after $SECONDS s"
    touch "$logs/failed.$name"
  fi
}

faults=(env -C services/penchant/faults "$logs/faults.test" -test.timeout 40m -test.v)
# The packages whose tests use Kafka, Redis or S3, one after the other, since they share the servers. Vetting them is the
# linter's.
suite=(go test -vet=off -count=1 -p 1)
operations=(scripts/integration/test_operations.py scripts/integration/test_samples.py)

# Lanes run beside each other: their tests mostly wait. On two cores more of them are no faster.
{
  on_servers faults-a "${faults[@]}" -test.run '^Test[A-M]'
  on_servers cluster --redis-cluster "${suite[@]}" ./pkg/userstate
  on_servers versitygw --s3 versitygw "${suite[@]}" ./pkg/blob ./pkg/archive ./pkg/catalog
} &
lanes=($!)
{
  on_servers faults-b "${faults[@]}" -test.run '^Test[N-Z]'
  on_servers stories go test -vet=off -count=1 -timeout 20m -v -run 'TestStory|TestKill|TestRealServers|TestBadInput$|TestHTTPAbuse$' ./services/penchant/e2e
} &
lanes+=($!)
{
  on_servers services "${suite[@]}" ./pkg/bus ./pkg/userstate ./pkg/blob ./pkg/archive ./pkg/catalog ./pkg/dataset ./pkg/modelstore \
    ./services/control ./services/firehose ./services/recommender ./services/retrainer/... ./services/sessionupdater ./services/tracker
} &
lanes+=($!)
{
  on_servers clients .venv/bin/python -m pytest -q scripts/integration "${operations[@]/#/--ignore=}"
  on_servers operations .venv/bin/python -m pytest -q "${operations[@]}"
} &
lanes+=($!)
for lane in "${lanes[@]}"; do
  wait "$lane" || touch "$logs/failed.lane"
done

if compgen -G "$logs/failed.*" >/dev/null; then
  exit 1
fi
echo "the integration tier passed in $SECONDS s"
