// Package reco holds the nouns that every part of Penchant shares: the interaction that a visitor causes, what is kept
// of it per user, the item and user records, and the recommendation that comes back. It imports nothing of
// Penchant; services, models and stores point at it and never at each other. pkg/wire encodes its nouns for Kafka.
package reco

import (
	"cmp"
	"time"
)

// Interaction is one validated PutEvents member or one imported row. Values are never modified after validation.
type Interaction struct {
	// EventID makes the interaction idempotent: of two with the same id, one counts.
	EventID string
	// UserID is empty while the visitor is anonymous.
	UserID string
	// SessionID is empty for imported rows.
	SessionID string
	// ItemID is the item; in an interaction with an action, the action.
	ItemID    string
	EventType string
	// EventValue is nil where the client gave none.
	EventValue *float64
	// TimestampMS is the event time, in milliseconds since the Unix epoch.
	TimestampMS            int64
	RecommendationID       string
	Impression             []string
	EventAttributionSource string
	// Properties holds the schema's other columns under the schema's names; values are string, int64, float64, bool or
	// nil.
	Properties map[string]any
	// Origin is the interaction's place in Kafka; its zero value marks an imported row.
	Origin Origin
}

// Key is the id whose state the interaction belongs to, and its Kafka key: the user, or the session while anonymous.
func (i *Interaction) Key() string {
	if i.UserID != "" {
		return i.UserID
	}
	return i.SessionID
}

// Recent is the part of the interaction that user states keep.
func (i *Interaction) Recent() RecentInteraction {
	return RecentInteraction{
		EventID: i.EventID, ItemID: i.ItemID, EventType: i.EventType, EventValue: i.EventValue,
		TimestampMS: i.TimestampMS,
	}
}

// Origin is a record's place in the log.
type Origin struct {
	// TopicID is Kafka's id of the topic, which no later topic of the same name shares.
	TopicID   [16]byte
	Partition int32
	Offset    int64
	// Arrival is the broker's append time.
	Arrival time.Time
}

// RecentInteraction is what models and filters see of an interaction in a user's history.
type RecentInteraction struct {
	EventID     string
	ItemID      string
	EventType   string
	EventValue  *float64
	TimestampMS int64
	// ImportedVersion is the dataset version that imported the interaction, 0 for a streamed one.
	ImportedVersion int64
}

// CompareRecent orders interactions by (event time, event id): the one order in which histories are kept, folded and
// cut, whatever order the interactions arrived in.
func CompareRecent(a, b RecentInteraction) int {
	if c := cmp.Compare(a.TimestampMS, b.TimestampMS); c != 0 {
		return c
	}
	return cmp.Compare(a.EventID, b.EventID)
}

// Entity is one row of an Items, Users or Actions dataset, imported or put.
type Entity struct {
	ID string
	// Properties holds the schema's other columns under the schema's names; values are string, int64, float64, bool or
	// nil.
	Properties map[string]any
	// Origin is zero for an imported row.
	Origin Origin
}

// Recommendation is one item of an answer.
type Recommendation struct {
	ItemID string
	// Score is nil where the recipe gives none, or the item is unknown to the model.
	Score *float64
}
