package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadInteractionsCSV(t *testing.T) {
	t.Parallel()
	content := "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,DEVICE\nu,b,5,view,,phone\nu,a,5,buy,2.5,\n"
	value := 2.5
	want := []reco.Interaction{
		{
			EventID: importedEventID(0, 0), UserID: "u", ItemID: "b", EventType: "view", TimestampMS: 5000,
			Properties: map[string]any{"DEVICE": "phone"},
		},
		{
			EventID: importedEventID(0, 1), UserID: "u", ItemID: "a", EventType: "buy", EventValue: &value,
			TimestampMS: 5000, Properties: map[string]any{"DEVICE": nil},
		},
	}
	for _, path := range []string{writeFile(t, "a.csv", content), writeFile(t, "a.csv.gz", pack(content))} {
		if diff := cmp.Diff(want, all(t, ReadInteractionsCSV(path))); diff != "" {
			t.Error(diff)
		}
	}
	for range ReadInteractionsCSV(writeFile(t, "a.csv", content)) {
		break // a reader may stop early
	}
}

func TestReadEntitiesCSV(t *testing.T) {
	t.Parallel()
	got := all(t, ReadItemsCSV(writeFile(t, "i.csv", "TITLE,ITEM_ID,CREATION_TIMESTAMP\n\"A, B\",i,7\n")))
	want := []reco.Entity{{ID: "i", Properties: map[string]any{"TITLE": "A, B", "CREATION_TIMESTAMP": int64(7)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = all(t, ReadUsersCSV(writeFile(t, "u.csv", "USER_ID,AGE\nu,30\n")))
	if diff := cmp.Diff([]reco.Entity{{ID: "u", Properties: map[string]any{"AGE": "30"}}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckCSVGoesOnBehindWrongRows(t *testing.T) {
	t.Parallel()
	var wrong []string
	note := func(row *RowError) { wrong = append(wrong, fmt.Sprint(row.Line, row.Column)) }
	path := writeFile(t, "a.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,a,1\nu,b,soon\nu,c\nu,d,1700000000000\nu,e,2\n")
	if got := all(t, CheckInteractionsCSV(path, note)); len(got) != 2 || got[1].ItemID != "e" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{"3TIMESTAMP", "4", "5TIMESTAMP"}, wrong); diff != "" {
		t.Error(diff)
	}
	wrong = nil
	if got := all(
		t, CheckEntitiesCSV(writeFile(t, "i.csv", "ITEM_ID,X\n,1\nb,2\n"), schema.Items, note),
	); len(got) != 1 || got[0].ID != "b" || len(wrong) != 1 {
		t.Errorf("got %+v, wrong are %v", got, wrong)
	}
}

func TestReadCSVFails(t *testing.T) {
	t.Parallel()
	last := func(path string) (failure error) {
		for _, err := range ReadInteractionsCSV(path) {
			failure = err
		}
		return failure
	}
	if err := last(filepath.Join(t.TempDir(), "absent.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	var input *InputError
	if err := last(writeFile(t, "a.csv", "USER_ID,ITEM_ID\n")); !errors.As(err, &input) {
		t.Errorf("missing column: %v", err)
	}
	var row *RowError
	if err := last(writeFile(t, "a.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\nu,i,x\n")); !errors.As(err, &row) ||
		row.Line != 3 {
		t.Errorf("bad row: %v", err)
	}
}
