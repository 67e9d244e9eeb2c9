package tracker

import (
	"encoding/json"
	"errors"
	"strings"
)

var (
	errNotJSON = errors.New("not a JSON object")
	errNested  = errors.New("must be a string, number, boolean or null, not a list or object")
)

// eachMember calls each for the members of a flat JSON object, in their order: strings, json.Number, bool and nil. It
// stops at the first error, which is errNotJSON, the callback's, or errNested wrapped with the key. Each event has such
// an object, and encoding/json takes five times as long for it, most of that for a map and a decoder that live no
// longer than the call.
func eachMember(text string, each func(key string, value any) error) error {
	s := scanner{rest: text}
	if !s.take('{') {
		return errNotJSON
	}
	if s.take('}') {
		return s.end()
	}
	for {
		key, ok := s.text()
		if !ok || !s.take(':') {
			return errNotJSON
		}
		value, err := s.value()
		if errors.Is(err, errNested) {
			return memberError{key, err}
		}
		if err != nil {
			return err
		}
		if err := each(key, value); err != nil {
			return memberError{key, err}
		}
		if s.take('}') {
			return s.end()
		}
		if !s.take(',') {
			return errNotJSON
		}
	}
}

// memberError is an error about one member of an object.
type memberError struct {
	key string
	err error
}

func (e memberError) Error() string { return e.key + " " + e.err.Error() }
func (e memberError) Unwrap() error { return e.err }

// scanner reads JSON tokens off the front of rest.
type scanner struct{ rest string }

// take skips blanks and then c, if c is next.
func (s *scanner) take(c byte) bool {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// end is nil if nothing follows.
func (s *scanner) end() error {
	if strings.Trim(s.rest, " \t\r\n") != "" {
		return errNotJSON
	}
	return nil
}

func (s *scanner) value() (any, error) {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	if s.rest == "" {
		return nil, errNotJSON
	}
	switch s.rest[0] {
	case '"':
		if text, ok := s.text(); ok {
			return text, nil
		}
		return nil, errNotJSON
	case '{', '[':
		return nil, errNested
	}
	token := s.rest
	if end := strings.IndexAny(token, " \t\r\n,}"); end >= 0 {
		token = token[:end]
	}
	s.rest = s.rest[len(token):]
	switch token {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if !json.Valid([]byte(token)) {
		return nil, errNotJSON
	}
	return json.Number(token), nil
}

// text reads a string token.
func (s *scanner) text() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c == '\\' || c < ' ' || c >= 0x80:
			return s.escapedText(i)
		}
	}
	return "", false
}

// escapedText reads a string token, whose quote is taken and whose first i bytes are plain, by the library's rules.
func (s *scanner) escapedText(i int) (string, bool) {
	for ; i < len(s.rest) && s.rest[i] != '"'; i++ {
		if s.rest[i] == '\\' {
			i++
		}
	}
	if i >= len(s.rest) {
		return "", false
	}
	var text string
	err := json.Unmarshal([]byte(`"`+s.rest[:i+1]), &text)
	s.rest = s.rest[i+1:]
	return text, err == nil
}
