package awsapi

import (
	"context"
	"strings"
)

// TraceParent is the W3C trace context under which a request is handled: the client's traceparent header where it sent
// a well-formed one, otherwise one whose trace id is the request id. Outside of a request it is "".
func TraceParent(ctx context.Context) string {
	c := callOf(ctx)
	switch {
	case validTraceParent(c.traceParent):
		return c.traceParent
	case c.id == "":
		return ""
	}
	trace := strings.ReplaceAll(c.id, "-", "")
	return "00-" + trace + "-" + trace[:16] + "-00"
}

// validTraceParent tells whether s is a traceparent of version 00: two, 32, 16 and two lower-case hexadecimal digits,
// the ids not all zero.
func validTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, parent, flags := s[3:35], s[36:52], s[53:]
	return strings.Trim(trace+parent+flags, "0123456789abcdef") == "" && strings.Trim(trace, "0") != "" &&
		strings.Trim(parent, "0") != ""
}
