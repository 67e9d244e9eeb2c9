// Package constraint checks the constraints that the Personalize API models put on the members of a request: presence,
// length, pattern, enumeration, range and count. The generated request types call it; its messages are worded as AWS
// words them, so that what a client's developers know from AWS they recognise here.
package constraint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Violation is the first broken constraint of a request.
type Violation struct {
	// path is the member, from the request down: `eventList.1.member.itemId`, list positions counted from one.
	path string
	// value is the offending value in quotes, "null" for a missing member, "" where the model calls the value
	// sensitive.
	value string
	rule  string
}

// Missing is the violation of a required member that is absent.
func Missing(member string) *Violation {
	return &Violation{path: member, value: "null", rule: "Member must not be null"}
}

// In places a violation under a member of the enclosing structure.
func (v *Violation) In(member string) *Violation {
	if v.path == "" {
		v.path = member
	} else {
		v.path = member + "." + v.path
	}
	return v
}

// At places a violation at position i, counted from zero, of the enclosing list.
func (v *Violation) At(i int) *Violation { return v.In(strconv.Itoa(i+1) + ".member") }

// Key places a violation at a key of the enclosing map.
func (v *Violation) Key(string) *Violation { return v.In("key") }

// Value places a violation at the value under a key of the enclosing map.
func (v *Violation) Value(key string) *Violation { return v.In(key + ".member") }

// Error names the member, its value and the rule.
func (v *Violation) Error() string {
	value := v.value
	if value != "" {
		value += " "
	}
	return fmt.Sprintf("1 validation error detected: Value %sat '%s' failed to satisfy constraint: %s", value, v.path, v.rule)
}

// String is the constraint on a string. Zero members constrain nothing.
type String struct {
	// Min and Max bound the length in Unicode characters; Max 0 is no bound.
	Min, Max int
	// Pattern must match the whole string.
	Pattern *Pattern
	Enum    []string
	// Sensitive values are kept out of messages.
	Sensitive bool
}

// Check returns the first rule that s breaks, or nil.
func (c *String) Check(s string) *Violation {
	// A string has at most as many characters as bytes: counting is needed near the bounds only.
	if len(s) > c.Max && c.Max > 0 && utf8.RuneCountInString(s) > c.Max {
		return c.violation(s, fmt.Sprintf("Member must have length less than or equal to %d", c.Max))
	}
	if len(s) < 4*c.Min && utf8.RuneCountInString(s) < c.Min {
		return c.violation(s, fmt.Sprintf("Member must have length greater than or equal to %d", c.Min))
	}
	if c.Pattern != nil && !c.Pattern.matches(s) {
		return c.violation(s, "Member must satisfy regular expression pattern: "+c.Pattern.text)
	}
	if c.Enum != nil && !slices.Contains(c.Enum, s) {
		return c.violation(s, "Member must satisfy enum value set: ["+strings.Join(c.Enum, ", ")+"]")
	}
	return nil
}

// shownValue bounds how much of a value a message repeats, in bytes.
const shownValue = 256

func (c *String) violation(s, rule string) *Violation {
	if c.Sensitive {
		return &Violation{rule: rule}
	}
	if len(s) > shownValue {
		s = strings.ToValidUTF8(s[:shownValue], "") + "…"
	}
	return &Violation{value: "'" + s + "'", rule: rule}
}

// Number is the constraint on an integer or a floating-point number; a nil bound is none.
type Number struct{ Min, Max *float64 }

// Bound is a bound of a Number.
func Bound(v float64) *float64 { return &v }

// Check returns the rule that x breaks, or nil.
func (c *Number) Check(x float64) *Violation {
	switch {
	case c.Min != nil && x < *c.Min:
		return numberViolation(x, "greater", *c.Min)
	case c.Max != nil && x > *c.Max:
		return numberViolation(x, "less", *c.Max)
	}
	return nil
}

func numberViolation(x float64, direction string, bound float64) *Violation {
	return &Violation{value: "'" + decimal(x) + "'", rule: "Member must have value " + direction + " than or equal to " + decimal(bound)}
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// Count is the constraint on the number of members of a list or a map; Max 0 is no bound.
type Count struct{ Min, Max int }

// Check returns the rule that n members break, or nil.
func (c *Count) Check(n int) *Violation {
	switch {
	case n < c.Min:
		return &Violation{value: countOf(n), rule: fmt.Sprintf("Member must have length greater than or equal to %d", c.Min)}
	case c.Max > 0 && n > c.Max:
		return &Violation{value: countOf(n), rule: fmt.Sprintf("Member must have length less than or equal to %d", c.Max)}
	}
	return nil
}

func countOf(n int) string { return fmt.Sprintf("'[%d members]'", n) }

// Pattern is a regular expression that a whole string must match.
type Pattern struct {
	text    string
	matches func(string) bool
}

// MustPattern compiles a model's pattern; it panics if the expression is not one that Go knows.
func MustPattern(text string) *Pattern {
	if text == arnPattern {
		return &Pattern{text: text, matches: isARN}
	}
	return &Pattern{text: text, matches: regexp.MustCompile(`^(?:` + text + `)$`).MatchString}
}

// arnPattern is the one pattern in the path of every recommendation: the regular expression would take as long as a
// small model.
const arnPattern = `arn:([a-z\d-]+):personalize:.*:.*:.+`

// isARN says what arnPattern says.
func isARN(s string) bool {
	rest, ok := strings.CutPrefix(s, "arn:")
	partition, rest, found := strings.Cut(rest, ":")
	if !ok || !found || partition == "" || strings.Trim(partition, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return false
	}
	rest, ok = strings.CutPrefix(rest, "personalize:")
	_, rest, regionEnds := strings.Cut(rest, ":")
	_, resource, accountEnds := strings.Cut(rest, ":")
	return ok && regionEnds && accountEnds && resource != "" && !strings.Contains(s, "\n")
}
