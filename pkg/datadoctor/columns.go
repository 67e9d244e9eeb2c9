package datadoctor

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/penchant-io/penchant/pkg/schema"
)

// columnFacts is what is known of a column: how many rows have nothing, and how many different values the others have.
type columnFacts struct {
	rows, nulls int64
	values      sample[nothing]
	texts       int64 // values that are text
	words       int64 // spaces in them
	scratch     []byte
}

func newColumn() *columnFacts { return &columnFacts{values: newSample[nothing](keptValues)} }

func (e *Examiner) columnsOf(t schema.Type) map[string]*columnFacts {
	columns := e.columns[t]
	if columns == nil {
		columns = map[string]*columnFacts{}
		e.columns[t] = columns
	}
	return columns
}

func column(columns map[string]*columnFacts, name string) *columnFacts {
	c := columns[name]
	if c == nil {
		c = newColumn()
		columns[strings.Clone(name)] = c
	}
	return c
}

// add takes a row's value. Of several categories in one cell each is a value.
func (c *columnFacts) add(value any) {
	c.rows++
	text, isText := value.(string)
	if value == nil || isText && text == "" {
		c.nulls++
		return
	}
	if !isText {
		c.scratch = appendValue(c.scratch[:0], value)
		c.values.at(xxhash.Sum64(c.scratch))
		return
	}
	c.texts++
	c.words += int64(strings.Count(text, " "))
	for category := range strings.SplitSeq(text, "|") {
		c.values.at(hashID(category))
	}
}

func (c *columnFacts) filled() int64 { return c.rows - c.nulls }
