#!/usr/bin/env bash
# Redis from Debian's packages.
#
#   redis.sh install
#   redis.sh start DIR [--cluster] [--port P] [--option 'NAME VALUE']…
#       starts the server of DIR, or a cluster of three masters, where it does not run, and prints its URL. A folder that
#       was started before goes on with its ports, options and data.
#   redis.sh stop DIR
#
# The pid of server N stands in DIR/redis-N.pid.
source "$(dirname "$0")/common.sh"

install() {
  (
    flock 9
    command -v redis-server >/dev/null && exit 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      fail "redis-server is not installed (on Debian: apt-get install redis-server)"
    echo "installing redis" >&2
    # At run level 1 Debian starts no server of its own.
    (apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server redis-tools) >/dev/null 2>&1 ||
      fail "installing redis-server failed"
  ) 9>"$cache/redis.lock"
}

start() {
  local cluster="" port="" options=()
  while [ $# -gt 0 ]; do
    case $1 in
      --cluster) cluster=yes; shift ;;
      --port) port=$2; shift 2 ;;
      --option) options+=("$2"); shift 2 ;;
      *) fail "unknown option $1" ;;
    esac
  done
  install
  local fresh=""
  if [ ! -e "$dir/ports" ]; then
    fresh=yes
    local ports=${port:-$(free_ports $((${cluster:+2} + 1)))} n=0
    for port in $ports; do
      n=$((n + 1))
      mkdir -p "$dir/data-$n"
      {
        echo "bind 127.0.0.1"
        echo "port $port"
        echo "dir $dir/data-$n"
        echo "appendonly yes"
        echo "appendfsync everysec"
        echo "maxmemory-policy noeviction"
        [ -z "$cluster" ] || printf 'cluster-enabled yes\ncluster-port %s\ncluster-node-timeout 2000\n' "$(free_ports 1)"
        printf '%s\n' "${options[@]}"
      } >"$dir/redis-$n.conf"
    done
    echo "$ports${cluster:+ cluster}" >"$dir/ports"
  fi
  local ports cluster n=0
  read -r ports <"$dir/ports"
  cluster=${ports#"${ports%cluster}"} ports=${ports%cluster}
  for port in $ports; do
    n=$((n + 1))
    running "$dir/redis-$n" || launch "$dir/redis-$n" redis-server "$dir/redis-$n.conf"
  done
  n=0
  for port in $ports; do
    n=$((n + 1))
    await "$dir/redis-$n" answers "$port"
  done
  if [ -n "$cluster" ]; then
    if [ -n "$fresh" ]; then
      # shellcheck disable=SC2046,SC2086
      redis-cli --cluster create $(printf '127.0.0.1:%s ' $ports) --cluster-yes >"$dir/create.log" || fail "making the cluster: $(tail -n 5 "$dir/create.log")"
    fi
    for port in $ports; do
      await "$dir/redis-1" cluster_ready "$port"
    done
  fi
  echo "PENCHANT_TEST_REDIS_URL=redis://127.0.0.1:${ports%% *}${cluster:+?cluster=true}"
}

# A server that loads its data answers LOADING.
answers() { [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ]; }
cluster_ready() { redis-cli -p "$1" cluster info | grep -q '^cluster_state:ok'; }

stop() {
  local pids=("$dir"/redis-*.pid)
  for pid in "${pids[@]}"; do
    halt "${pid%.pid}" &
  done
  wait
}

run "$@"
