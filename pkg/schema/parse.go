package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDocument is the longest accepted schema document, in characters.
const MaxDocument = 20_000

// Parse reads a schema document and checks every rule that a dataset of its type has. A domain (DomainECommerce,
// DomainVideoOnDemand) adds its own; it is empty for schemas of custom dataset groups. Errors name the field and the
// rule, and never repeat more than a name from the document.
func Parse(avroJSON, domain string) (*Schema, error) {
	if n := utf8.RuneCountInString(avroJSON); n > MaxDocument {
		return nil, fmt.Errorf("schema has %d characters, at most %d are allowed", n, MaxDocument)
	}
	if _, known := domainReserved[domain]; domain != "" && !known {
		return nil, fmt.Errorf("domain %s is not one of %s, %s", quote(domain), DomainECommerce, DomainVideoOnDemand)
	}
	var doc document
	if err := decodeStrict([]byte(avroJSON), &doc); err != nil {
		return nil, fmt.Errorf("schema is not valid JSON of a record: %w", err)
	}
	s, err := doc.schema()
	if err != nil {
		return nil, err
	}
	if err := s.check(domain); err != nil {
		return nil, err
	}
	s.index()
	return s, nil
}

type document struct {
	Type   json.RawMessage `json:"type"`
	Name   string          `json:"name"`
	Fields *[]docField     `json:"fields"`
}

type docField struct {
	Name        string          `json:"name"`
	Type        json.RawMessage `json:"type"`
	Categorical bool            `json:"categorical"`
	Textual     bool            `json:"textual"`
}

// decodeStrict refuses what follows the document: encoding/json would stop reading at its end.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

func (d *document) schema() (*Schema, error) {
	var record string
	if json.Unmarshal(d.Type, &record) != nil || record != "record" {
		return nil, errors.New(`schema must have "type": "record"`)
	}
	t, ok := ParseType(d.Name)
	if !ok {
		return nil, fmt.Errorf("schema name %s is not one of Interactions, Items, Users, Actions, Action_Interactions",
			quote(d.Name))
	}
	if d.Fields == nil || len(*d.Fields) == 0 {
		return nil, errors.New("schema has no fields")
	}
	s := &Schema{Type: t, Fields: make([]Field, 0, len(*d.Fields))}
	for i, df := range *d.Fields {
		f, err := df.field(i)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, f)
	}
	return s, nil
}

func (d *docField) field(position int) (Field, error) {
	if d.Name == "" {
		return Field{}, fmt.Errorf("field %d has no name", position+1)
	}
	if !legalName(d.Name) {
		return Field{}, fmt.Errorf("field %s: a name consists of letters, digits and underscores, at most %d",
			quote(d.Name), maxName)
	}
	f := Field{Name: d.Name, Categorical: d.Categorical, Textual: d.Textual}
	var err error
	if f.Kind, f.Nullable, err = parseFieldType(d.Type); err != nil {
		return Field{}, fmt.Errorf("field %s: %w", f.Name, err)
	}
	return f, nil
}

const maxName = 256

func legalName(name string) bool {
	alphanumeric := 0
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			alphanumeric++
		case c != '_':
			return false
		}
	}
	return alphanumeric > 0 && len(name) <= maxName
}

// parseFieldType reads "string" or a union of one type and perhaps null.
func parseFieldType(raw json.RawMessage) (kind Kind, nullable bool, err error) {
	if len(raw) == 0 {
		return 0, false, errors.New("the type is missing")
	}
	var union []json.RawMessage
	if json.Unmarshal(raw, &union) != nil {
		union = []json.RawMessage{raw}
	}
	kinds := 0
	for _, member := range union {
		var name string
		if json.Unmarshal(member, &name) != nil {
			return 0, false, errors.New("nested types are not allowed")
		}
		switch name {
		case "null":
			if nullable {
				return 0, false, errors.New("the union has null twice")
			}
			nullable = true
		case "array", "map", "record", "enum", "fixed", "union":
			return 0, false, fmt.Errorf("nested type %s is not allowed", name)
		default:
			k, ok := parseKind(name)
			if !ok {
				return 0, false, fmt.Errorf("type %s is not one of string, int, long, float, double, boolean, null",
					quote(name))
			}
			kind = k
			kinds++
		}
	}
	if kinds != 1 {
		return 0, false, errors.New("the type must be one of string, int, long, float, double, boolean, alone or in a union with null")
	}
	return kind, nullable, nil
}

// check applies the rules of the dataset type and the domain.
func (s *Schema) check(domain string) error {
	if domain != "" && (s.Type == Actions || s.Type == ActionInteractions) {
		return fmt.Errorf("domain %s has no %s dataset", domain, s.Type)
	}
	if err := s.checkNames(); err != nil {
		return err
	}
	for _, f := range s.Fields {
		if err := s.checkAttributes(f); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	for _, r := range reservedOf(s.Type, domain) {
		f, ok := s.Field(r.name)
		if !ok {
			if r.required {
				return fmt.Errorf("field %s: the %s dataset requires it", r.name, s.Type)
			}
			continue
		}
		if err := r.check(f); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return s.checkMetadataCount()
}

// checkNames compares names without case and underscores: the same comparison makes camelCase keys unambiguous.
func (s *Schema) checkNames() error {
	seen := make(map[string]string, len(s.Fields))
	for _, f := range s.Fields {
		plain := strings.ToLower(strings.ReplaceAll(f.Name, "_", ""))
		if other, ok := seen[plain]; ok {
			return fmt.Errorf("field %s: duplicates field %s (names are compared without case and underscores)", f.Name,
				other)
		}
		seen[plain] = f.Name
	}
	return nil
}

func (s *Schema) checkAttributes(f Field) error {
	switch {
	case f.Categorical && f.Kind != String:
		return errors.New("only string fields can be categorical")
	case f.Textual && f.Kind != String:
		return errors.New("only string fields can be textual")
	case f.Textual && s.Type != Items:
		return errors.New("only fields of Items can be textual")
	case f.Textual && f.Categorical:
		return errors.New("a field is either categorical or textual")
	}
	return nil
}

func (r *reservedField) check(f Field) error {
	if !slices.Contains(r.kinds, f.Kind) {
		return fmt.Errorf("the type must be %s, not %s", kindList(r.kinds), f.Kind)
	}
	if f.Nullable && !r.nullable {
		return fmt.Errorf("the type must be %s without null", kindList(r.kinds))
	}
	switch {
	case r.plain && f.Categorical:
		return errors.New("must not be categorical")
	case r.plain && f.Textual:
		return errors.New("must not be textual")
	case r.categorical && !f.Categorical:
		return errors.New("must be categorical")
	case r.textual && !f.Textual:
		return errors.New("must be textual")
	}
	return nil
}

func (s *Schema) checkMetadataCount() error {
	rules := customRules[s.Type]
	metadata := 0
	for _, f := range s.Fields {
		if !containsReserved(rules.reserved, f.Name) {
			metadata++
		}
	}
	// The value and validity of an action are its metadata.
	if s.Type == Actions {
		metadata = len(s.Fields) - 1
	}
	switch {
	case metadata < rules.minMetadata:
		return fmt.Errorf("the %s dataset requires at least %d metadata field besides the required and reserved ones",
			s.Type, rules.minMetadata)
	case metadata > rules.maxMetadata:
		return fmt.Errorf("the %s dataset has %d metadata fields, at most %d are allowed", s.Type, metadata,
			rules.maxMetadata)
	}
	return nil
}

func (s *Schema) index() {
	s.byKey = make(map[string]int, 2*len(s.Fields))
	// No key means two fields: checkNames refuses names that are equal but for case and underscores.
	for i, f := range s.Fields {
		s.byKey[CamelCase(f.Name)] = i
		s.byKey[f.Name] = i
	}
}

func kindList(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return strings.Join(names, " or ")
}

// quote shortens what a user sent so that it fits a message.
func quote(text string) string {
	const most = 64
	runes := []rune(text)
	if len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
