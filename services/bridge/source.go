package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theory/jsonpath"
	"go.yaml.in/yaml/v3"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

// source defines where a member of an event comes from. In the file it is a path ($.user.id, or @.sku into an element
// of each), a constant (view), or an object with more to say.
type source struct {
	path      *jsonpath.Path
	ofElement bool
	header    string
	key       bool
	constant  any

	fallback any // where nothing is found
	values   map[string]string
	others   string // what becomes of texts that values lacks

	unit      string
	layout    string
	zone      *time.Location
	separator string
}

// sourceDocument is a source that has more to say.
type sourceDocument struct {
	Path   string `yaml:"path"`
	Header string `yaml:"header"`
	Key    bool   `yaml:"key"`
	Value  any    `yaml:"value"`

	Default any               `yaml:"default"`
	Values  map[string]string `yaml:"values"`
	Others  string            `yaml:"others"`

	Unit      string `yaml:"unit"`
	Format    string `yaml:"format"`
	Timezone  string `yaml:"timezone"`
	Separator string `yaml:"separator"`
}

// What becomes of a text that is not among the values.
const (
	keepOthers = "keep"
	passOthers = "skip"
	failOthers = "fail"
)

// units of times, in milliseconds; autoUnit guesses them from the number's size.
var units = map[string]float64{"s": 1000, "ms": 1, "us": 1e-3, "ns": 1e-6}

const autoUnit = "auto"

// formats of times that have names; others are layouts as Go's package time has them.
var formats = map[string]string{
	"rfc3339": time.RFC3339Nano, "rfc1123": time.RFC1123, "rfc1123z": time.RFC1123Z, "rfc850": time.RFC850,
	"ansic": time.ANSIC, "clf": "02/Jan/2006:15:04:05 -0700",
}

// UnmarshalYAML reads a path, a constant, or a sourceDocument.
func (s *source) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		if text := node.Value; node.Tag == "!!str" && (strings.HasPrefix(text, "$") || strings.HasPrefix(text, "@")) {
			return s.setPath(node, text)
		}
		var constant any
		if err := node.Decode(&constant); err != nil {
			return err
		}
		s.constant = plain(constant)
		return nil
	}
	var d sourceDocument
	if err := decodeStrictly(node, &d); err != nil {
		return err
	}
	return s.set(node, &d)
}

// decodeStrictly refuses members that mean nothing, which a node's own Decode does not.
func decodeStrictly(node *yaml.Node, into *sourceDocument) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a source is a path, a constant, or an object with path, header, key or value",
			node.Line)
	}
	known := []string{"path", "header", "key", "value", "default", "values", "others", "unit", "format", "timezone",
		"separator"}
	for i := 0; i < len(node.Content); i += 2 {
		if name := node.Content[i].Value; !slices.Contains(known, name) {
			return fmt.Errorf("line %d: a source has no member %s: it has %s", node.Content[i].Line, name,
				strings.Join(known, ", "))
		}
	}
	return node.Decode(into)
}

func (s *source) setPath(node *yaml.Node, text string) error {
	s.ofElement = strings.HasPrefix(text, "@")
	if s.ofElement {
		text = "$" + text[1:]
	}
	path, err := jsonpath.Parse(text)
	if err != nil {
		return fmt.Errorf("line %d: %q is no path: %w", node.Line, node.Value, err)
	}
	s.path = path
	return nil
}

func (s *source) set(node *yaml.Node, d *sourceDocument) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("line %d: "+format, append([]any{node.Line}, args...)...)
	}
	if d.Path != "" {
		if err := s.setPath(&yaml.Node{Line: node.Line, Value: d.Path}, d.Path); err != nil {
			return err
		}
	}
	s.header, s.key, s.constant = d.Header, d.Key, plain(d.Value)
	given := 0
	for _, is := range []bool{s.path != nil, s.header != "", s.key, s.constant != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return fail("a source has one of path, header, key and value")
	}
	s.fallback, s.values, s.others = plain(d.Default), d.Values, d.Others
	if s.others == "" {
		s.others = keepOthers
	}
	if !slices.Contains([]string{keepOthers, passOthers, failOthers}, s.others) {
		return fail("others %q: it is keep, skip or fail", s.others)
	}
	s.unit, s.separator = d.Unit, d.Separator
	if _, known := units[s.unit]; !known && s.unit != "" && s.unit != autoUnit {
		return fail("unit %q: it is s, ms, us, ns or auto", s.unit)
	}
	if err := s.setFormat(d); err != nil {
		return fail("%w", err)
	}
	return nil
}

// setFormat sets how written times are parsed.
func (s *source) setFormat(d *sourceDocument) (err error) {
	if s.layout = d.Format; s.layout != "" {
		if named, ok := formats[strings.ToLower(d.Format)]; ok {
			s.layout = named
		} else if time.Unix(0, 0).UTC().Format(s.layout) == s.layout {
			return fmt.Errorf("format %q: it is a name such as rfc3339, or a layout such as 2006-01-02 15:04:05",
				d.Format)
		}
	}
	if d.Timezone != "" {
		if s.zone, err = time.LoadLocation(d.Timezone); err != nil {
			return fmt.Errorf("timezone %q: %w", d.Timezone, err)
		}
	}
	return nil
}

// plain makes the numbers of a YAML file those of JSON.
func plain(value any) any {
	switch v := value.(type) {
	case int:
		return json.Number(strconv.Itoa(v))
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return value
}

// found returns the values that a source leads to, without nulls.
func (s *source) found(in input) []any {
	var values []any
	switch {
	case s.path != nil && s.ofElement:
		values = s.path.Select(in.element)
	case s.path != nil:
		values = s.path.Select(in.root)
	case s.header != "":
		for _, h := range in.record.Headers {
			if h.Key == s.header {
				values = []any{string(h.Value)} // of several the last counts
			}
		}
	case s.key:
		if len(in.record.Key) > 0 {
			values = []any{string(in.record.Key)}
		}
	default:
		values = []any{s.constant}
	}
	return slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == nil })
}

// value returns what a source leads to, nil if that is nothing.
func (s *source) value(in input) (any, error) {
	if s == nil {
		return nil, nil
	}
	values := s.found(in)
	switch {
	case len(values) > 1:
		return nil, fmt.Errorf("the path leads to %d values", len(values))
	case len(values) == 0 || values[0] == "":
		return s.fallback, nil
	}
	if len(s.values) == 0 {
		return values[0], nil
	}
	text, err := textOf(values[0])
	if err != nil {
		return nil, err
	}
	if other, ok := s.values[text]; ok {
		return other, nil
	}
	switch s.others {
	case passOthers:
		return nil, errPassedOver
	case failOthers:
		return nil, errors.New("the value is none of those that the mapping lists")
	}
	return text, nil
}

func (s *source) text(in input) (string, error) {
	value, err := s.value(in)
	if value == nil || err != nil {
		return "", err
	}
	return textOf(value)
}

// textOf writes ids, which may be numbers, as text.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errors.New("the value is an object or a list")
}

func (s *source) number(in input) (*float64, error) {
	value, err := s.value(in)
	if value == nil || err != nil {
		return nil, err
	}
	number, err := numberOf(value)
	if err != nil {
		return nil, err
	}
	return &number, nil
}

func numberOf(value any) (float64, error) {
	text, err := textOf(value)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
		return 0, errors.New("the value is not a number")
	}
	return number, nil
}

// time is when the event happened: as in the source, or else when the log took the record.
func (s *source) time(in input) (*awsapi.Timestamp, error) {
	value, err := s.value(in)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return awsapi.At(in.record.Arrival), nil
	}
	if s.layout != "" {
		return s.written(value)
	}
	number, err := numberOf(value)
	if err != nil && (s.unit == "" || s.unit == autoUnit) {
		if text, ok := value.(string); ok {
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				return timestamp(float64(at.UnixMilli()))
			}
		}
		return nil, errors.New("the value is neither a number nor a time as RFC 3339 has it")
	}
	if err != nil {
		return nil, err
	}
	unit, known := units[s.unit]
	if !known {
		unit = unitOf(number)
	}
	return timestamp(number * unit)
}

func (s *source) written(value any) (*awsapi.Timestamp, error) {
	text, err := textOf(value)
	if err != nil {
		return nil, err
	}
	zone := s.zone
	if zone == nil {
		zone = time.UTC
	}
	at, err := time.ParseInLocation(s.layout, text, zone)
	if err != nil {
		return nil, fmt.Errorf("the value is not a time of the format %s", s.layout)
	}
	return timestamp(float64(at.UnixMilli()))
}

// unitOf guesses the unit of a time from its size: as seconds, milliseconds and so on nobody means the year 5138.
func unitOf(number float64) float64 {
	switch {
	case number >= 1e17:
		return units["ns"]
	case number >= 1e14:
		return units["us"]
	case number >= 1e11:
		return units["ms"]
	}
	return units["s"]
}

// list are ids: those of a list, of several places, or of a text with separators.
func (s *source) list(in input) (ids []string, err error) {
	if s == nil {
		return nil, nil
	}
	for _, value := range s.found(in) {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		for _, v := range values {
			text, err := textOf(v)
			if err != nil {
				return nil, err
			}
			parts := []string{text}
			if s.separator != "" {
				parts = strings.Split(text, s.separator)
			}
			for _, part := range parts {
				if part = strings.TrimSpace(part); part != "" {
					ids = append(ids, part)
				}
			}
		}
	}
	return ids, nil
}
