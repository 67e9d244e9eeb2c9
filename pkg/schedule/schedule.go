// Package schedule reads AWS's schedule expressions and says when they are due: rate(<n> <unit>), cron(<six fields>)
// and at(<time>). The retrainer uses it for automatic training, the workflows for the schedules of state machines.
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own

	"github.com/adhocore/gronx"
)

// Expression is a schedule expression.
type Expression struct {
	// One of them is set.
	period time.Duration
	cron   string // in gronx' dialect
	zone   *time.Location
	at     time.Time
}

var (
	rate    = regexp.MustCompile(`^rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)$`)
	cron    = regexp.MustCompile(`^cron\(\s*(.+?)\s*\)$`)
	at      = regexp.MustCompile(`^at\(\s*(\S+)\s*\)$`)
	numbers = regexp.MustCompile(`\d+`)
	digits  = regexp.MustCompile(`[1-7]`)
)

// maxPeriod is far more than anybody waits, and far less than what overflows.
const maxPeriod = 100 * 365 * 24 * time.Hour

// Parse reads an expression. cron and at mean times of a zone.
func Parse(text string, zone *time.Location) (*Expression, error) {
	if strings.HasPrefix(text, "rate(") {
		period, err := ParseRate(text)
		return &Expression{period: period}, err
	}
	if match := cron.FindStringSubmatch(text); match != nil {
		fields, err := parseCron(match[1])
		if err != nil {
			return nil, fmt.Errorf("schedule expression %q: %w", text, err)
		}
		return &Expression{cron: fields, zone: zone}, nil
	}
	if match := at.FindStringSubmatch(text); match != nil {
		due, err := time.ParseInLocation("2006-01-02T15:04:05", match[1], zone)
		if err != nil {
			return nil, fmt.Errorf("schedule expression %q is not at(yyyy-mm-ddThh:mm:ss)", text)
		}
		return &Expression{at: due}, nil
	}
	return nil, fmt.Errorf("schedule expression %q is none of rate(<n> <unit>), cron(<fields>) and at(<time>)", text)
}

// ParseRate reads rate(<n> <unit>), with the units minute, hour and day, or their plurals.
func ParseRate(text string) (time.Duration, error) {
	match := rate.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf(
			"schedule expression %q is not rate(<n> <unit>), with a unit of minutes, hours or days", text,
		)
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[match[2]]
	n, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil || n < 1 || n > int64(maxPeriod/unit) {
		return 0, fmt.Errorf("schedule expression %q: %s is not a number from 1 to %d", text, match[1], maxPeriod/unit)
	}
	return time.Duration(n) * unit, nil
}

// cronFields are the fields with their bounds, as AWS has them.
var cronFields = []struct {
	name        string
	first, last int
}{{"minutes", 0, 59}, {"hours", 0, 23}, {"day of month", 1, 31}, {"month", 1, 12}, {"day of week", 1, 7}, {"year", 1970, 2199}}

const dayOfWeek = 4

// parseCron turns AWS's six fields into gronx', which begin with the seconds and count the days of the week from 0.
func parseCron(text string) (string, error) {
	fields := strings.Fields(strings.ToUpper(text))
	if len(fields) != len(cronFields) {
		return "", fmt.Errorf(
			"it has %d fields, not minutes, hours, day of month, month, day of week and year", len(fields),
		)
	}
	if (fields[2] == "?") == (fields[4] == "?") {
		return "", errors.New("one of day of month and day of week must be ?, and only one")
	}
	for i, field := range cronFields {
		elements := strings.Split(fields[i], ",")
		for j, element := range elements {
			value := element
			if at := strings.IndexAny(element, "/#"); at >= 0 {
				value = element[:at]
			}
			for _, number := range numbers.FindAllString(value, -1) {
				if n, err := strconv.Atoi(number); err != nil || n < field.first || n > field.last {
					return "", fmt.Errorf(
						"%s of the %s is not from %d to %d", number, field.name, field.first, field.last,
					)
				}
			}
			if i == dayOfWeek {
				if value == "L" {
					value = "7" // alone it is Saturday
				}
				elements[j] = digits.ReplaceAllStringFunc(
					value, func(day string) string { return string(day[0] - 1) },
				) + element[min(len(value), len(element)):]
			}
		}
		fields[i] = strings.Join(elements, ",")
	}
	expression := "0 " + strings.ReplaceAll(strings.Join(fields, " "), "?", "*")
	if !gronx.IsValid(expression) {
		return "", errors.New("the fields are not what cron takes")
	}
	return expression, nil
}

// Next is the first time after another one at which the expression is due, and whether there is one. Nothing is due
// before start, and a rate is due there for the first time.
func (e *Expression) Next(start, after time.Time) (due time.Time, ok bool) {
	switch {
	case e.cron != "":
		// Whole seconds are looked at.
		from, inclusive := after.Truncate(time.Second), false
		if after.Before(start) {
			from, inclusive = start.Add(time.Second-time.Nanosecond).Truncate(time.Second), true
		}
		next, err := gronx.NextTickAfter(e.cron, from.In(e.zone), inclusive)
		return next, err == nil // the error says that there is none
	case e.period > 0:
		if after.Before(start) {
			return start, true
		}
		return start.Add((after.Sub(start)/e.period + 1) * e.period), true
	}
	return e.at, e.at.After(after) && !e.at.Before(start)
}
