package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRecord bounds a CSV record, and so the memory that reading one takes.
const maxRecord = 1 << 20

// csvReader reads records as RFC 4180 has them: cells between commas, quoted where they hold commas, quotes or line
// breaks, CRLF or LF between records. It is stricter than encoding/csv in nothing and differs in three things: records
// are bounded, a byte order mark is skipped, and in chosen columns a backslash escapes quotes and backslashes inside
// quotes, as Personalize wants for textual data. Most records have no quotes and take a path that only looks for
// commas.
type csvReader struct {
	source io.Reader
	// escapes says by column where backslashes escape.
	escapes []bool

	buffer     []byte
	start, end int // of what is read and not consumed
	ended      bool
	failure    error // of the source, to be reported when the buffer is used up

	line  int // physical line, from 1, where the next record starts
	cells []string
	text  []byte // the unquoted text of a record with quotes
	ends  []int  // of its cells
}

// csvError says what is wrong with the syntax of a record.
type csvError struct{ reason string }

func (e *csvError) Error() string { return e.reason }

func newCSVReader(source io.Reader) *csvReader {
	r := &csvReader{source: source, buffer: make([]byte, 64<<10), line: 1}
	for r.end-r.start < 3 && r.fill() {
	}
	if bytes.HasPrefix(r.buffer[r.start:r.end], []byte("\xef\xbb\xbf")) {
		r.start += 3
	}
	return r
}

// next returns the cells of the next record and the line on which it starts. The slice is reused, the strings are not.
// Empty lines are skipped. It ends with io.EOF; a *csvError means that the record at line is malformed.
func (r *csvReader) next() (cells []string, line int, err error) {
	for {
		length, terminated, err := r.lineLength()
		if err != nil {
			return nil, r.line, err
		}
		record := r.buffer[r.start : r.start+length]
		line = r.line
		if bytes.IndexByte(record, '"') >= 0 {
			err := r.quoted()
			return r.cells, line, err
		}
		r.start += length
		if terminated {
			r.start++
		}
		r.line++
		if length > 0 && record[length-1] == '\r' {
			record = record[:length-1]
		}
		if len(record) > 0 {
			r.split(string(record))
			return r.cells, line, nil
		}
	}
}

// lineLength finds the next line break, or the end of the data.
func (r *csvReader) lineLength() (length int, terminated bool, err error) {
	searched := 0
	for {
		if i := bytes.IndexByte(r.buffer[r.start+searched:r.end], '\n'); i >= 0 && searched+i <= maxRecord {
			return searched + i, true, nil
		}
		searched = r.end - r.start
		if searched > maxRecord {
			return 0, false, r.tooLong()
		}
		if r.fill() {
			continue
		}
		if r.failure != nil {
			return 0, false, r.failure
		}
		if searched == 0 {
			return 0, false, io.EOF
		}
		return searched, false, nil
	}
}

func (r *csvReader) tooLong() error {
	return &csvError{fmt.Sprintf("the row is longer than %d bytes", maxRecord)}
}

func (r *csvReader) split(record string) {
	r.cells = r.cells[:0]
	for {
		i := strings.IndexByte(record, ',')
		if i < 0 {
			r.cells = append(r.cells, record)
			return
		}
		r.cells = append(r.cells, record[:i])
		record = record[i+1:]
	}
}

// quoted reads a record that has a quote on its first line.
func (r *csvReader) quoted() error {
	r.text, r.ends = r.text[:0], r.ends[:0]
	at, breaks := 0, 0
	for more := true; more; {
		var err error
		if c, ok := r.peek(at); ok && c == '"' {
			at, breaks, err = r.quotedCell(at+1, breaks)
		} else {
			at, err = r.plainCell(at)
		}
		if err != nil {
			return err
		}
		r.ends = append(r.ends, len(r.text))
		more, at = r.endOfCell(at)
	}
	if r.failure != nil && r.start+at >= r.end {
		return r.failure
	}
	r.start += at
	r.line += breaks + 1
	text, begin := string(r.text), 0
	r.cells = r.cells[:0]
	for _, end := range r.ends {
		r.cells = append(r.cells, text[begin:end])
		begin = end
	}
	return nil
}

// peek looks at a byte of the record. It has none at the end of the data, and where the record is too long.
func (r *csvReader) peek(at int) (byte, bool) {
	for r.start+at >= r.end {
		if at > maxRecord || !r.fill() {
			return 0, false
		}
	}
	return r.buffer[r.start+at], true
}

// quotedCell reads from behind the opening quote to behind the closing one, which a separator must follow.
func (r *csvReader) quotedCell(at, breaks int) (int, int, error) {
	column := len(r.ends)
	escapes := column < len(r.escapes) && r.escapes[column]
	for {
		c, ok := r.peek(at)
		if at > maxRecord {
			return 0, 0, r.tooLong()
		}
		if !ok {
			if r.failure != nil {
				return 0, 0, r.failure
			}
			return 0, 0, &csvError{"a quoted cell is not closed"}
		}
		following, _ := r.peek(at + 1)
		switch {
		case c == '"' && following == '"':
			at++
		case c == '"':
			return r.closed(at+1, breaks)
		case c == '\\' && escapes && (following == '"' || following == '\\'):
			c = following
			at++
		case c == '\r' && following == '\n':
			at++
			continue
		case c == '\n':
			breaks++
		}
		r.text = append(r.text, c)
		at++
	}
}

// closed checks what stands behind a closing quote.
func (r *csvReader) closed(at, breaks int) (int, int, error) {
	c, ok := r.peek(at)
	if ok && c == '\r' {
		if after, more := r.peek(at + 1); !more || after == '\n' {
			return at + 1, breaks, nil
		}
	}
	if ok && c != ',' && c != '\n' {
		return 0, 0, &csvError{"text follows the closing quote of a cell"}
	}
	return at, breaks, nil
}

// plainCell reads to the separator.
func (r *csvReader) plainCell(at int) (int, error) {
	for {
		c, ok := r.peek(at)
		if at > maxRecord {
			return 0, r.tooLong()
		}
		switch {
		case !ok || c == '\n':
			// The text of this cell alone: a carriage return before it may be a quoted one.
			begin := 0
			if n := len(r.ends); n > 0 {
				begin = r.ends[n-1]
			}
			if n := len(r.text); n > begin && r.text[n-1] == '\r' {
				r.text = r.text[:n-1]
			}
			return at, nil
		case c == ',':
			return at, nil
		case c == '"':
			return 0, &csvError{"a quote stands inside an unquoted cell"}
		}
		r.text = append(r.text, c)
		at++
	}
}

// endOfCell steps over the separator and reports whether another cell follows.
func (r *csvReader) endOfCell(at int) (more bool, next int) {
	c, ok := r.peek(at)
	if !ok {
		return false, at
	}
	return c == ',', at + 1
}

// fill reads more behind what is there. It reports false at the end of the data or after a failure.
func (r *csvReader) fill() bool {
	if r.ended {
		return false
	}
	if r.end == len(r.buffer) {
		r.makeRoom()
	}
	for range 100 {
		n, err := r.source.Read(r.buffer[r.end:])
		r.end += n
		if err != nil {
			r.ended = true
			if !errors.Is(err, io.EOF) {
				r.failure = err
			}
		}
		if n > 0 || r.ended {
			return n > 0
		}
	}
	r.ended, r.failure = true, io.ErrNoProgress
	return false
}

// makeRoom moves the unconsumed bytes to the front, or doubles the buffer where they fill more than half of it. Readers
// ask for more only within a record's bound, which bounds the buffer too.
func (r *csvReader) makeRoom() {
	unread := r.buffer[r.start:r.end]
	if len(unread) > len(r.buffer)/2 {
		r.buffer = append(make([]byte, 0, 2*len(r.buffer)), unread...)[:2*len(r.buffer)]
	} else {
		copy(r.buffer, unread)
	}
	r.start, r.end = 0, len(unread)
}
