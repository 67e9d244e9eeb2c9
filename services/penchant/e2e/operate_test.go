package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/control"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// installation is a running `penchant all` that operator's commands are about.
type installation struct {
	*penchanttest.Process
	t testing.TB
}

// withoutSettings leaves the settings out of an environment.
func withoutSettings(environment []string) []string {
	return slices.DeleteFunc(environment, func(pair string) bool { return strings.HasPrefix(pair, "PENCHANT_") })
}

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// command runs penchant with the arguments, in the data folder of the process that it is about.
func command(t testing.TB, dataDir string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), penchanttest.Binary(t), append(args, "--data-dir", dataDir)...)
	c.Env, c.Stdout, c.Stderr = withoutSettings(os.Environ()), &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// penchant runs an operator's command about the process and wants the exit code.
func (c *installation) penchant(code int, args ...string) outcome {
	c.t.Helper()
	a := command(c.t, c.DataDir, args...)
	if a.code != code {
		c.t.Fatalf("penchant %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), a.code, code, a.stdout,
			a.stderr)
	}
	return a
}

// decoded runs penchant with -o json and returns what it prints.
func decoded[R any](c *installation, code int, args ...string) (r R) {
	c.t.Helper()
	a := c.penchant(code, append(args, "-o", "json")...)
	decoder := json.NewDecoder(strings.NewReader(a.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		c.t.Fatalf("penchant %s: %v\n%s", strings.Join(args, " "), err, a.stdout)
	}
	return r
}

// putEvents accepts count events of ada's with ids from event-<first> on.
func (c *installation) putEvents(trackingID string, first, count int) {
	c.t.Helper()
	for n := first; n < first+count; n++ {
		err := c.API().Post(c.t.Context(), "/events", &personalizeevents.PutEventsRequest{
			TrackingId: &trackingID, UserId: new("ada"), SessionId: new("s"), EventList: []personalizeevents.Event{{
				EventId: new(fmt.Sprintf("event-%03d", n)), EventType: new("view"),
				ItemId: new(fmt.Sprintf("item-%d", n)),
				SentAt: awsapi.At(time.UnixMilli(1_700_000_000_000 + int64(n)*1000)),
			}},
		}, nil)
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *installation) kafka() *bus.Client {
	c.t.Helper()
	client, err := bus.Open(c.t.Context(), bus.Config{Brokers: []string{c.Endpoints["kafka"]}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return client
}

// history is what is kept of a user in Redis.
func (c *installation) history(group, id string) (eventIDs []string) {
	c.t.Helper()
	users := penchanttest.OpenUsers(c.t, c.Endpoints["redis"])
	view, err := users.View(c.t.Context(), group, id)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range view.History {
		eventIDs = append(eventIDs, r.EventID)
	}
	return eventIDs
}

func numbered(first, count int) (ids []string) {
	for n := first; n < first+count; n++ {
		ids = append(ids, fmt.Sprintf("event-%03d", n))
	}
	return ids
}

// awaitArchived polls the archive's verification until it counts the rows of interactions, and wants no problem.
func (c *installation) awaitArchived(rows int64) {
	c.t.Helper()
	eventually.Succeeds(c.t, fmt.Sprintf("%d events are archived", rows), func() error {
		check := decoded[operator.ArchiveCheck](c, 0, "archive", "verify")
		if got := check.DatasetGroups[0].Rows; got != rows {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// startOperated starts an installation with a dataset group and 20 archived events.
func startOperated(t *testing.T) (process *installation, group, trackingID string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	process = &installation{penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=200ms"), t}
	created, trackingID := penchanttest.TrackedGroup(t, process.API(), process.Bucket("penchant"), "shop")
	process.putEvents(trackingID, 0, 20)
	process.awaitArchived(20)
	return process, created.GroupKey(), trackingID
}

func TestOperatorsSeeWhatGoesOn(t *testing.T) {
	process, group, trackingID := startOperated(t)
	filter := personalize.CreateFilterRequest{
		Name: new("unseen"), DatasetGroupArn: new(accountARN + "dataset-group/shop"),
		FilterExpression: new(`EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`),
	}
	var filterAnswer personalize.CreateFilterResponse
	if err := process.API().Call(t.Context(), "CreateFilter", &filter, &filterAnswer); err != nil {
		t.Fatal(err)
	}
	penchanttest.WaitActive[*catalog.Filter](t, catalog.NewStore(process.Bucket("penchant"), nil),
		*filterAnswer.FilterArn)

	// status
	var status operator.Status
	eventually.Succeeds(t, "nothing lags", func() error {
		status = decoded[operator.Status](process, 0, "status")
		if e := status.DatasetGroups[0].Events; e.ArchiveLag+e.FoldLag > 0 {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	shop := status.DatasetGroups[0]
	active := func(n int) map[string]int { return map[string]int{"ACTIVE": n} }
	if diff := cmp.Diff(map[string]map[string]int{"dataset": active(1), "event-tracker": active(1),
		"filter": active(1)}, shop.Resources); diff != "" {
		t.Errorf("resources (-want +got)\n%s", diff)
	}
	if shop.Name != "shop" || shop.Key != group || shop.Status != "ACTIVE" ||
		len(shop.Jobs)+len(shop.Campaigns)+len(shop.Recommenders) != 0 {
		t.Errorf("%+v", shop)
	}
	if shop.Events.Accepted != 20 || shop.Events.InLog != 20 || shop.Events.Newest == nil ||
		time.Since(*shop.Events.Newest) > time.Hour {
		t.Errorf("%+v", shop.Events)
	}
	if shop.Archive.Chains != 1 || shop.Archive.Files == 0 || shop.Archive.Bytes == 0 || shop.Archive.Newest == nil {
		t.Errorf("%+v", shop.Archive)
	}
	if len(status.Redis) != 1 || status.Redis[0].Keys == 0 ||
		len(status.Topics) != len(control.OwnTopics())+len(control.GroupTopics(group)) || len(status.Unreachable) != 0 {
		t.Errorf("%+v", status)
	}
	page := process.penchant(0, "status").stdout
	for _, part := range []string{"Dataset group shop (" + group + "): ACTIVE", "20 accepted",
		"0 not archived, 0 not folded", schema.Interactions.Topic(group)} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q:\n%s", part, page)
		}
	}
	if strings.Contains(page, "\x1b") {
		t.Errorf("the page has colour codes:\n%q", page)
	}

	// topics lag
	lags := decoded[operator.Lags](process, 0, "topics", "lag", "--dataset-group", "shop", "--max-lag", "0")
	consumers := map[string]int64{}
	for _, p := range lags.Partitions {
		if p.Committed != nil {
			consumers[p.ConsumerGroup] += *p.Committed
		}
	}
	if want := map[string]int64{firehose.ConsumerGroup: 20, sessionupdater.ConsumerGroup: 20}; !cmp.Equal(want,
		consumers) {
		t.Errorf("committed %v, want %v", consumers, want)
	}
	if table := process.penchant(0, "topics", "lag", "--group", firehose.ConsumerGroup).stdout; !strings.Contains(table,
		"CONSUMER GROUP") || strings.Contains(table, sessionupdater.ConsumerGroup) {
		t.Errorf("the table of one consumer group:\n%s", table)
	}

	// topics tail
	type line struct {
		Topic, Key, Type string
		Offset           int64
		Headers          map[string]string
		Value            struct{ EventID, UserID, ItemID, TimestampMs string }
	}
	var lines []line
	for text := range strings.Lines(process.penchant(0, "topics", "tail", "--topic", schema.Interactions.Topic(group),
		"--from-beginning", "--no-follow").stdout) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, l)
	}
	if len(lines) != 20 {
		t.Fatalf("%d lines, want 20", len(lines))
	}
	for n, l := range lines {
		id := fmt.Sprintf("event-%03d", n)
		if l.Offset != int64(n) || l.Key != "ada" || l.Type != "penchant.v1.Interaction" || l.Headers["ce_id"] != id ||
			l.Value.EventID != id ||
			l.Value.UserID != "ada" || l.Value.TimestampMs != strconv.FormatInt(1_700_000_000_000+int64(n)*1000, 10) {
			t.Errorf("line %d: %+v", n, l)
		}
	}
	if limited := process.penchant(0, "topics", "tail", "--dataset-group", "shop", "--from-beginning", "-n",
		"3").stdout; strings.Count(limited, "\n") != 3 {
		t.Errorf("three records were asked for:\n%s", limited)
	}
	followTopics(t, process, trackingID)

	// doctor
	diagnosis := decoded[operator.Diagnosis](process, 0, "doctor")
	areas := map[string]bool{}
	for _, f := range diagnosis.Findings {
		areas[f.Area] = true
		if f.Grade != operator.OK || f.Fix != "" {
			t.Errorf("%+v", f)
		}
	}
	for _, area := range []string{"settings", "kafka", "topics", "consumers", "redis", "s3", "archive"} {
		if !areas[area] {
			t.Errorf("nothing was said about %s", area)
		}
	}

	// doctor data, of a group that has some twenty events of one user
	data := decoded[datadoctor.Report](process, 1, "doctor", "data", "--dataset-group", "shop")
	if data.Interactions < 20 || data.Users != 1 || data.Finding("TOO_FEW_INTERACTIONS", "") == nil ||
		data.Finding("TOO_FEW_USERS", "") == nil {
		t.Errorf("the data: %+v", data)
	}
	if table := process.penchant(1, "doctor", "data", "--dataset-group", "shop").stdout; !strings.Contains(table,
		"no       aws-sims") {
		t.Errorf("the report for people:\n%s", table)
	}
	process.penchant(2, "doctor", "data", "--dataset-group", "absent")

	process.Terminate()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"doctor", "data", "--dataset-group", "shop"}, 2, "is it running?"},
		{[]string{"status"}, 1, "is it running?"},
		{[]string{"doctor"}, 1, "start the server"},
		{[]string{"archive", "verify"}, 2, "is it running?"},
		{[]string{"topics", "lag"}, 2, "is it running?"},
	} {
		if a := process.penchant(c.code, c.args...); !strings.Contains(a.stdout+a.stderr, c.want) {
			t.Errorf("%v of a process that is gone: %s%s", c.args, a.stdout, a.stderr)
		}
	}
}

// followTopics begins a tail, puts an event, and sees it come.
func followTopics(t *testing.T, process *installation, trackingID string) {
	t.Helper()
	tail := exec.Command(penchanttest.Binary(t), "topics", "tail", "--dataset-group", "shop", "--data-dir",
		process.DataDir)
	tail.Env = withoutSettings(os.Environ())
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	next := 20
	eventually.Succeeds(t, "an event put later is printed", func() error {
		process.putEvents(trackingID, next, 1) // one at least comes after the tail has begun
		next++
		select {
		case text := <-lines:
			if !strings.Contains(text, `"eventId":"event-0`) {
				t.Errorf("printed %s", text)
			}
			return nil
		case <-time.After(200 * time.Millisecond):
			return errors.New("nothing came")
		}
	})
	if err := tail.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range lines { // until it has ended
	}
	if err := tail.Wait(); err != nil {
		t.Errorf("interrupted, the tail ends with %v", err)
	}
}

func TestArchiveVerifyNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	process, group, trackingID := startOperated(t)
	process.putEvents(trackingID, 20, 5)
	process.awaitArchived(25)
	bucket := process.Bucket("penchant")
	var keys []string
	for info, err := range bucket.List(t.Context(), "archive/"+group+"/interactions/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if len(keys) < 2 {
		t.Fatalf("files %q: the test needs two", keys)
	}
	problems := func(code int, args ...string) (found []string) {
		t.Helper()
		for _, p := range decoded[operator.ArchiveCheck](process, code,
			append([]string{"archive", "verify", "--dataset-group", "shop"}, args...)...).DatasetGroups[0].Problems {
			found = append(found, p.Kind+" "+p.Key)
		}
		return found
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	want("a sound archive", problems(0))

	stray := "archive/" + group + "/interactions/notes.txt"
	put := func(key string, data []byte, metadata map[string]string) {
		t.Helper()
		if _, err := bucket.Put(t.Context(), key, data, blob.PutOptions{Metadata: metadata}); err != nil {
			t.Fatal(err)
		}
	}
	put(stray, []byte("x"), nil)
	want("a foreign object", problems(1), "foreign object "+stray)
	if err := bucket.Delete(t.Context(), stray); err != nil {
		t.Fatal(err)
	}

	data, info, err := bucket.Get(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(data)
	broken[len(broken)/2] ^= 1
	put(keys[0], broken, info.Metadata)
	want("a flipped bit", problems(1), "unreadable "+keys[0])
	want("a flipped bit, by names only", problems(0, "--names-only"))
	if done := decoded[operator.Replayed](process, 1, "archive", "replay", "--dataset-group", "shop",
		"--dry-run"); !slices.Equal(done.Damaged, keys[:1]) {
		t.Errorf("a replay past a damaged file: %+v", done)
	}

	if err := bucket.Delete(t.Context(), keys[0]); err != nil {
		t.Fatal(err)
	}
	want("a file that is gone", problems(1), "hole "+keys[1])
	want("a file that is gone, by names only", problems(1, "--names-only"), "hole "+keys[1])
	if text := process.penchant(1, "archive", "verify").stdout; !strings.Contains(text,
		"hole: "+keys[1]+": offsets 0 to ") {
		t.Errorf("for people:\n%s", text)
	}
	if sick := process.penchant(1, "doctor").stdout; !strings.Contains(sick, "failure  archive     hole: "+keys[1]) {
		t.Errorf("the doctor says:\n%s", sick)
	}
	put(keys[0], data, info.Metadata)
	want("the file restored", problems(0))

	if a := process.penchant(2, "archive", "verify", "--dataset-group", "nobody"); !strings.Contains(a.stderr,
		`no dataset group "nobody": there are shop`) || a.stdout != "" {
		t.Errorf("an unknown dataset group: %+v", a)
	}
	process.penchant(2, "archive", "verify", "--no-such-flag")
	process.penchant(2, "archive", "replay") // of what?
}

// TestArchiveReplayAfterKafkaAndRedisWereLost loses the topic and Redis: the rebuild finds nothing of the old topic's
// events, the replay brings them back, and the archive stays as it is.
func TestArchiveReplayAfterKafkaAndRedisWereLost(t *testing.T) {
	t.Parallel()
	process, group, trackingID := startOperated(t)
	topic := schema.Interactions.Topic(group)
	if err := process.kafka().DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if sick := process.penchant(1, "doctor").stdout; !strings.Contains(sick, "missing: "+topic) ||
		!strings.Contains(sick, "penchant topics create") {
		t.Errorf("the doctor says:\n%s", sick)
	}
	if created := decoded[operator.CreatedTopics](process, 0, "topics", "create"); !slices.Equal(created.Created,
		[]string{topic}) {
		t.Fatalf("created %q", created.Created)
	}
	if again := process.penchant(0, "topics", "create").stdout; again != "no topic is missing\n" {
		t.Errorf("once more: %q", again)
	}
	flushRedis(t, process.Endpoints["redis"])
	next := 20
	eventually.Succeeds(t, "events of the new topic are folded", func() error {
		process.putEvents(trackingID, next, 1)
		next++
		if len(process.history(group, "ada")) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	fresh := next - 20
	eventually.Succeeds(t, "all of the new topic's events are folded", func() error {
		if got := process.history(group, "ada"); !slices.Equal(got, numbered(20, fresh)) {
			return fmt.Errorf("ada has %q", got)
		}
		return nil
	})
	process.awaitArchived(int64(20 + fresh))

	replay := []string{"archive", "replay", "--dataset-group", "shop"}
	if counted := decoded[operator.Replayed](process, 0,
		append(replay, "--dry-run")...); counted.Events != int64(20+fresh) || counted.Folded != 0 {
		t.Errorf("a dry run: %+v", counted)
	}
	if others := decoded[operator.Replayed](process, 0,
		append(replay, "--user", "somebody, else")...); others.Events != 0 {
		t.Errorf("of a user without events: %+v", others)
	}
	if later := decoded[operator.Replayed](process, 0, append(replay, "--to", "24h")...); later.Events != 0 {
		t.Errorf("of what came before yesterday: %+v", later)
	}
	if got := process.history(group, "ada"); !slices.Equal(got, numbered(20, fresh)) {
		t.Errorf("before the replay ada has %q", got)
	}
	if done := decoded[operator.Replayed](process, 0, replay...); done.Events != int64(20+fresh) || done.Folded != 20 ||
		len(done.Warnings) > 0 {
		t.Errorf("%+v", done)
	}
	if got := process.history(group, "ada"); !slices.Equal(got, numbered(0, 20+fresh)) {
		t.Errorf("after the replay ada has %q", got)
	}
	if text := process.penchant(0, replay...).stdout; !strings.HasSuffix(text, ", 0 of them changed a user's state\n") {
		t.Errorf("once more: %s", text)
	}
	if check := decoded[operator.ArchiveCheck](process, 0, "archive",
		"verify"); check.DatasetGroups[0].Rows != int64(20+fresh) {
		t.Errorf("the replay changed the archive: %+v", check)
	}
}

// flushRedis empties a Redis, as a restart without a dump does.
func flushRedis(t *testing.T, url string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "*1\r\n$8\r\nFLUSHALL\r\n")
	if line, err := bufio.NewReader(connection).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("emptying Redis: %q, %v", line, err)
	}
}

func TestDeadLettersAreListedAndReplayedOnce(t *testing.T) {
	process, group, _ := startOperated(t)
	topic, client := schema.Interactions.Topic(group), process.kafka()
	publish := func(records ...bus.Record) {
		t.Helper()
		if err := client.Publish(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
	list := []string{"dlq", "list", "--dataset-group", "shop"}
	replay := []string{"dlq", "replay", "--dataset-group", "shop"}
	if empty := decoded[operator.DeadLetters](process, 0, list...); len(empty.Records) != 0 ||
		empty.DatasetGroup != group {
		t.Fatalf("%+v", empty)
	}

	// A record that nobody can read: both consumers put it aside, and it is one dead letter.
	publish(bus.Record{Topic: topic, Key: []byte("ada"), Value: []byte("\xff no protobuf"),
		Headers: []bus.Header{{Key: "own", Value: []byte("header")}}})
	var letter operator.DeadLetter
	eventually.Succeeds(t, "both consumers have put the record aside", func() error {
		letters := decoded[operator.DeadLetters](process, 0, list...).Records
		if len(letters) != 1 || len(letters[0].Failures) != 2 {
			return fmt.Errorf("%+v", letters)
		}
		letter = letters[0]
		return nil
	})
	if letter.Topic != topic || letter.Offset != 20 || letter.Key != "ada" ||
		string(letter.Value) != "\xff no protobuf" ||
		!cmp.Equal(letter.Headers, map[string]string{"own": "header"}) || letter.Replayed != nil ||
		time.Since(letter.Arrival) > time.Hour ||
		letter.Failures[0].Consumer != firehose.ConsumerGroup ||
		letter.Failures[1].Consumer != sessionupdater.ConsumerGroup ||
		!strings.Contains(letter.Failures[0].Reason, "decoding an interaction") {
		t.Errorf("%+v", letter)
	}
	place := fmt.Sprintf("%s/%d/20", topic, letter.Partition)
	if table := process.penchant(0, list...).stdout; !strings.Contains(table, `"ada"`) ||
		!strings.Contains(table, "decoding an interaction") {
		t.Errorf("for people:\n%s", table)
	}
	if sick := process.penchant(0, "doctor").stdout; !strings.Contains(sick, "1 records that could not be handled") {
		t.Errorf("the doctor says:\n%s", sick)
	}
	// It still can't be read: it would only come back.
	if done := decoded[operator.LettersReplayed](process, 0, replay...); done.Replayed != 0 || len(done.Skipped) != 1 ||
		!strings.Contains(done.Skipped[0].Reason, "put aside again") {
		t.Errorf("%+v", done)
	}

	// A record that an earlier version could not read, and this one can.
	value, err := wire.MarshalInteraction(&reco.Interaction{EventID: "event-020", UserID: "ada", ItemID: "item-20",
		EventType: "view", TimestampMS: 1_700_000_020_000})
	if err != nil {
		t.Fatal(err)
	}
	mended := func(consumer string) bus.Record {
		return bus.Record{Topic: bus.DeadLetterTopic(group), Key: []byte("ada"), Value: value, Headers: []bus.Header{
			{Key: "ce_id", Value: []byte("event-020")},
			{Key: "penchant-reason", Value: []byte("a bug that is fixed")},
			{Key: "penchant-consumer", Value: []byte(consumer)},
			{Key: "penchant-topic", Value: []byte(topic)}, {Key: "penchant-partition", Value: []byte("0")},
			{Key: "penchant-offset", Value: []byte("7")},
		}}
	}
	publish(mended(sessionupdater.ConsumerGroup))
	if dry := decoded[operator.LettersReplayed](process, 0, append(replay, "--dry-run")...); dry.Replayed != 1 {
		t.Errorf("a dry run: %+v", dry)
	}
	if done := decoded[operator.LettersReplayed](process, 0,
		append(replay, "--record", topic+"/0/7")...); done.Replayed != 1 || len(done.Skipped) != 0 {
		t.Errorf("%+v", done)
	}
	// The slower consumer's letter comes after the replay; it is the same record.
	publish(mended(firehose.ConsumerGroup))
	if again := decoded[operator.LettersReplayed](process, 0, replay...); again.Replayed != 0 || len(again.Skipped) != 2 {
		t.Errorf("once more: %+v", again)
	}
	process.awaitArchived(21)
	eventually.Succeeds(t, "the replayed event is in ada's history", func() error {
		if got := process.history(group, "ada"); !slices.Equal(got, numbered(0, 21)) {
			return fmt.Errorf("ada has %q", got)
		}
		return nil
	})
	var headers string
	for text := range strings.Lines(process.penchant(0, "topics", "tail", "--topic", topic, "--from-beginning",
		"--no-follow").stdout) {
		if strings.Contains(text, `"offset":21`) {
			headers = text
		}
	}
	if !strings.Contains(headers, `"headers":{"ce_id":"event-020"}`) {
		t.Errorf("replayed, the record has not its own headers: %s", headers)
	}

	// On request it goes again: the event id keeps it from counting twice.
	if all := decoded[operator.LettersReplayed](process, 0, append(replay, "--all")...); all.Replayed != 1 {
		t.Errorf("--all: %+v", all)
	}
	if forced := decoded[operator.LettersReplayed](process, 0,
		append(replay, "--force", "--record", place)...); forced.Replayed != 1 {
		t.Errorf("--force: %+v", forced)
	}
	eventually.Succeeds(t, "the record that can't be read is put aside again", func() error {
		letters := decoded[operator.DeadLetters](process, 0, list...).Records
		if len(letters) != 3 || letters[len(letters)-1].Offset != 23 || len(letters[len(letters)-1].Failures) != 2 {
			return fmt.Errorf("%+v", letters)
		}
		return nil
	})
	process.awaitArchived(21)
	process.penchant(2, append(replay, "--record", "nowhere/0/0")...)
}

// TestRedisThatEvictsIsRefused: the targets that keep users in Redis do not start on one that may drop them.
func TestRedisThatEvictsIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	url := startRedis(t, "allkeys-lru")
	const anyPort = "127.0.0.1:0"
	kafka := startServers(t, embedded.Config{KafkaAddr: anyPort})
	objects := startServers(t, embedded.Config{S3Addr: anyPort,
		AccessKeys: []awsapi.Credential{{AccessKeyID: "store", SecretKey: "store-secret"}}})
	outside := []string{
		"PENCHANT_KAFKA_BROKERS=" + kafka.KafkaAddr(), "PENCHANT_REDIS_URL=" + url,
		"PENCHANT_S3_ENDPOINT=" + objects.S3Endpoint(),
		"PENCHANT_S3_ACCESS_KEY=store", "PENCHANT_S3_SECRET_KEY=store-secret", "PENCHANT_TOPIC_REPLICATION_FACTOR=1",
		"PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=1",
	}
	run := func(args ...string) (string, int) {
		c := exec.CommandContext(t.Context(), penchanttest.Binary(t), append(args, "--data-dir", t.TempDir())...)
		c.Env = append(withoutSettings(os.Environ()), outside...)
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}
	for _, target := range []string{"session-updater", "recommender", "all"} {
		out, code := run(target, "--http-addr", anyPort)
		if code != 1 || !strings.Contains(out, "maxmemory-policy allkeys-lru") ||
			!strings.Contains(out, "set it to noeviction") {
			t.Errorf("penchant %s ended with %d:\n%s", target, code, out)
		}
	}
	out, code := run("doctor")
	if code != 1 || !strings.Contains(out, "failure  redis       redis may evict user states") ||
		!strings.Contains(out, "appendonly yes") {
		t.Errorf("the doctor, with exit code %d:\n%s", code, out)
	}
}

// startRedis runs the machine's redis-server with the maxmemory-policy until the test ends.
func startRedis(t *testing.T, policy string) (url string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server on the PATH (apt-get install redis-server)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(),
		"--maxmemory-policy", policy)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	eventually.Succeeds(t, "redis-server listens", func() error {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return "redis://" + address
}

// Without any server the doctor says which settings there are, and no command hangs.
func TestOperatorsAreToldWhichSettingsAreMissing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	sick := command(t, t.TempDir(), "doctor")
	for _, setting := range []string{"PENCHANT_KAFKA_BROKERS", "PENCHANT_REDIS_URL", "PENCHANT_S3_ENDPOINT"} {
		if sick.code != 1 || !strings.Contains(sick.stdout, setting) {
			t.Errorf("the doctor, with exit code %d, does not name %s:\n%s", sick.code, setting, sick.stdout)
		}
	}
	if lost := command(t, t.TempDir(), "topics", "lag"); lost.code != 2 ||
		!strings.Contains(lost.stderr, "PENCHANT_KAFKA_BROKERS") {
		t.Errorf("%+v", lost)
	}
}
