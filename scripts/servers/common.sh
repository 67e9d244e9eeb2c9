# What the scripts of this folder share: a cache of installed servers, and processes that are known by their pid files.
# shellcheck shell=bash
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# Installed servers stand outside the checkout, so that a fresh clone finds them again.
cache=${PENCHANT_TEST_SERVERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penchant/servers}
mkdir -p "$cache"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# once NAME COMMAND...: runs the command unless it has succeeded before; of several callers at a time one does.
once() {
  local name=$1
  shift
  (
    flock 9
    [ -e "$cache/$name.done" ] && exit 0
    echo "installing $name" >&2
    "$@" >&2
    touch "$cache/$name.done"
  ) 9>"$cache/$name.lock"
}

# install_go MODULE@VERSION DIR [FLAGS...]: builds a server.
install_go() { GOFLAGS='' CGO_ENABLED=0 GOBIN=$2 go install "${@:3}" "$1"; }

# free_ports N: prints N ports that nothing listens on, below those that the system gives to outgoing connections: a server
# that is started again finds its port free. For an hour no port is printed again, nor given to a test (penchanttest.FreePort),
# so that servers that start beside each other have their own.
free_ports() {
  python3 - "$1" "${TMPDIR:-/tmp}/penchant-test-ports" <<'PY'
import fcntl, os, random, socket, sys, time
wanted, claims = int(sys.argv[1]), sys.argv[2]
os.makedirs(claims, exist_ok=True)
ports = []
while len(ports) < wanted:
    port = random.randrange(15000, 30000)
    with open(os.path.join(claims, str(port)), "a+") as claim, socket.socket() as s:
        claim.seek(0)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if float(claim.read() or 0) > time.time():
                continue
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        claim.truncate(0)
        claim.write(str(time.time() + 3600))
    ports.append(port)
print(*ports)
PY
}

running() { [ -e "$1.pid" ] && kill -0 "$(cat "$1.pid")" 2>/dev/null; }

# launch NAME COMMAND...: runs the command in the background, its pid in NAME.pid and what it says in NAME.log. It does not
# inherit the lock of once.
launch() {
  local name=$1
  shift
  setsid "$@" >>"$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$name.pid"
}

# await NAME COMMAND...: until the command succeeds, for a minute; the process has to stay.
await() {
  local name=$1
  shift
  for _ in $(seq 600); do
    "$@" >/dev/null 2>&1 && return
    running "$name" || { tail -n 40 "$name.log" >&2; fail "$(basename "$name") ended while it was starting"; }
    sleep 0.1
  done
  tail -n 40 "$name.log" >&2
  fail "$(basename "$name") is not ready after a minute"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# halt NAME: asks the process to end, and ends it after 20 seconds.
halt() {
  [ -e "$1.pid" ] || return 0
  local pid
  pid=$(cat "$1.pid")
  kill "$pid" 2>/dev/null || true
  kill -CONT "$pid" 2>/dev/null || true # a stopped process could not hear
  for _ in $(seq 200); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$1.pid"
}

# run install | start DIR … | stop DIR: what the scripts do with their arguments, dir being DIR's full path.
run() {
  local verb=${1:-}
  case $verb in
    install) shift ;;
    start | stop)
      [ $# -ge 2 ] || fail "$verb needs a folder"
      mkdir -p "$2"
      dir=$(cd "$2" && pwd)
      shift 2
      ;;
    *) fail "usage: install | start DIR | stop DIR" ;;
  esac
  "$verb" "$@"
}
