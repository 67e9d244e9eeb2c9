package tracker

import (
	"errors"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/schema"
)

// properties is what an event's properties hold.
type properties struct {
	// columns holds values by the schema's column names.
	columns map[string]any
	// itemID and eventValue are where old clients put them.
	itemID     string
	eventValue *float64
}

// membersOnly are the keys that properties must not hold, because they are members of the call or the event; without
// case and underscores.
var membersOnly = map[string]bool{
	"userid": true, "sessionid": true, "eventtype": true, "timestamp": true, "recommendationid": true,
	"impression": true,
}

// eventProperties reads an event's properties. Keys that name no column are ignored; a column without a value is null,
// whatever the schema declares.
func eventProperties(text *awsapi.JSONText, s *schema.Schema) (properties, error) {
	var p properties
	err := eachProperty(text, func(key string, value any) (err error) {
		plain := plainKey(key)
		switch {
		case membersOnly[plain]:
			return errors.New("must not be among the properties")
		case value == nil:
		case plain == "itemid":
			p.itemID, err = legacyItemID(value)
		case plain == "eventvalue":
			p.eventValue, err = legacyEventValue(value)
		default:
			err = setColumn(&p.columns, s, key, value)
		}
		return err
	})
	return p, err
}

// actionProperties reads the properties of an interaction with an action. They are younger than the members that old
// clients put among an event's properties: here every key that is not forbidden means a column.
func actionProperties(text *awsapi.JSONText, s *schema.Schema) (columns map[string]any, err error) {
	err = eachProperty(text, func(key string, value any) error {
		switch {
		case membersOnly[plainKey(key)]:
			return errors.New("must not be among the properties")
		case value == nil:
			return nil
		}
		return setColumn(&columns, s, key, value)
	})
	return columns, err
}

// plainKey is a key without case and underscores.
func plainKey(key string) string { return strings.ToLower(strings.ReplaceAll(key, "_", "")) }

// entityProperties reads the properties of an item, a user or an action: every column that is not nullable must have a
// value.
func entityProperties(text *awsapi.JSONText, s *schema.Schema) (map[string]any, error) {
	var columns map[string]any
	err := eachProperty(text, func(key string, value any) error { return setColumn(&columns, s, key, value) })
	if err != nil {
		return nil, err
	}
	for _, field := range s.Fields {
		if _, given := columns[field.Name]; !given && !field.Nullable && !s.FirstClass(field.Name) {
			return nil, invalid("properties: %s is missing, and the schema does not allow null",
				schema.CamelCase(field.Name))
		}
	}
	return columns, nil
}

// eachProperty calls each for the members of properties, which are one flat JSON object. Numbers are json.Number, so
// that a long loses no digit.
func eachProperty(text *awsapi.JSONText, each func(key string, value any) error) error {
	if text == nil {
		return nil
	}
	err := eachMember(string(*text), each)
	switch {
	case errors.Is(err, errNotJSON):
		return invalid("Error parsing properties json")
	case err != nil:
		return invalid("properties: %s", err)
	}
	return nil
}

// setColumn stores a property under its column's name in the column's type. What is no column, or has a member of its
// own next to the properties, is ignored.
func setColumn(columns *map[string]any, s *schema.Schema, key string, value any) error {
	field, known := s.Property(key)
	if !known || s.FirstClass(field.Name) {
		return nil
	}
	if _, twice := (*columns)[field.Name]; twice {
		return errors.New("is given twice")
	}
	converted, err := field.Convert(value)
	if err != nil {
		return err
	}
	if *columns == nil {
		*columns = make(map[string]any, len(s.Fields))
	}
	(*columns)[field.Name] = converted
	return nil
}

func legacyItemID(value any) (string, error) {
	converted, err := schema.Field{Name: "ITEM_ID", Kind: schema.String}.Convert(value)
	if err != nil {
		return "", err
	}
	return converted.(string), nil
}

func legacyEventValue(value any) (*float64, error) {
	converted, err := schema.Field{Name: "EVENT_VALUE", Kind: schema.Float}.Convert(value)
	if err != nil {
		return nil, err
	}
	number := converted.(float64)
	return &number, nil
}
