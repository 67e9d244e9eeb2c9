#!/usr/bin/env bash
# Apache Kafka in KRaft mode, from Maven Central's jars.
#
#   kafka.sh install
#   kafka.sh start DIR [--brokers N] [--ports P1,P2,…] [--advertise P1,P2,…]
#       starts the brokers of DIR that do not run, and prints their addresses. A folder that was started before goes on
#       with its brokers, ports and data. --ports says where clients are listened to, --advertise which ports they are
#       told to use: of proxies in front of the brokers.
#   kafka.sh stop DIR
#
# The pid of broker N stands in DIR/broker-N.pid: a test kills and stops it, and start brings it back.
source "$(dirname "$0")/common.sh"

version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/kafka/pom.xml")
jars=$cache/kafka-$version
classes=$cache/kafka-$version.jsa

# A test's broker is short-lived: its start counts more than the last of its speed, and two cores are few.
java_options=(-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -XX:SharedArchiveFile="$classes"
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true -Djava.awt.headless=true)

kafka() { java "${java_options[@]}" -cp "$jars/*" "$@"; }
launch_broker() { launch "$dir/broker-$1" java "${java_options[@]}" -cp "$jars/*" kafka.Kafka "$dir/broker-$1.properties"; }

install() {
  command -v mvn >/dev/null || fail "Maven is needed to fetch Kafka's jars"
  once "kafka-$version" mvn -q -B -f "$here/kafka/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$jars" -DincludeScope=runtime
  once "kafka-$version-classes" archive_classes
}

# Runs a broker once to archive the classes that it has loaded: with them the next ones start in half the time. A JVM
# other than the one that made the archive does without it.
archive_classes() {
  local port pid
  dir=$(mktemp -d "${TMPDIR:-/tmp}/penchant-servers-XXXXXX") # in the subshell of once, whose exit takes it away
  trap 'halt "$dir/broker-1"; rm -rf "$dir"' EXIT
  port=$(free_ports 1)
  java_options=("${java_options[@]/-XX:SharedArchiveFile=*/-XX:ArchiveClassesAtExit=$classes.new}")
  configure 1 "$port" "$port"
  launch_broker 1
  await "$dir/broker-1" listens "$port"
  pid=$(<"$dir/broker-1.pid")
  kill "$pid"
  # The archive is written at the broker's exit, which takes some seconds.
  timeout 120 tail --pid="$pid" -f /dev/null && mv -f "$classes.new" "$classes" ||
    echo "no archive of classes: brokers will start more slowly" >&2
}

configure() {
  local brokers=$1 ports=$2 advertised=$3 internal controller voters="" replicas
  IFS=, read -ra ports <<<"$ports"
  IFS=, read -ra advertised <<<"$advertised"
  read -ra internal <<<"$(free_ports $((2 * brokers)))"
  controller=("${internal[@]:$brokers}")
  replicas=$((brokers < 3 ? brokers : 3))
  for ((n = 1; n <= brokers; n++)); do
    voters+=${voters:+,}$n@127.0.0.1:${controller[n - 1]}
  done
  for ((n = 1; n <= brokers; n++)); do
    cat >"$dir/broker-$n.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$n
controller.quorum.voters=$voters
listeners=CLIENT://127.0.0.1:${ports[n - 1]},INTERNAL://127.0.0.1:${internal[n - 1]},CONTROLLER://127.0.0.1:${controller[n - 1]}
advertised.listeners=CLIENT://127.0.0.1:${advertised[n - 1]},INTERNAL://127.0.0.1:${internal[n - 1]}
listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
log.dirs=$dir/data-$n
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$replicas
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Sizes for a test: small files, and segments that retention can take away.
log.segment.bytes=16777216
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=6000
PROPERTIES
    kafka kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAA -c "$dir/broker-$n.properties" >>"$dir/broker-$n.log" 2>&1 ||
      { tail "$dir/broker-$n.log" >&2; fail "formatting the storage of broker $n"; }
  done
  (IFS=, && echo "${ports[*]}") >"$dir/ports"
}

start() {
  local brokers=1 ports="" advertised=""
  while [ $# -gt 0 ]; do
    case $1 in
      --brokers) brokers=$2 ;;
      --ports) ports=$2 ;;
      --advertise) advertised=$2 ;;
      *) fail "unknown option $1" ;;
    esac
    shift 2
  done
  install
  mkdir -p "$dir"
  if [ ! -e "$dir/ports" ]; then
    ports=${ports:-$(free_ports "$brokers" | tr ' ' ,)}
    configure "$brokers" "$ports" "${advertised:-$ports}"
  fi
  local addresses="" n=0
  IFS=, read -ra ports <"$dir/ports"
  for port in "${ports[@]}"; do
    n=$((n + 1))
    running "$dir/broker-$n" || launch_broker "$n"
    addresses+=${addresses:+,}127.0.0.1:$port
  done
  n=0
  for port in "${ports[@]}"; do
    n=$((n + 1))
    await "$dir/broker-$n" listens "$port"
  done
  echo "PENCHANT_TEST_KAFKA_BROKERS=$addresses"
}

stop() {
  local pids=("$dir"/broker-*.pid)
  for pid in "${pids[@]}"; do
    halt "${pid%.pid}" &
  done
  wait
}

run "$@"
