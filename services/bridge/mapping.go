package bridge

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/theory/jsonpath"
	"go.yaml.in/yaml/v3"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
)

// maxEventsOfRecord bounds what one record can become.
const maxEventsOfRecord = 1000

// document is a mapping in the form of its file; docs/bridge.md describes it.
type document struct {
	// Decode names members that hold JSON as text, and are decoded before anything else: "payload.after".
	Decode []string `yaml:"decode"`
	// When and Skip are conditions in the language of JSONPath's filters: a record is an event if When holds and Skip
	// does not.
	When string `yaml:"when"`
	Skip string `yaml:"skip"`
	// Each is a path to the elements that are events, where a record holds several.
	Each  string        `yaml:"each"`
	Event eventDocument `yaml:"event"`
}

type eventDocument struct {
	UserID                 *source           `yaml:"userId"`
	SessionID              *source           `yaml:"sessionId"`
	EventType              *source           `yaml:"eventType"`
	ItemID                 *source           `yaml:"itemId"`
	SentAt                 *source           `yaml:"sentAt"`
	EventID                *source           `yaml:"eventId"`
	EventValue             *source           `yaml:"eventValue"`
	RecommendationID       *source           `yaml:"recommendationId"`
	Impression             *source           `yaml:"impression"`
	EventAttributionSource *source           `yaml:"eventAttributionSource"`
	Properties             map[string]source `yaml:"properties"`
}

// Mapping defines how records become events. It is never modified, and safe for concurrent use.
type Mapping struct {
	decode     [][]string
	when, skip *jsonpath.Path
	each       *jsonpath.Path
	event      eventDocument
	properties []string // their names, in order
}

// ParseMapping reads a mapping file.
func ParseMapping(text []byte) (*Mapping, error) {
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("reading the mapping: it is empty")
		}
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	m := &Mapping{event: d.Event, properties: slices.Sorted(maps.Keys(d.Event.Properties))}
	for _, path := range d.Decode {
		names := strings.Split(strings.TrimPrefix(path, "$."), ".")
		if slices.Contains(names, "") || strings.ContainsAny(path, "[]*@ ") {
			return nil, fmt.Errorf("reading the mapping: decode %q: it is names with dots between them, such as payload.after", path)
		}
		m.decode = append(m.decode, names)
	}
	var err error
	if m.when, err = condition("when", d.When); err != nil {
		return nil, err
	}
	if m.skip, err = condition("skip", d.Skip); err != nil {
		return nil, err
	}
	if d.Each != "" {
		if m.each, err = jsonpath.Parse(d.Each); err != nil {
			return nil, fmt.Errorf("reading the mapping: each %q: %w", d.Each, err)
		}
	}
	return m, m.check()
}

// condition compiles a filter. JSONPath filters the children of a value, so records are wrapped to be filtered
// themselves.
func condition(member, text string) (*jsonpath.Path, error) {
	if text == "" {
		return nil, nil
	}
	path, err := jsonpath.Parse("$[?(" + text + ")]")
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %s %q is no condition: %w", member, text, err)
	}
	return path, nil
}

// check refuses mappings of which no record could become an event.
func (m *Mapping) check() error {
	e := &m.event
	for _, required := range []struct {
		name string
		from *source
	}{{"eventType", e.EventType}, {"itemId", e.ItemID}} {
		if required.from == nil {
			return fmt.Errorf("reading the mapping: event.%s is missing", required.name)
		}
	}
	if e.UserID == nil && e.SessionID == nil {
		return errors.New("reading the mapping: event.userId and event.sessionId are both missing")
	}
	inElements := slices.ContainsFunc(m.sources(), func(s *source) bool { return s.ofElement })
	if inElements && m.each == nil {
		return errors.New("reading the mapping: a path that begins with @ is one into the elements of each, which is missing")
	}
	if m.each != nil && e.EventID != nil && !e.EventID.ofElement {
		return errors.New("reading the mapping: event.eventId must come from the element (@…) where a record holds several events")
	}
	return nil
}

func (m *Mapping) sources() (all []*source) {
	e := &m.event
	for _, s := range []*source{e.UserID, e.SessionID, e.EventType, e.ItemID, e.SentAt, e.EventID, e.EventValue,
		e.RecommendationID, e.Impression, e.EventAttributionSource} {
		if s != nil {
			all = append(all, s)
		}
	}
	for _, name := range m.properties {
		s := e.Properties[name]
		all = append(all, &s)
	}
	return all
}

// Event is one event and who caused it.
type Event struct {
	UserID, SessionID string
	personalizeevents.Event
}

// errPassedOver is a source's way to say that a record is none of the bridge's business.
var errPassedOver = errors.New("the record is passed over")

// Events are what a record becomes: none where it is to be passed over. The error says why it can't become what it
// should; the record will be no better the next time.
func (m *Mapping) Events(r *bus.Record) ([]Event, error) {
	if len(r.Value) == 0 {
		return nil, nil // a tombstone
	}
	root, err := decodeJSON(r.Value)
	if err != nil {
		return nil, fmt.Errorf("the record is not JSON: %w", err)
	}
	for _, names := range m.decode {
		if root, err = decodeMember(root, names); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", strings.Join(names, "."), err)
		}
	}
	if m.when != nil && !holds(m.when, root) || m.skip != nil && holds(m.skip, root) {
		return nil, nil
	}
	if m.each == nil {
		event, err := m.eventOf(input{root: root, record: r}, EventID(r))
		if errors.Is(err, errPassedOver) {
			return nil, nil
		}
		return []Event{event}, err
	}
	var events []Event
	elements := m.each.Select(root)
	if len(elements) > maxEventsOfRecord {
		return nil, fmt.Errorf("the record holds %d events, more than %d", len(elements), maxEventsOfRecord)
	}
	for n, element := range elements {
		event, err := m.eventOf(input{root: root, element: element, record: r}, fmt.Sprintf("%s-%04d", EventID(r), n))
		switch {
		case errors.Is(err, errPassedOver):
		case err != nil:
			return nil, fmt.Errorf("event %d: %w", n+1, err)
		default:
			events = append(events, event)
		}
	}
	return events, nil
}

// EventID is the id of the event that a record becomes. It follows from the record's place in the log, so that the same
// record is the same event however often it is sent; from the identity of the topic, since one made again under its
// name begins at offset 0 again; and it sorts as the records of a partition do, since histories are ordered by time,
// and then by id.
func EventID(r *bus.Record) string {
	return fmt.Sprintf("%x-%05d-%020d", r.TopicID, r.Partition, r.Offset)
}

func holds(condition *jsonpath.Path, value any) bool { return len(condition.Select([]any{value})) > 0 }

// eventOf makes an event of a record, or of one of its elements. id is the event's id unless the record has one.
func (m *Mapping) eventOf(in input, id string) (event Event, err error) {
	e := &m.event
	if event, err = e.names(in, id); err != nil {
		return event, err
	}
	if event.SentAt, err = e.SentAt.time(in); err != nil {
		return event, fmt.Errorf("sentAt: %w", err)
	}
	if event.EventValue, err = e.EventValue.number(in); err != nil {
		return event, fmt.Errorf("eventValue: %w", err)
	}
	if event.Impression, err = e.Impression.list(in); err != nil {
		return event, fmt.Errorf("impression: %w", err)
	}
	if event.Properties, err = m.propertiesOf(in); err != nil {
		return event, err
	}
	return event, event.valid()
}

// names fills the members of an event that are ids and names.
func (e *eventDocument) names(in input, id string) (event Event, err error) {
	text := func(name string, from *source) (value string) {
		if err == nil && from != nil {
			if value, err = from.text(in); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
		return value
	}
	event.UserID, event.SessionID = text("userId", e.UserID), text("sessionId", e.SessionID)
	event.EventType, event.ItemId = awsapi.Present(text("eventType", e.EventType)), awsapi.Present(text("itemId",
		e.ItemID))
	event.RecommendationId = awsapi.Present(text("recommendationId", e.RecommendationID))
	if given := text("eventId", e.EventID); given != "" {
		id = given
	}
	event.EventId = &id
	if source := text("eventAttributionSource", e.EventAttributionSource); source != "" {
		event.MetricAttribution = &personalizeevents.MetricAttribution{EventAttributionSource: &source}
	}
	if err != nil {
		return event, err
	}
	switch {
	case event.UserID == "" && event.SessionID == "":
		return event, errors.New("the record names neither a user nor a session")
	case event.EventType == nil:
		return event, errors.New("eventType: the record has none")
	case event.ItemId == nil:
		return event, errors.New("itemId: the record has none")
	case event.SessionID == "":
		// Personalize requires one. It must not be the user's id, or a session of that name would be taken for the
		// user.
		event.SessionID = sessionOf(event.UserID)
	}
	return event, nil
}

// sessionOf returns the session id of a user's events that have none.
func sessionOf(user string) string {
	const prefix, longest = "bridge-", 200 // of 256
	if len(user) > longest {
		return fmt.Sprintf("%s%x", prefix, sha256.Sum256([]byte(user)))
	}
	return prefix + user
}

func (m *Mapping) propertiesOf(in input) (*awsapi.JSONText, error) {
	properties := map[string]any{}
	for _, name := range m.properties {
		from := m.event.Properties[name]
		value, err := from.value(in)
		if err != nil {
			return nil, fmt.Errorf("properties.%s: %w", name, err)
		}
		if value != nil {
			properties[name] = value
		}
	}
	if len(properties) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(properties)
	if err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	encoded := awsapi.JSONText(text)
	return &encoded, nil
}

// valid holds the event to the rules of the API's model, so that a call is not refused for one of its events.
func (e *Event) valid() error {
	tracking := "checked when it is sent"
	request := personalizeevents.PutEventsRequest{TrackingId: &tracking, UserId: awsapi.Present(e.UserID),
		SessionId: &e.SessionID, EventList: []personalizeevents.Event{e.Event}}
	err := request.Validate()
	var refusal *awsapi.Error
	if errors.As(err, &refusal) {
		return errors.New(refusal.Message)
	}
	return err
}

// decodeJSON reads one JSON value; numbers stay as they are written.
func decodeJSON(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return value, nil
}

// decodeMember decodes a member that holds JSON as text. One that is absent, or no text, is left as it is.
func decodeMember(value any, names []string) (any, error) {
	if len(names) == 0 {
		text, ok := value.(string)
		if !ok {
			return value, nil
		}
		return decodeJSON([]byte(text))
	}
	object, ok := value.(map[string]any)
	if !ok {
		return value, nil
	}
	member, ok := object[names[0]]
	if !ok {
		return value, nil
	}
	decoded, err := decodeMember(member, names[1:])
	if err != nil {
		return nil, err
	}
	object[names[0]] = decoded
	return value, nil
}

// input is what sources look at.
type input struct {
	root, element any
	record        *bus.Record
}

const latestMS = 253402300799999 // the year 9999

// timestamp puts milliseconds on the wire.
func timestamp(ms float64) (*awsapi.Timestamp, error) {
	if math.IsNaN(ms) || ms < 0 || ms > latestMS {
		return nil, errors.New("the time is not between the years 1970 and 9999: check its unit")
	}
	return awsapi.At(time.UnixMilli(int64(math.Round(ms)))), nil
}
