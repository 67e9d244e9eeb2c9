package schema

import (
	"html"
	"strings"
	"unicode"
)

// The longest textual values, in characters: longer ones are cut. Chinese and Japanese pack more words into a
// character.
const (
	MaxText      = 20_000
	MaxTextIdeal = 7_000
)

// CleanText prepares prose as Personalize does: tags and entities of HTML and XML are removed, runs of white space and
// control characters become one space, and the text is cut at MaxText characters, or MaxTextIdeal where most of its
// letters are Chinese or Japanese.
func CleanText(text string) string {
	text = html.UnescapeString(stripTags(text))
	var b strings.Builder
	b.Grow(min(len(text), 4*MaxText))
	letters, ideographs, characters := 0, 0, 0
	end := -1 // byte position in b after MaxTextIdeal characters
	space := false
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			characters++
			space = false
		}
		if characters >= MaxText {
			break
		}
		if characters == MaxTextIdeal {
			end = b.Len()
		}
		b.WriteRune(r)
		characters++
		if unicode.IsLetter(r) {
			letters++
			if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
				ideographs++
			}
		}
	}
	cleaned := b.String()
	if end >= 0 && 2*ideographs > letters {
		cleaned = cleaned[:end]
	}
	return strings.TrimSpace(cleaned)
}

// stripTags removes what is between < and > where it looks like a tag, a comment or a declaration; "a < b" stays.
func stripTags(text string) string {
	if !strings.Contains(text, "<") {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	for {
		open := strings.IndexByte(text, '<')
		if open < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:open])
		text = text[open:]
		length := tagLength(text)
		if length == 0 {
			b.WriteByte('<')
			text = text[1:]
			continue
		}
		// The words on both sides of a tag stay apart.
		b.WriteByte(' ')
		text = text[length:]
	}
}

// maxTag bounds how far a tag is searched for its end, which keeps the cost linear in texts full of '<'.
const maxTag = 1024

// tagLength returns the length of the tag that text starts with, 0 if there is none.
func tagLength(text string) int {
	if len(text) < 3 {
		return 0
	}
	letter := text[1] | 0x20 // lower case, if it is one
	if !strings.ContainsRune("/!?", rune(text[1])) && (letter < 'a' || letter > 'z') {
		return 0
	}
	closing := ">"
	if strings.HasPrefix(text, "<!--") {
		closing = "-->"
	}
	end := strings.Index(text[:min(len(text), maxTag)], closing)
	if end < 0 {
		return 0
	}
	return end + len(closing)
}
