package schedule

import (
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, text, zone string) *Expression {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Parse(text, location)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestNext(t *testing.T) {
	t.Parallel()
	const start = "2026-03-01T10:00:00Z" // a Sunday
	for _, c := range []struct{ expression, zone, after, want string }{
		{"rate(5 minutes)", "UTC", "2026-02-01T00:00:00Z", start},
		{"rate(5 minutes)", "UTC", start, "2026-03-01T10:05:00Z"},
		{"rate(5 minutes)", "UTC", "2026-03-01T10:04:59Z", "2026-03-01T10:05:00Z"},
		{"rate(1 day)", "UTC", "2026-03-04T10:00:01Z", "2026-03-05T10:00:00Z"},
		{"rate( 12  hours )", "UTC", "2026-03-01T22:00:00Z", "2026-03-02T10:00:00Z"},
		{"cron(0 10 * * ? *)", "UTC", "2026-02-01T00:00:00Z", start},
		{"cron(0 10 * * ? *)", "UTC", start, "2026-03-02T10:00:00Z"},
		{"cron(15 10 ? * 6L 2026-2027)", "UTC", start, "2026-03-27T10:15:00Z"},
		{"cron(0 8 1 * ? *)", "Europe/Berlin", start, "2026-04-01T06:00:00Z"},
		{"cron(0/15 8-17 ? * MON-FRI *)", "UTC", "2026-03-06T17:45:00Z", "2026-03-09T08:00:00Z"},
		{"cron(0 9 ? * mon#2 *)", "UTC", start, "2026-03-09T09:00:00Z"},
		{"cron(0 9 L * ? *)", "UTC", start, "2026-03-31T09:00:00Z"},
		{"cron(0 9 15W * ? *)", "UTC", start, "2026-03-16T09:00:00Z"},
		{"cron(0 9 ? JAN,JUL 1 *)", "UTC", start, "2026-07-05T09:00:00Z"},
		{"cron(30 2 29 2 ? *)", "UTC", start, "2028-02-29T02:30:00Z"},
		{"cron(0 9 ? * L *)", "UTC", start, "2026-03-07T09:00:00Z"},
		{"cron(0 9 ? * 2-4,7 *)", "UTC", start, "2026-03-02T09:00:00Z"},
		{"cron(0 9 31 * ? *)", "UTC", "2026-03-31T09:00:00Z", "2026-05-31T09:00:00Z"},
		{"cron(0 0 1 1 ? 2150)", "UTC", start, "2150-01-01T00:00:00Z"},
		{"cron(0 0 31 2 ? *)", "UTC", start, ""},
		{"cron(0 0 1 1 ? 2025)", "UTC", start, ""},
		{"at(2026-03-02T08:00:00)", "Asia/Tokyo", start, "2026-03-01T23:00:00Z"},
		{"at(2026-03-01T10:00:00)", "UTC", start, ""},
		{"at(2026-02-01T10:00:00)", "UTC", "2026-01-01T00:00:00Z", ""},
	} {
		due, ok := parsed(t, c.expression, c.zone).Next(moment(t, start), moment(t, c.after))
		if ok != (c.want != "") || ok && !due.Equal(moment(t, c.want)) {
			t.Errorf("%s in %s after %s: %v %v, want %q", c.expression, c.zone, c.after, due, ok, c.want)
		}
	}
}

// TestClocksThatAreChanged: a time that a day lacks is left out, one that it has twice comes once, as AWS has it.
func TestClocksThatAreChanged(t *testing.T) {
	t.Parallel()
	e := parsed(t, "cron(30 2 * * ? *)", "Europe/Berlin")
	for after, want := range map[string]string{
		"2026-03-28T12:00:00Z": "2026-03-30T00:30:00Z", "2026-10-24T12:00:00Z": "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z": "2026-10-26T01:30:00Z",
	} {
		if due, ok := e.Next(moment(t, after), moment(t, after)); !ok || !due.Equal(moment(t, want)) {
			t.Errorf("after %s comes %v, want %s", after, due, want)
		}
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "none of rate",
		"every day":                       "none of rate",
		"rate(0 minutes)":                 "not a number from 1",
		"rate(5 seconds)":                 "not rate(<n> <unit>)",
		"rate(99999999999999999 days)":    "not a number from 1",
		"rate(99999999999999999999 days)": "not a number from 1",
		"cron(0 10 * * ?)":                "has 5 fields",
		"cron(0 10 * * * *)":              "must be ?",
		"cron(0 10 ? * ? *)":              "must be ?",
		"cron(0,75 10 * * ? *)":           "75 of the minutes",
		"cron(0 24 * * ? *)":              "24 of the hours",
		"cron(0 10 * * ? 3000)":           "3000 of the year",
		"cron(0 10 ? * 0 *)":              "0 of the day of week",
		"cron(x 10 * * ? *)":              "not what cron takes",
		"at(tomorrow)":                    "is not at(",
	} {
		if _, err := Parse(text, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"rate(1 day)", "cron(0/5 8-17 ? * MON-FRI *)", "cron(0 9 LW * ? 2026/2)", "cron(1-5/2,7 * 15W 1 ? *)", "at(2026-03-02T08:00:00)"} {
		f.Add(text)
	}
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text, time.UTC)
		if err != nil {
			return
		}
		if due, ok := e.Next(now, now); ok && !due.After(now) {
			t.Errorf("%q is due at %v, which is not after %v", text, due, now)
		}
	})
}
