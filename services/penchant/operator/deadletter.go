package operator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// The headers that consumers add to a record which they put on the dead-letter topic, behind the record's own.
const (
	headerReason    = "penchant-reason"
	headerConsumer  = "penchant-consumer"
	headerTopic     = "penchant-topic"
	headerPartition = "penchant-partition"
	headerOffset    = "penchant-offset"
	// A receipt records that a dead letter was replayed: it names the source like a letter, the digest of its bytes,
	// and when. It follows the letter in the same partition, so retention never deletes the receipt first.
	headerReplayed = "penchant-replayed"
	headerDigest   = "penchant-digest"
)

// DeadLetters are the records of a dataset group that could not be handled, by their place in the source topic.
type DeadLetters struct {
	DatasetGroup string       `json:"datasetGroup"`
	Records      []DeadLetter `json:"records"`
}

// DeadLetter is one record that could not be handled. Several consumers may have put it aside; it counts once.
type DeadLetter struct {
	// Topic, Partition and Offset are where the record stood.
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Arrival is when it was put aside first.
	Arrival  time.Time         `json:"arrival"`
	Failures []Failure         `json:"failures"`
	Key      string            `json:"key,omitempty"`
	KeyBytes []byte            `json:"keyBase64,omitempty"`
	Value    []byte            `json:"valueBase64"`
	Headers  map[string]string `json:"headers,omitempty"`
	Replayed *time.Time        `json:"replayed"` // null: not yet
	digest   string
	headers  []bus.Header // the record's own
}

// Failure is why one consumer put a record aside.
type Failure struct {
	Consumer string `json:"consumer"`
	Reason   string `json:"reason"`
}

// source identifies a record. The digest tells records of one offset apart when a topic was made again.
type source struct {
	topic     string
	partition int32
	offset    int64
	digest    string
}

// DeadLetters reads what the dead-letter topic of a dataset group (name, key or ARN) holds.
func (i *Installation) DeadLetters(ctx context.Context, group string) (*DeadLetters, error) {
	if err := i.need(ctx, kafka, s3); err != nil {
		return nil, err
	}
	if group == "" {
		return nil, errors.New("which dataset group? (--dataset-group)")
	}
	groups, err := i.groups(ctx, group)
	if err != nil {
		return nil, err
	}
	return i.deadLetters(ctx, groups[0])
}

func (i *Installation) deadLetters(ctx context.Context, group *catalog.DatasetGroup) (*DeadLetters, error) {
	topic := bus.DeadLetterTopic(group.GroupKey())
	held, err := i.bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		ranges[place.Partition] = offsets
	}
	letters := map[source]*DeadLetter{}
	receipts := map[source]time.Time{}
	err = i.bus.ReadRange(ctx, topic, ranges, func(records []bus.Record) error {
		for k := range records {
			if from, at, ok := parseReceipt(&records[k]); ok {
				receipts[from] = at
				continue
			}
			letter := parseLetter(&records[k])
			known, ok := letters[letter.source()]
			if !ok {
				letters[letter.source()] = letter
				continue
			}
			known.join(letter)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	result := &DeadLetters{DatasetGroup: group.GroupKey(), Records: []DeadLetter{}}
	for from, letter := range letters {
		if at, ok := receipts[from]; ok {
			letter.Replayed = &at
		}
		result.Records = append(result.Records, *letter)
	}
	slices.SortFunc(result.Records, func(a, b DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
			cmp.Compare(a.Offset, b.Offset), a.Arrival.Compare(b.Arrival))
	})
	return result, nil
}

func (l *DeadLetter) source() source { return source{l.Topic, l.Partition, l.Offset, l.digest} }

// join adds the failure of another consumer, or another failure of the same one.
func (l *DeadLetter) join(other *DeadLetter) {
	for _, f := range other.Failures {
		if !slices.Contains(l.Failures, f) {
			l.Failures = append(l.Failures, f)
		}
	}
	slices.SortFunc(l.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Consumer, b.Consumer), cmp.Compare(a.Reason, b.Reason))
	})
	if other.Arrival.Before(l.Arrival) {
		l.Arrival = other.Arrival
	}
}

// added are the headers that a consumer adds.
var added = []string{headerReason, headerConsumer, headerTopic, headerPartition, headerOffset}

// parseLetter reads a record of the dead-letter topic. One that nobody of ours wrote has no source.
func parseLetter(r *bus.Record) *DeadLetter {
	letter := &DeadLetter{Arrival: r.Arrival.UTC(), Value: r.Value, digest: digest(r)}
	if utf8.Valid(r.Key) {
		letter.Key = string(r.Key)
	} else {
		letter.KeyBytes = r.Key
	}
	// The consumer's headers follow the record's own, so the last one counts.
	said := map[string]string{}
	for _, h := range r.Headers {
		if slices.Contains(added, h.Key) {
			said[h.Key] = string(h.Value)
			continue
		}
		letter.headers = append(letter.headers, h)
	}
	letter.Headers = textHeaders(letter.headers)
	letter.Failures = []Failure{{said[headerConsumer], strings.ToValidUTF8(said[headerReason], "\uFFFD")}}
	if topic, partition, offset, ok := place(said); ok {
		letter.Topic, letter.Partition, letter.Offset = topic, partition, offset
	}
	return letter
}

func place(said map[string]string) (topic string, partition int32, offset int64, ok bool) {
	number, err := strconv.ParseInt(said[headerPartition], 10, 32)
	if err != nil {
		return "", 0, 0, false
	}
	offset, err = strconv.ParseInt(said[headerOffset], 10, 64)
	return said[headerTopic], int32(number), offset, err == nil && said[headerTopic] != ""
}

func digest(r *bus.Record) string {
	sum := sha256.New()
	sum.Write(strconv.AppendInt(nil, int64(len(r.Key)), 10)) // so that key and value cannot be split in two ways
	sum.Write([]byte{' '})
	sum.Write(r.Key)
	sum.Write(r.Value)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func parseReceipt(r *bus.Record) (from source, at time.Time, ok bool) {
	said := textHeaders(r.Headers)
	at, err := time.Parse(time.RFC3339Nano, said[headerReplayed])
	if err != nil {
		return source{}, time.Time{}, false
	}
	from.topic, from.partition, from.offset, ok = place(said)
	from.digest = said[headerDigest]
	return from, at, ok && from.digest != ""
}

// receipt returns the record that marks the letter as replayed. It has the letter's key, and so its partition.
func (l *DeadLetter) receipt(topic string, at time.Time) bus.Record {
	return bus.Record{Topic: topic, Key: l.key(), Headers: []bus.Header{
		{Key: headerReplayed, Value: at.UTC().AppendFormat(nil, time.RFC3339Nano)},
		{Key: headerDigest, Value: []byte(l.digest)},
		{Key: headerTopic, Value: []byte(l.Topic)},
		{Key: headerPartition, Value: strconv.AppendInt(nil, int64(l.Partition), 10)},
		{Key: headerOffset, Value: strconv.AppendInt(nil, l.Offset, 10)},
	}}
}

func (l *DeadLetter) key() []byte {
	if l.KeyBytes != nil {
		return l.KeyBytes
	}
	if l.Key == "" {
		return nil
	}
	return []byte(l.Key)
}

// Page is the dead letters for people.
func (d *DeadLetters) Page() string {
	var page strings.Builder
	var rows [][]string
	for _, l := range d.Records {
		replayed := "-"
		if l.Replayed != nil {
			replayed = l.Replayed.Format(time.RFC3339)
		}
		var reasons []string
		for _, f := range l.Failures {
			if !slices.Contains(reasons, f.Reason) {
				reasons = append(reasons, f.Reason)
			}
		}
		rows = append(rows, []string{
			cmp.Or(l.Topic, "?"), fmt.Sprint(l.Partition), fmt.Sprint(l.Offset), l.Arrival.Format(time.RFC3339),
			strconv.Quote(string(l.key())),
			replayed, strings.Join(reasons, "; "),
		})
	}
	printTable(&page, []string{"TOPIC", "PARTITION", "OFFSET", "ARRIVAL", "KEY", "REPLAYED", "REASON"}, rows)
	return page.String()
}

// LetterReplay chooses dead letters to replay.
type LetterReplay struct {
	DatasetGroup string
	// Records are places as `<topic>/<partition>/<offset>`; none: all.
	Records []string
	// From and To bound the time at which a record was put aside: not before, and before.
	From, To time.Time
	// All includes those that were replayed already.
	All bool
	// Force includes those that this version of Penchant cannot read either, and would put aside again.
	Force  bool
	DryRun bool
}

// LettersReplayed has the outcome of each dead letter that was chosen.
type LettersReplayed struct {
	DatasetGroup string          `json:"datasetGroup"`
	DryRun       bool            `json:"dryRun"`
	Replayed     int             `json:"replayed"`
	Skipped      []LetterSkipped `json:"skipped"`
}

// LetterSkipped is a dead letter that was not replayed, and why.
type LetterSkipped struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
}

// ReplayDeadLetters puts dead letters back on the topics they came from, where they get new offsets: consumers meet
// them like any other record. Each is followed by a receipt on the dead-letter topic, so that a second replay leaves it
// out. A replay that is cut off between the two puts one record back once more; its event id makes that harmless.
func (i *Installation) ReplayDeadLetters(ctx context.Context, r LetterReplay) (*LettersReplayed, error) {
	letters, err := i.DeadLetters(ctx, r.DatasetGroup)
	if err != nil {
		return nil, err
	}
	existing, err := i.bus.Topics(ctx)
	if err != nil {
		return nil, err
	}
	result := &LettersReplayed{DatasetGroup: letters.DatasetGroup, DryRun: r.DryRun, Skipped: []LetterSkipped{}}
	topic := bus.DeadLetterTopic(letters.DatasetGroup)
	found := map[string]bool{}
	for k := range letters.Records {
		letter := &letters.Records[k]
		name := fmt.Sprintf("%s/%d/%d", letter.Topic, letter.Partition, letter.Offset)
		if len(r.Records) > 0 && !slices.Contains(r.Records, name) ||
			!r.From.IsZero() && letter.Arrival.Before(r.From) || !r.To.IsZero() && !letter.Arrival.Before(r.To) {
			continue
		}
		found[name] = true
		if reason := r.skip(letter, letters.DatasetGroup, existing); reason != "" {
			result.Skipped = append(result.Skipped,
				LetterSkipped{letter.Topic, letter.Partition, letter.Offset, reason})
			continue
		}
		if !r.DryRun {
			if err := i.replayLetter(ctx, letter, topic); err != nil {
				return result, fmt.Errorf("replaying %s: %w", name, err)
			}
		}
		result.Replayed++
	}
	for _, name := range r.Records {
		if !found[name] {
			return result, fmt.Errorf("--record %s: there is no such dead letter", name)
		}
	}
	return result, nil
}

// skip returns why a letter is not replayed, "" if it is.
func (r *LetterReplay) skip(l *DeadLetter, group string, existing map[string]bus.TopicInfo) string {
	if l.Topic == "" {
		return "its headers do not say where it came from"
	}
	if !strings.HasPrefix(l.Topic, topicPrefix+group+".") {
		return "it comes from a topic that is none of this dataset group's"
	}
	if _, ok := existing[l.Topic]; !ok {
		return "its topic does not exist any more"
	}
	if l.Replayed != nil && !r.All {
		return "replayed already, on " + l.Replayed.Format(time.RFC3339)
	}
	if err := readable(l); err != nil && !r.Force {
		return "it would be put aside again: " + err.Error()
	}
	return ""
}

// readable reports whether this version can read the record, as the consumers do.
func readable(l *DeadLetter) error {
	var err error
	t, ok := schema.TypeOfTopic(l.Topic)
	switch {
	case !ok:
	case t == schema.Interactions:
		_, err = wire.UnmarshalInteraction(l.Value)
	case t == schema.ActionInteractions:
		_, err = wire.UnmarshalActionInteraction(l.Value)
	default:
		_, err = wire.UnmarshalEntity(l.Value)
	}
	return err
}

func (i *Installation) replayLetter(ctx context.Context, l *DeadLetter, topic string) error {
	if err := i.bus.Publish(ctx, bus.Record{Topic: l.Topic, Key: l.key(), Value: l.Value,
		Headers: l.headers}); err != nil {
		return err
	}
	if err := i.bus.Publish(ctx, l.receipt(topic, time.Now())); err != nil {
		return fmt.Errorf("it is replayed, but that could not be noted: %w", err)
	}
	return nil
}

// Page returns the result for people.
func (r *LettersReplayed) Page() string {
	var page strings.Builder
	doing := "replayed"
	if r.DryRun {
		doing = "would be replayed"
	}
	fmt.Fprintf(&page, "%s: %d dead letters %s, %d left out\n", r.DatasetGroup, r.Replayed, doing, len(r.Skipped))
	for _, s := range r.Skipped {
		fmt.Fprintf(&page, "left out %s/%d/%d: %s\n", s.Topic, s.Partition, s.Offset, s.Reason)
	}
	return page.String()
}
