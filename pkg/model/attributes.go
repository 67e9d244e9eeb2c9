package model

import (
	"fmt"
	"strings"
)

// MaxAttributes bounds the conditions of one expression.
const MaxAttributes = 100

// ParseAttributes reads the itemAttributes of a batch segment job: conditions such as ITEMS.genres = "Comedy", joined
// by AND. There is nothing else in this language: no OR, no comparison but =, no brackets. Key words and the names of
// columns stand in any case; columns are given back in upper case. In a value, \" is a quotation mark and \\ a
// backslash.
//
// Errors are meant for whoever wrote the expression.
func ParseAttributes(expression string) ([]Attribute, error) {
	p := attributeParser{text: expression}
	var all []Attribute
	for {
		a, err := p.condition()
		if err != nil {
			return nil, fmt.Errorf("item attributes %q: %w", expression, err)
		}
		if all = append(all, a); len(all) > MaxAttributes {
			return nil, fmt.Errorf("item attributes have more than %d conditions", MaxAttributes)
		}
		if p.space(); p.at == len(p.text) {
			return all, nil
		}
		if word := p.word(); !strings.EqualFold(word, "AND") {
			return nil, fmt.Errorf("item attributes %q: %w", expression, p.expected("AND or the end"))
		}
	}
}

type attributeParser struct {
	text string
	at   int
	// begin is where the last token that was read begins.
	begin int
}

func (p *attributeParser) condition() (a Attribute, err error) {
	if dataset := p.word(); !strings.EqualFold(dataset, "ITEMS") {
		return a, p.expected("ITEMS.<column>")
	}
	if !p.symbol('.') {
		return a, p.expected("a dot and a column")
	}
	if a.Column = strings.ToUpper(p.word()); a.Column == "" {
		return a, p.expected("the name of a column")
	}
	if !p.symbol('=') {
		return a, p.expected("=, the only comparison here")
	}
	a.Value, err = p.value()
	return a, err
}

func (p *attributeParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	p.begin = p.at
}

func (p *attributeParser) word() string {
	p.space()
	for p.at < len(p.text) && isWord(p.text[p.at]) {
		p.at++
	}
	return p.text[p.begin:p.at]
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func (p *attributeParser) symbol(c byte) bool {
	if p.space(); p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *attributeParser) value() (string, error) {
	if !p.symbol('"') {
		return "", p.expected("a value in double quotes")
	}
	var b strings.Builder
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text) && strings.IndexByte(`"\`, p.text[p.at+1]) >= 0:
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the value at position %d has no closing quotation mark", p.begin+1)
}

func (p *attributeParser) expected(what string) error {
	return fmt.Errorf("expected %s at position %d", what, p.begin+1)
}
