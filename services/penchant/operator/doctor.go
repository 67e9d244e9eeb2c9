package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// Grade is the severity of a finding.
type Grade string

// The grades of findings.
const (
	OK Grade = "ok"
	// Warning: it works, but a fault that may come would cost more than it should.
	Warning Grade = "warning"
	// Failure: something does not work, or data are at risk now.
	Failed Grade = "failure"
)

// Finding is one line of a diagnosis.
type Finding struct {
	// Area is settings, kafka, topics, consumers, redis, s3, archive or deadletters.
	Area  string `json:"area"`
	Grade Grade  `json:"grade"`
	What  string `json:"what"`
	// Fix is the remedy; empty if all is well.
	Fix string `json:"fix,omitempty"`
}

// Diagnosis holds the doctor's findings.
type Diagnosis struct {
	Findings []Finding `json:"findings"`
}

// Count is the number of findings of a grade.
func (d *Diagnosis) Count(grade Grade) (n int) {
	for _, f := range d.Findings {
		if f.Grade == grade {
			n++
		}
	}
	return n
}

// Page is the diagnosis for people.
func (d *Diagnosis) Page() string {
	var page strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&page, "%-8s %-11s %s\n", f.Grade, f.Area, f.What)
		if f.Fix != "" {
			fmt.Fprintf(&page, "%21sfix: %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&page, "%d ok, %d warnings, %d failures\n", d.Count(OK), d.Count(Warning), d.Count(Failed))
	return page.String()
}

// Limits beyond which the doctor warns, or calls it a failure.
const (
	// skewWarning is where clocks are worth a look; skewFailure is the lease of a job: a worker whose clock is ahead by
	// that takes over jobs that are being done.
	skewWarning, skewFailure = 5 * time.Second, 30 * time.Second
	oldestKafka, oldestRedis = 3, 7
	// listed bounds the findings of one kind.
	listed = 5
	// manyBehind is a lag that a consumer at work does not have for long.
	manyBehind = 100_000
)

// doctor gathers findings.
type doctor struct {
	*Installation
	Diagnosis
	groups []*catalog.DatasetGroup // nil while the bucket does not answer
}

// Doctor checks settings, servers, topics, consumers and the archive against what Penchant relies on. The error is
// ErrProblems when there is a failure.
func (i *Installation) Doctor(ctx context.Context) (*Diagnosis, error) {
	d := &doctor{Installation: i}
	d.settings()
	hasBucket := d.bucketChecks(ctx)
	if hasBucket {
		d.readGroups(ctx)
	}
	if d.reach(ctx, kafka) {
		d.brokers(ctx)
		d.topicChecks(ctx)
		d.consumers(ctx)
	}
	if d.reach(ctx, redis) {
		d.redisChecks(ctx)
	}
	if hasBucket {
		d.archiveChecks(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if failures := d.Count(Failed); failures > 0 {
		return &d.Diagnosis, fmt.Errorf("%w: %d failures", ErrProblems, failures)
	}
	return &d.Diagnosis, nil
}

func (d *doctor) ok(area, format string, args ...any) {
	d.Findings = append(d.Findings, Finding{area, OK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(area, what, fix string) {
	d.Findings = append(d.Findings, Finding{area, Warning, what, fix})
}

func (d *doctor) fail(area, what, fix string) {
	d.Findings = append(d.Findings, Finding{area, Failed, what, fix})
}

// check adds a failure for an error that a question met, and reports whether there was none.
func (d *doctor) check(area string, err error) bool {
	if err != nil {
		d.fail(area, err.Error(), "see whether the server is healthy, and whether this user may ask")
	}
	return err == nil
}

func (d *doctor) settings() {
	topics := d.config.Topics
	switch {
	case topics.ReplicationFactor > 0 && topics.MinInSyncReplicas > int(topics.ReplicationFactor):
		d.fail("settings", fmt.Sprintf("new topics get %d replicas, of which %d must be in sync: nothing could ever be written", topics.ReplicationFactor, topics.MinInSyncReplicas),
			"set PENCHANT_TOPIC_MIN_INSYNC_REPLICAS below PENCHANT_TOPIC_REPLICATION_FACTOR")
	case topics.ReplicationFactor > 1 && topics.MinInSyncReplicas == int(topics.ReplicationFactor):
		d.warn("settings", fmt.Sprintf("new topics get %d replicas, all of which must be in sync: one broker away stops all writes", topics.ReplicationFactor),
			"set PENCHANT_TOPIC_MIN_INSYNC_REPLICAS to one less than PENCHANT_TOPIC_REPLICATION_FACTOR")
	}
	if d.config.DefaultKeys && len(d.config.Embedded) < len(settingOf) {
		d.warn("settings", "the API takes the key pair that everyone knows from the README",
			"set PENCHANT_ACCESS_KEYS (or PENCHANT_ACCESS_KEYS_FILE)")
	}
	if ttl, retention := d.config.Users.TTL, d.config.Topics.RetentionTime; ttl > 0 && ttl < retention {
		d.fail("settings", fmt.Sprintf("users are forgotten after %s, but the log is kept for %s: a replay of the log would bring them back as strangers", ttl, retention),
			fmt.Sprintf("set PENCHANT_USER_TTL to at least %s", retention))
	}
	if d.Count(OK) == len(d.Findings) {
		d.ok("settings", "can be used together")
	}
}

// reach reports whether a server is known and answers.
func (d *doctor) reach(ctx context.Context, server string) bool {
	err := d.ping(ctx, server)
	switch {
	case err == nil:
		return true
	case d.known(server) && errors.Is(err, blob.ErrAccessDenied):
		d.fail(server, err.Error(), "set PENCHANT_S3_ACCESS_KEY and PENCHANT_S3_SECRET_KEY to a pair that may read and write the bucket")
	case d.known(server):
		d.fail(server, err.Error(), "start the server, or correct "+settingOf[server])
	default:
		d.fail(server, "its address is not known, and no penchant all with this --data-dir has ever written one",
			"set "+settingOf[server]+", or start penchant all")
	}
	return false
}

func (d *doctor) known(server string) bool {
	return map[string]bool{kafka: d.bus != nil, redis: d.users != nil, s3: d.bucket != nil}[server]
}

// skew judges how far a server's clock is ahead of this machine's.
func (d *doctor) skew(area, whose string, skew time.Duration) {
	text := fmt.Sprintf("the clock of %s differs from this machine's by %s", whose, skew.Round(time.Millisecond))
	const fix = "synchronise the clocks (NTP) of this machine and the server"
	switch skew = skew.Abs(); {
	case skew > skewFailure:
		d.fail(area, text, fix)
	case skew > skewWarning:
		d.warn(area, text, fix)
	default:
		d.ok(area, "%s", text)
	}
}

func (d *doctor) bucketChecks(ctx context.Context) bool {
	if !d.reach(ctx, s3) {
		return false
	}
	switch err := d.bucket.Probe(ctx); {
	case errors.Is(err, blob.ErrNotFound):
		d.fail(s3, fmt.Sprintf("there is no bucket %s", d.bucket.Name()),
			"start a target whose keys may create it, create it yourself, or correct PENCHANT_BUCKET")
		return false
	case errors.Is(err, blob.ErrAccessDenied):
		d.fail(s3, fmt.Sprintf("the bucket %s cannot be written: %v", d.bucket.Name(), err),
			"let the access key read, write, list and delete there")
	case err != nil:
		d.fail(s3, err.Error(), "use a store that honours If-None-Match: * and If-Match on PUT: archive and catalog are not safe on another")
	default:
		d.ok(s3, "bucket %s at %s is writable, and the store honours If-None-Match and If-Match", d.bucket.Name(),
			d.config.S3.Endpoint)
	}
	if skew, err := d.objects.Skew(ctx); d.check(s3, err) {
		d.skew(s3, "the store", skew)
	}
	return true
}

func (d *doctor) readGroups(ctx context.Context) {
	groups, err := d.Installation.groups(ctx, "")
	if !d.check(s3, err) {
		return
	}
	d.groups = groups
	d.ok(s3, "the catalog can be read: %d dataset groups", len(groups))
}

func (d *doctor) brokers(ctx context.Context) {
	cluster, err := d.bus.Cluster(ctx)
	if !d.check(kafka, err) {
		return
	}
	// The version is a guess from what the brokers can do; one that is no single release is ignored.
	if release := major(cluster.Version); strings.HasPrefix(cluster.Version, "v") && release < oldestKafka {
		d.fail(kafka, fmt.Sprintf("the brokers are of Kafka %s", cluster.Version),
			fmt.Sprintf("use Kafka %d.0 or newer", oldestKafka))
	} else if d.embeds(kafka) {
		d.ok(kafka, "the embedded broker answers at %s", strings.Join(cluster.Brokers, ", "))
	} else {
		d.ok(kafka, "%d brokers answer (abilities of Kafka %s): %s", len(cluster.Brokers), cluster.Version,
			strings.Join(cluster.Brokers, ", "))
	}
	if wanted := int(d.config.Topics.ReplicationFactor); wanted > len(cluster.Brokers) {
		d.fail(kafka, fmt.Sprintf("new topics shall have %d replicas, but there are %d brokers: no dataset group can be created", wanted, len(cluster.Brokers)),
			fmt.Sprintf("add brokers, or set PENCHANT_TOPIC_REPLICATION_FACTOR=%d and PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=%d", len(cluster.Brokers), max(1, len(cluster.Brokers)-1)))
	}
	topics, err := d.topics(ctx, "", "")
	if !d.check(kafka, err) {
		return
	}
	newest, err := d.bus.NewestArrivals(ctx, topics...)
	if !d.check(kafka, err) {
		return
	}
	// The log has the times of records, not the current time: only a clock that is ahead can be noticed.
	var ahead time.Duration
	for _, at := range newest {
		ahead = max(ahead, time.Until(at))
	}
	d.skew(kafka, "the brokers, where the newest records show it,", ahead)
}

// major reads the first number of a version such as "v3.7" or "7.0.15"; 0: there is none.
func major(version string) int {
	digits := strings.TrimLeftFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

func (d *doctor) topicChecks(ctx context.Context) {
	const area = "topics"
	if d.groups != nil {
		missing, err := d.missingTopics(ctx)
		if d.check(area, err) && len(missing) > 0 {
			var names []string
			for _, spec := range missing {
				names = append(names, spec.Name)
			}
			d.fail(area, "missing: "+strings.Join(names, ", "),
				"penchant topics create; where a Kafka cluster was lost or replaced, then penchant archive replay, see docs/operations.md")
		}
	}
	names, err := d.topics(ctx, "", "")
	if !d.check(area, err) {
		return
	}
	states, err := d.bus.TopicStates(ctx, names...)
	if !d.check(area, err) {
		return
	}
	cluster, err := d.bus.Cluster(ctx)
	if !d.check(area, err) {
		return
	}
	before := len(d.Findings)
	for _, name := range slices.Sorted(maps.Keys(states)) {
		d.topic(name, states[name], len(cluster.Brokers))
	}
	if len(d.Findings) == before {
		d.ok(area, "%d topics have the settings that Penchant relies on, and all their replicas", len(states))
	}
}

// topicsArea is the area of the findings about topics.
const topicsArea = "topics"

func (d *doctor) topic(name string, state bus.TopicState, brokers int) {
	d.topicConfig(name, state.Config)
	if inSync, err := strconv.Atoi(state.Config["min.insync.replicas"]); err == nil {
		d.minInSync(name, state, inSync)
	}
	d.replicas(name, state, brokers)
}

// alterTopic is the command that changes a setting of a topic.
func alterTopic(name, setting string) string {
	return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s", name, setting)
}

// topicConfig checks what a topic keeps, and by which time.
func (d *doctor) topicConfig(name string, config map[string]string) {
	if got := config["message.timestamp.type"]; got != "" && got != "LogAppendTime" {
		d.fail(topicsArea, fmt.Sprintf("%s has message.timestamp.type %s: arrival times, and what is expired by them, "+
			"are set by the producers", name, got), alterTopic(name, "message.timestamp.type=LogAppendTime"))
	}
	t, ofData := schema.TypeOfTopic(name)
	switch policy := config["cleanup.policy"]; {
	case !ofData:
	case t.IsInteractions() && strings.Contains(policy, "compact"):
		d.fail(topicsArea, fmt.Sprintf("%s is compacted (cleanup.policy %s): a user's older events are deleted before "+
			"they are archived", name, policy), alterTopic(name, "cleanup.policy=delete"))
	case !t.IsInteractions() && policy == "delete":
		d.warn(topicsArea, fmt.Sprintf("%s is not compacted (cleanup.policy delete): other consumers lose items, users or "+
			"actions that were put long ago", name), alterTopic(name, "cleanup.policy=compact"))
	}
}

// minInSync checks how many replicas must have an event before it is acknowledged.
func (d *doctor) minInSync(name string, state bus.TopicState, inSync int) {
	alter := func(n int) string { return alterTopic(name, fmt.Sprintf("min.insync.replicas=%d", n)) }
	switch {
	case inSync > state.Replicas:
		d.fail(topicsArea, fmt.Sprintf("%s has %d replicas and min.insync.replicas %d: nothing can be written", name,
			state.Replicas, inSync), alter(max(1, state.Replicas-1)))
	case inSync > state.InSync:
		d.fail(topicsArea, fmt.Sprintf("%s has a partition with %d replicas in sync, min.insync.replicas is %d: it takes "+
			"no events (503)", name, state.InSync, inSync), "bring the missing brokers back")
	case inSync == state.Replicas && state.Replicas > 1:
		d.warn(topicsArea, fmt.Sprintf("%s has as many min.insync.replicas as replicas (%d): one broker away stops its "+
			"writes", name, inSync), alter(inSync-1))
	case inSync == 1 && state.Replicas > 1:
		d.warn(topicsArea, fmt.Sprintf("%s has min.insync.replicas 1: an acknowledged event may be lost with one broker",
			name), alter(2))
	}
}

// replicas checks the copies that a topic has.
func (d *doctor) replicas(name string, state bus.TopicState, brokers int) {
	switch {
	case state.Leaderless > 0:
		d.fail(topicsArea, fmt.Sprintf("%s has %d partitions without a leader", name, state.Leaderless),
			"bring the missing brokers back")
	case state.InSync < state.Replicas:
		d.warn(topicsArea, fmt.Sprintf("%s has a partition with %d of %d replicas in sync", name, state.InSync,
			state.Replicas), "bring the missing brokers back")
	case state.Replicas == 1 && !d.embeds(kafka):
		fix := fmt.Sprintf("reassign its partitions to several of the %d brokers (kafka-reassign-partitions.sh)",
			brokers)
		if brokers == 1 {
			fix = "run at least three brokers"
		}
		d.warn(topicsArea, name+" has one replica: with its broker's disk, events that are not archived yet are gone", fix)
	}
}

func (d *doctor) consumers(ctx context.Context) {
	const area = "consumers"
	if d.groups != nil && !slices.ContainsFunc(d.groups,
		func(g *catalog.DatasetGroup) bool { return g.Status == status.Active }) {
		return // nobody has anything to consume yet
	}
	states, err := d.bus.Groups(ctx)
	if !d.check(area, err) {
		return
	}
	lags, err := d.Lag(ctx, LagFilter{})
	if !d.check(area, err) {
		return
	}
	for _, consumer := range []struct{ group, target, lost string }{
		{firehose.ConsumerGroup, "firehose",
			"the log has deleted them before they were archived: they are gone, and the archive will say so"},
		{sessionupdater.ConsumerGroup, "session-updater",
			"the log has deleted them before they were folded: it takes them from the archive"},
	} {
		var behind, lost int64
		for _, p := range lags.Partitions {
			if p.ConsumerGroup == consumer.group {
				behind += p.Lag
				lost += p.Lost
			}
		}
		switch state := states[consumer.group]; {
		case state == "" || state == "Empty" || state == "Dead":
			d.fail(area, fmt.Sprintf("no %s is at work; %d records wait for it", consumer.target, behind),
				"start penchant "+consumer.target+" (or penchant all)")
		case lost > 0 && consumer.group == firehose.ConsumerGroup:
			d.fail(area, fmt.Sprintf("the %s has not read %d records, and %s", consumer.target, lost, consumer.lost),
				"run more of it, and give the topics more retention")
		case lost > 0:
			d.warn(area, fmt.Sprintf("the %s has not read %d records, and %s", consumer.target, lost, consumer.lost),
				"run more of it, and give the topics more retention")
		case behind > manyBehind:
			d.warn(area, fmt.Sprintf("the %s is %d records behind", consumer.target, behind),
				"look at its log; run more of it if it only is too slow (penchant topics lag)")
		default:
			d.ok(area, "the %s is at work, %d records behind", consumer.target, behind)
		}
	}
}

func (d *doctor) redisChecks(ctx context.Context) {
	servers, err := d.users.Servers(ctx)
	if !d.check(redis, err) {
		return
	}
	for _, server := range servers {
		if d.embeds(redis) {
			d.ok(redis, "the embedded server answers: %d keys, saved to a snapshot", server.Keys)
			d.skew(redis, server.Addr, server.Skew)
			continue
		}
		switch release := major(server.Version); {
		case server.Version == "":
			d.warn(redis, server.Addr+" does not tell its version",
				fmt.Sprintf("see that it is Redis %d.0 or newer, and let this user call INFO", oldestRedis))
		case release < oldestRedis:
			d.fail(redis, fmt.Sprintf("%s is Redis %s", server.Addr, server.Version),
				fmt.Sprintf("use Redis %d.0 or newer", oldestRedis))
		default:
			d.ok(redis, "%s is Redis %s: %d keys in %s", server.Addr, server.Version, server.Keys,
				byteCount(server.UsedMemory))
		}
		if server.MaxMemory > 0 && server.UsedMemory > server.MaxMemory/10*9 {
			d.warn(redis, fmt.Sprintf("%s uses %s of its maxmemory of %s: beyond it, it refuses writes, and events wait in the log", server.Addr, byteCount(server.UsedMemory), byteCount(server.MaxMemory)),
				"raise maxmemory, keep less for each user (PENCHANT_USER_HISTORY), or forget idle ones (PENCHANT_USER_TTL)")
		}
		switch {
		case server.Appends == "0":
			d.warn(redis, server.Addr+" keeps no append-only file: after a crash all its users are folded again, which takes time", "set appendonly yes and appendfsync everysec")
		case server.AppendFsync == "no":
			d.warn(redis, server.Addr+" has appendfsync no: after a crash more users than needed are folded again",
				"set appendfsync everysec")
		}
		d.skew(redis, server.Addr, server.Skew)
	}
	if err := d.users.CheckPolicy(ctx); errors.Is(err, userstate.ErrEvicts) {
		d.fail(redis, err.Error(), "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or the managed server's parameters; targets refuse to start before")
	} else if d.check(redis, err) {
		d.ok(redis, "no server evicts users (maxmemory-policy noeviction)")
	}
}

func (d *doctor) archiveChecks(ctx context.Context) {
	const area = "archive"
	for _, group := range d.groups {
		key := group.GroupKey()
		report, err := archive.Survey(ctx, d.bucket, key)
		if !d.check(area, err) {
			continue
		}
		for k, p := range report.Problems {
			if k == listed {
				d.fail(area, fmt.Sprintf("%s has %d more problems", key, len(report.Problems)-listed),
					"penchant archive verify --dataset-group "+group.Name)
				break
			}
			d.fail(area, fmt.Sprintf("%s: %s: %s", p.What, p.Key, p.Detail),
				"restore the object from a backup or the bucket's versions; see docs/operations.md")
		}
		for k, g := range report.Gaps {
			if k == listed {
				d.warn(area, fmt.Sprintf("%s has %d more gaps", key, len(report.Gaps)-listed),
					"penchant archive verify --dataset-group "+group.Name)
				break
			}
			d.warn(area, fmt.Sprintf("%s lacks the offsets %d to %d for ever: %s", g.Chain.Prefix(), g.First, g.Last,
				g.Reason),
				"nothing brings them back; see that the firehose keeps up with the topics' retention")
		}
		if len(report.Problems)+len(report.Gaps) == 0 {
			d.ok(area, "%s: %d files of %d chains follow each other without a hole", key, report.Files, report.Chains)
		}
		if d.bus != nil {
			d.beyondTheLog(ctx, key)
			d.letters(ctx, group)
		}
	}
}

// beyondTheLog looks for chains that go further than the log: then Kafka has lost records, and gives their offsets to
// others.
func (d *doctor) beyondTheLog(ctx context.Context, key string) {
	const area = "archive"
	var names []string
	for _, t := range schema.Types() {
		names = append(names, t.Topic(key))
	}
	chains, err := archive.Chains(ctx, d.bucket, key)
	var corrupt *archive.CorruptError
	if errors.As(err, &corrupt) {
		return // the survey has named it
	}
	if !d.check(area, err) {
		return
	}
	existing, err := d.bus.Topics(ctx, names...)
	if err != nil {
		return // reported with the topics
	}
	held, err := d.bus.Offsets(ctx, slices.Collect(maps.Keys(existing))...)
	if err != nil {
		return
	}
	for _, chain := range chains {
		topic := chain.ID.Type.Topic(key)
		place := bus.TopicPartition{Topic: topic, Partition: chain.ID.Partition}
		if existing[topic].ID != chain.ID.TopicID {
			continue // a topic that is gone
		}
		if end := held[place].End; chain.Next > end {
			d.fail(area, fmt.Sprintf("%s goes up to offset %d, but the log of %s, partition %d, ends at %d: Kafka has lost records", chain.ID.Prefix(), chain.Next-1, topic, chain.ID.Partition, end),
				"delete the topic, run penchant topics create, and penchant archive replay: see docs/operations.md")
		}
	}
}

func (d *doctor) letters(ctx context.Context, group *catalog.DatasetGroup) {
	letters, err := d.deadLetters(ctx, group)
	if err != nil {
		return // reported with the topics
	}
	waiting := 0
	for _, l := range letters.Records {
		if l.Replayed == nil {
			waiting++
		}
	}
	if waiting > 0 {
		d.warn("deadletters", fmt.Sprintf("%s has %d records that could not be handled", group.GroupKey(), waiting),
			"penchant dlq list --dataset-group "+group.Name)
	}
}
