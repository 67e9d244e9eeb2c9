#!/usr/bin/env bash
# Runs the benchmarks whose figures stand in docs/benchmarks.md. Machines differ and are shared: compare within a run.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -run '^$' -bench . -benchmem ./pkg/... ./services/tracker ./services/recommender
go test -run '^$' -bench PutEvents -benchtime 20000x ./services/penchant/e2e
go test -run '^$' -bench 'MovieLens' -benchtime 1x ./services/penchant/e2e
