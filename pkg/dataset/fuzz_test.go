package dataset

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// readRows parses the bytes of a file as an import does, into nothing.
func readRows(data []byte, s *schema.Schema, b interface {
	add(*table, []string, int64) *columnError
	full() bool
}, take func()) (rows int64, err error) {
	limit := int64(32 << 20)
	in, err := newInput("s3://bucket/in.csv", bytes.NewReader(data), &limit)
	if err != nil {
		return 0, err
	}
	t, err := openTable(in.name, newCSVReader(in), s)
	if err != nil {
		return 0, err
	}
	for {
		cells, err := t.next()
		if cells == nil || err != nil {
			return rows, err
		}
		if err := b.add(t, cells, rows); err != nil {
			return rows, t.wrongValue(err)
		}
		if rows++; b.full() {
			take()
		}
	}
}

// FuzzImport feeds the importer any bytes: it reads rows that keep the rules of their columns, or says what is wrong in
// words fit for a failure reason.
func FuzzImport(f *testing.F) {
	header := "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,IMPRESSION,RECOMMENDATION_ID,EVENT_ATTRIBUTION_SOURCE,DEVICE,AGE\n"
	for _, text := range []string{
		header + "u,i,1,view,4.5,a|b,r,s,phone,7\n", header + "u,\"i\n\"\"\",1,view,,,,,,\r\n", header + ",,,,,,,,,\n",
		header + "u,i\n",
		"\xef\xbb\xbf" + header, "", "ITEM_ID,GENRES,PRICE,NEW,CREATION_TIMESTAMP,TEXT\ni,a|b,1,true,2,\"x \\\" y\"\n",
		pack(header + "u,i,1,view,,,,,,\n"),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// clearing the real one costs more than the rest
		interactions := &interactionBatch{seen: make(recentHashes, 1<<8)}
		checkInteractions := func() {
			for _, i := range interactions.take() {
				checkID(t, i.UserID)
				checkID(t, i.ItemID)
				if i.EventType == "" || i.TimestampMS > 1000*schema.MaxSeconds || !utf8.ValidString(i.EventType) {
					t.Errorf("accepted %+v", i)
				}
			}
		}
		_, err := readRows(data, richInteractions, interactions, checkInteractions)
		checkInteractions()
		checkReason(t, err)

		entities := newEntityBatch(items)
		checkEntities := func() {
			for _, e := range entities.take() {
				checkEntity(t, e)
			}
		}
		_, err = readRows(data, items, entities, checkEntities)
		checkEntities()
		checkReason(t, err)
	})
}

func checkID(t *testing.T, id string) {
	if err := schema.CheckID(id); err != nil || !utf8.ValidString(id) {
		t.Errorf("accepted the id %q", id)
	}
}

func checkEntity(t *testing.T, e reco.Entity) {
	checkID(t, e.ID)
	if genres, ok := e.Properties["GENRES"].(string); ok && utf8.RuneCountInString(genres) > schema.MaxCategorical {
		t.Errorf("accepted %d characters of genres", len(genres))
	}
	if text, ok := e.Properties["TEXT"].(string); ok && utf8.RuneCountInString(text) > schema.MaxText {
		t.Errorf("kept %d characters of text", len(text))
	}
}

func checkReason(t *testing.T, err error) {
	if reason, ok := Reason(err); err != nil && (!ok || len(reason) > 2000 || !utf8.ValidString(reason)) {
		t.Errorf("the reason %q, %v", reason, ok)
	}
}
