package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	end tokenKind = iota
	word
	digits
	quoted
	parameter
	symbol
)

// token is a piece of an expression. Its value is the unquoted text of a string, the name of a parameter, or else the
// source itself.
type token struct {
	kind   tokenKind
	offset int
	source string
	value  string
}

// describe names the token in an error.
func (t token) describe() string {
	if t.kind == end {
		return "the end of the expression"
	}
	return shorten(t.source)
}

// shorten quotes what a client sent so that it fits a message.
func shorten(text string) string {
	const most = 64
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// scanner cuts an expression into tokens.
type scanner struct {
	text string
	at   int
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && strings.IndexByte(space, s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) next() (token, error) {
	s.skipSpace()
	if s.at == len(s.text) {
		return token{kind: end, offset: s.at}, nil
	}
	switch c := s.text[s.at]; {
	case isLetter(c):
		return s.take(word, s.wordLength()), nil
	case isDigit(c), c == '-', c == '+':
		return s.number()
	case c == '"', c == '\'':
		return s.string()
	case c == '$':
		s.at++
		length := s.wordLength()
		s.at--
		if length == 0 {
			return token{}, s.fail("found $ without a name, allowed is a parameter such as $GENRE")
		}
		t := s.take(parameter, 1+length)
		t.value = t.source[1:]
		return t, nil
	case strings.HasPrefix(s.text[s.at:], "!="), strings.HasPrefix(s.text[s.at:], "<="),
		strings.HasPrefix(s.text[s.at:], ">="):
		return s.take(symbol, 2), nil
	case strings.IndexByte("().,|*=<>", c) >= 0:
		return s.take(symbol, 1), nil
	}
	r, size := utf8.DecodeRuneInString(s.text[s.at:])
	switch r {
	case '“', '”', '„', '‘', '’':
		return token{}, s.fail("found the character %s, strings stand in \" or '", s.text[s.at:s.at+size])
	}
	return token{}, s.fail("found the character %s, which means nothing outside of a string",
		shorten(s.text[s.at:s.at+size]))
}

// name reads the name of a column, which may look like a number.
func (s *scanner) name() token {
	s.skipSpace()
	if length := s.wordLength(); length > 0 {
		return s.take(word, length)
	}
	return token{kind: end, offset: s.at}
}

func (s *scanner) take(kind tokenKind, length int) token {
	source := s.text[s.at : s.at+length]
	t := token{kind: kind, offset: s.at, source: source, value: source}
	s.at += length
	return t
}

func (s *scanner) wordLength() int {
	n := 0
	for s.at+n < len(s.text) && (isLetter(s.text[s.at+n]) || isDigit(s.text[s.at+n])) {
		n++
	}
	return n
}

func (s *scanner) number() (token, error) {
	n := 1
	for s.at+n < len(s.text) {
		c := s.text[s.at+n]
		sign := (c == '-' || c == '+') && strings.IndexByte("eE", s.text[s.at+n-1]) >= 0
		if !isDigit(c) && !isLetter(c) && c != '.' && !sign {
			break
		}
		n++
	}
	if _, err := parseNumber(s.text[s.at : s.at+n]); err != nil {
		return token{}, s.fail("%s %w", shorten(s.text[s.at:s.at+n]), err)
	}
	return s.take(digits, n), nil
}

func (s *scanner) string() (token, error) {
	value, length, err := unquote(s.text[s.at:])
	if err != nil {
		return token{}, s.fail("%w", err)
	}
	t := s.take(quoted, length)
	t.value = value
	return t, nil
}

func (s *scanner) fail(format string, arguments ...any) error {
	return &Error{Offset: s.at, Message: fmt.Errorf(format, arguments...).Error()}
}

// unquote reads the string at the beginning of text and returns its length with the quotes. A backslash takes the
// special meaning from a quote or a backslash that follows it, and is itself before anything else.
func unquote(text string) (value string, length int, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			if !utf8.ValidString(b.String()) {
				return "", 0, fmt.Errorf("the string %s is not valid UTF-8", shorten(text[:i+1]))
			}
			return b.String(), i + 1, nil
		case c == '\\' && i+1 < len(text) && strings.IndexByte(`"'\`, text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("the string %s has no closing %c", shorten(text), text[0])
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
