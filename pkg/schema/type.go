package schema

import "strings"

// Type is a kind of data that a dataset group holds. One word serves everywhere: a dataset and its schema have a Type,
// and so do a topic of records and the chains of the archive that keep these. The text is the record name in schema
// documents.
type Type string

// The types, spelled as in schema documents.
const (
	Interactions Type = "Interactions"
	Items        Type = "Items"
	Users        Type = "Users"
	Actions      Type = "Actions"
	// ActionInteractions are reco.Interactions whose ItemID is an action's.
	ActionInteractions Type = "Action_Interactions"
)

// traits are what differs from type to type by name or number.
type traits struct {
	// dataset is the type as CreateDataset and ARNs spell it.
	dataset string
	// stream ends the names of topics and is the folder of the archive. Both are stored names and never change.
	stream string
	// record is one record, in CloudEvents types and in labels of metrics.
	record string
	// id is the column that identifies a row, or the item or action column of interactions.
	id string
	// history is how many of a user's newest interactions a user state keeps by default, of streamed and of imported
	// ones each. Filters look at 300 actions of each event type, of which there are three. Entities have none.
	history int
}

var types = map[Type]traits{
	Interactions: {dataset: "INTERACTIONS", stream: "interactions", record: "interaction", id: "ITEM_ID", history: 200},
	Items:        {dataset: "ITEMS", stream: "items", record: "item", id: "ITEM_ID"},
	Users:        {dataset: "USERS", stream: "users", record: "user", id: "USER_ID"},
	Actions:      {dataset: "ACTIONS", stream: "actions", record: "action", id: "ACTION_ID"},
	ActionInteractions: {
		dataset: "ACTION_INTERACTIONS", stream: "action-interactions", record: "action-interaction", id: "ACTION_ID",
		history: 900,
	},
}

// Types returns all types, in a fixed order.
func Types() []Type { return []Type{Interactions, Items, Users, Actions, ActionInteractions} }

// InteractionTypes returns the types whose records are interactions: those that user states hold.
func InteractionTypes() []Type { return []Type{Interactions, ActionInteractions} }

// ParseType finds the type of a name in any case, from a document ("Interactions") or an API call ("INTERACTIONS").
func ParseType(name string) (Type, bool) {
	return find(func(t Type) bool { return strings.EqualFold(name, string(t)) })
}

// TypeOfFolder is the inverse of Folder.
func TypeOfFolder(name string) (Type, bool) {
	return find(func(t Type) bool { return t.Folder() == name })
}

// TypeOfTopic is the inverse of Topic, for any group.
func TypeOfTopic(topic string) (Type, bool) {
	if !strings.HasPrefix(topic, topicPrefix) {
		return "", false
	}
	return find(func(t Type) bool { return strings.HasSuffix(topic, "."+types[t].stream) })
}

func find(matches func(Type) bool) (Type, bool) {
	for _, t := range Types() {
		if matches(t) {
			return t, true
		}
	}
	return "", false
}

// DatasetType is the type as CreateDataset and ARNs spell it, for example ACTION_INTERACTIONS.
func (t Type) DatasetType() string { return types[t].dataset }

const topicPrefix = "penchant."

// Topic is the name of the topic of a dataset group's records; group is the group's key.
func (t Type) Topic(group string) string { return topicPrefix + group + "." + types[t].stream }

// Folder is the name of the folder that holds the type's chains in the archive of a dataset group.
func (t Type) Folder() string { return types[t].stream }

// Record names one record of the type, for example action-interaction: a part of CloudEvents types and a label of
// metrics.
func (t Type) Record() string { return types[t].record }

// IsInteractions reports whether the records are interactions, with items or with actions, and not entities. Topics of
// interactions keep every record, those of entities are compacted.
func (t Type) IsInteractions() bool { return t == Interactions || t == ActionInteractions }

// History is how many of a user's newest interactions of the type a user state keeps by default.
func (t Type) History() int { return types[t].history }
