package dataset

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// ReadInteractionsCSV reads a local file, plain or gzip, with Personalize's column names: USER_ID, ITEM_ID and
// TIMESTAMP, perhaps EVENT_TYPE, EVENT_VALUE and the other columns of interactions; columns of other names become
// properties of type string. It serves offline evaluation, which has no schemas.
//
// The order of a user's interactions is TIMESTAMP, ties broken by position in the file: the event ids, as those of an
// import, sort by position. Errors are *RowError, *InputError or the file system's, and end the sequence.
func ReadInteractionsCSV(path string) iter.Seq2[reco.Interaction, error] {
	return CheckInteractionsCSV(path, nil)
}

// CheckInteractionsCSV reads in the same way, but a row with a wrong value or too few cells is told to a function, and
// left out.
func CheckInteractionsCSV(path string, wrong func(*RowError)) iter.Seq2[reco.Interaction, error] {
	return func(yield func(reco.Interaction, error) bool) {
		row := int64(0)
		err := readFile(path, schema.Interactions, wrong, func(t *table, cells []string) (bool, error) {
			var i reco.Interaction
			if err := t.interaction(cells, &i, new(float64)); err != nil {
				return true, t.wrongValue(err)
			}
			i.EventID = importedEventID(0, row)
			row++
			return yield(i, nil), nil
		})
		if err != nil {
			yield(reco.Interaction{}, err)
		}
	}
}

// ReadItemsCSV reads the items of a local file in the same way: ITEM_ID, perhaps CREATION_TIMESTAMP, and properties of
// type string.
func ReadItemsCSV(path string) iter.Seq2[reco.Entity, error] {
	return CheckEntitiesCSV(path, schema.Items, nil)
}

// ReadUsersCSV reads the users of a local file in the same way.
func ReadUsersCSV(path string) iter.Seq2[reco.Entity, error] {
	return CheckEntitiesCSV(path, schema.Users, nil)
}

// CheckEntitiesCSV reads the rows of a file of items or users, as CheckInteractionsCSV does.
func CheckEntitiesCSV(path string, kind schema.Type, wrong func(*RowError)) iter.Seq2[reco.Entity, error] {
	return func(yield func(reco.Entity, error) bool) {
		id := (&schema.Schema{Type: kind}).IDField()
		err := readFile(path, kind, wrong, func(t *table, cells []string) (bool, error) {
			var e reco.Entity
			if err := t.entity(cells, id, &e); err != nil {
				return true, t.wrongValue(err)
			}
			return yield(e, nil), nil
		})
		if err != nil {
			yield(reco.Entity{}, err)
		}
	}
}

// readFile hands every row to a function until it wants no more. Rows that are wrong end it, unless somebody wants to
// know of them.
func readFile(path string, kind schema.Type, wrong func(*RowError), row func(*table, []string) (bool, error)) error {
	header, err := fileHeader(path)
	if err != nil {
		return err
	}
	in, closeFile, err := openFile(path)
	if err != nil {
		return err
	}
	defer closeFile()
	t, err := openTable(path, newCSVReader(in), schemaOf(kind, header))
	if err != nil {
		return err
	}
	for more := true; more; {
		cells, err := t.next()
		if cells != nil && err == nil {
			more, err = row(t, cells)
		}
		var bad *RowError
		switch {
		case cells != nil && wrong != nil && errors.As(err, &bad):
			wrong(bad)
		case cells == nil || err != nil:
			return err
		}
	}
	return nil
}

// openFile gives a file's text; closing what was only read cannot lose anything.
func openFile(path string) (in *input, closeFile func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a CSV file: %w", err)
	}
	limit := int64(math.MaxInt64)
	if in, err = newInput(path, file, &limit); err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return in, func() { _ = file.Close() }, nil
}

// fileHeader reads the first record only, for the schema that follows from it.
func fileHeader(path string) ([]string, error) {
	in, closeFile, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	t := table{file: path, csv: newCSVReader(in)}
	header, err := t.record()
	return slices.Clone(header), err
}

// schemaOf makes a schema of a header: the columns that Personalize knows with their types, the others as strings, and
// all but ids and times nullable.
func schemaOf(kind schema.Type, header []string) *schema.Schema {
	s := &schema.Schema{Type: kind}
	required := []string{s.IDField()}
	if kind == schema.Interactions {
		required = []string{"USER_ID", "ITEM_ID", "TIMESTAMP"}
	}
	for _, name := range required {
		s.Fields = append(s.Fields, schema.Field{Name: name, Kind: kindOf(name)})
	}
	for _, name := range header {
		name = strings.TrimSpace(name)
		if !slices.Contains(required, name) {
			s.Fields = append(s.Fields, schema.Field{Name: name, Kind: kindOf(name), Nullable: true})
		}
	}
	return s
}

func kindOf(name string) schema.Kind {
	switch name {
	case "TIMESTAMP", "CREATION_TIMESTAMP":
		return schema.Long
	case "EVENT_VALUE":
		return schema.Float
	}
	return schema.String
}
