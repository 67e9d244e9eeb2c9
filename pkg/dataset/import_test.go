package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// shop is a store with a user's bucket and Penchant's bucket; here they are one.
type shop struct {
	*testing.T
	client *blob.Client
	bucket *blob.Bucket
}

func newShop(t *testing.T) *shop {
	t.Helper()
	config, name := embeddedtest.S3(t)
	client, err := blob.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &shop{t, client, client.Bucket(name)}
}

func (s *shop) put(key, content string) {
	s.Helper()
	if _, err := s.bucket.Put(s.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) request(parsed *schema.Schema, key string) ImportRequest {
	return ImportRequest{
		Source: s.client, Location: "s3://" + s.bucket.Name() + "/" + key, Bucket: s.bucket, Group: "g", Schema: parsed,
		Mode: Full,
	}
}

func (s *shop) mustImport(req ImportRequest) Version {
	s.Helper()
	v, err := Import(s.Context(), req)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

func (s *shop) current(datasetType string) Version {
	s.Helper()
	v, err := Current(s.Context(), s.bucket, "g", datasetType)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// keys are the objects of the group's datasets.
func (s *shop) keys() (keys []string) {
	s.Helper()
	for info, err := range s.bucket.List(s.Context(), "datasets/g/") {
		if err != nil {
			s.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// all collects a sequence that has no error.
func all[T any](t testing.TB, rows iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, row)
	}
	return list
}

// brief writes interactions as user/item@second.
func brief(rows []reco.Interaction) string {
	var b strings.Builder
	for _, i := range rows {
		fmt.Fprintf(&b, "%s/%s@%d ", i.UserID, i.ItemID, i.TimestampMS/1000)
	}
	return strings.TrimSpace(b.String())
}

func (s *shop) interactions() string {
	s.Helper()
	return brief(all(s, Interactions(s.Context(), s.bucket, s.current("INTERACTIONS"))))
}

func field(name string, kind schema.Kind) schema.Field { return schema.Field{Name: name, Kind: kind} }

func nullable(name string, kind schema.Kind) schema.Field {
	return schema.Field{Name: name, Kind: kind, Nullable: true}
}

var (
	smallInteractions = &schema.Schema{Type: schema.Interactions, Fields: []schema.Field{
		field("USER_ID", schema.String), field("ITEM_ID", schema.String), field("TIMESTAMP", schema.Long),
	}}
	richInteractions = &schema.Schema{Type: schema.Interactions, Fields: []schema.Field{
		field("USER_ID", schema.String), field("ITEM_ID", schema.String), field("TIMESTAMP", schema.Long),
		field("EVENT_TYPE", schema.String), nullable("EVENT_VALUE", schema.Float),
		nullable("IMPRESSION", schema.String),
		nullable("RECOMMENDATION_ID", schema.String), nullable("EVENT_ATTRIBUTION_SOURCE", schema.String),
		nullable("DEVICE", schema.String), nullable("AGE", schema.Int),
	}}
	items = &schema.Schema{Type: schema.Items, Fields: []schema.Field{
		field("ITEM_ID", schema.String), {Name: "GENRES", Kind: schema.String, Nullable: true, Categorical: true},
		nullable("PRICE", schema.Float), nullable("NEW", schema.Boolean), nullable("CREATION_TIMESTAMP", schema.Long),
		{Name: "TEXT", Kind: schema.String, Nullable: true, Textual: true},
	}}
)

func TestImportInteractions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "\xef\xbb\xbfIGNORED,TIMESTAMP,ITEM_ID,USER_ID,EVENT_TYPE,EVENT_VALUE,IMPRESSION,RECOMMENDATION_ID,EVENT_ATTRIBUTION_SOURCE,DEVICE,AGE\r\n"+
		"x,100,\"i,1\",u1,view,,,,,,\r\n"+
		"y,101,i2,u1,buy,4.99,i1|i2|,r1,mail,\"line\nbreak\",7\r\n")
	v := s.mustImport(s.request(richInteractions, "in.csv"))
	value := 4.99
	want := []reco.Interaction{
		{EventID: importedEventID(1, 0), UserID: "u1", ItemID: "i,1", EventType: "view", TimestampMS: 100_000},
		{EventID: importedEventID(
			1, 1,
		), UserID: "u1", ItemID: "i2", EventType: "buy", EventValue: &value, TimestampMS: 101_000,
			Impression: []string{"i1", "i2"}, RecommendationID: "r1", EventAttributionSource: "mail",
			Properties: map[string]any{"DEVICE": "line\nbreak", "AGE": int64(7)}},
	}
	got := all(t, Interactions(t.Context(), s.bucket, v))
	for i := range got {
		// Whether an absent property is a key with nil or no key is the file's affair.
		for name, value := range got[i].Properties {
			if value == nil {
				delete(got[i].Properties, name)
			}
		}
		if len(got[i].Properties) == 0 {
			got[i].Properties = nil
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Number != 1 || v.Base != 1 || v.Rows != 2 || v.Mode != Full || v.Imported.IsZero() {
		t.Errorf("the version is %+v", v)
	}
	if diff := cmp.Diff(v, s.current("interactions")); diff != "" {
		t.Error(diff)
	}
}

func TestImportEntities(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("items.csv", "ITEM_ID,GENRES,PRICE,NEW,CREATION_TIMESTAMP,TEXT\n"+
		`i1,Action|Crime,9.5,true,1600000000,"<p>A \"fine\" thing</p>"`+"\n"+"i2,,,,,\n"+"i1,Drama,1,false,1,\n")
	v := s.mustImport(s.request(items, "items.csv"))
	got := all(t, Entities(t.Context(), s.bucket, v))
	if len(got) != 3 || got[0].ID != "i1" || got[1].ID != "i2" || got[2].ID != "i1" {
		t.Fatalf("got %+v", got)
	}
	want := map[string]any{
		"GENRES": "Action|Crime", "PRICE": 9.5, "NEW": true, "CREATION_TIMESTAMP": int64(1600000000),
		"TEXT": `A "fine" thing`,
	}
	if diff := cmp.Diff(want, got[0].Properties); diff != "" {
		t.Error(diff)
	}
	if got[2].Properties["GENRES"] != "Drama" || got[1].Properties["GENRES"] != nil {
		t.Errorf("got %+v", got)
	}
}

func pack(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestImportFolder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in/b.csv", "ITEM_ID,TIMESTAMP,USER_ID\ni2,2,u\n")
	s.put("in/a.CSV.gz", pack("USER_ID,ITEM_ID,TIMESTAMP\nu,i1,1\nu,i1,2\n"))
	s.put("in/notes.txt", "not a table")
	s.put("in/deeper/c.csv", "neither")
	s.put("other.csv", "neither")
	s.mustImport(s.request(smallInteractions, "in/"))
	if diff := cmp.Diff("u/i1@1 u/i1@2 u/i2@2", s.interactions()); diff != "" {
		t.Error(diff)
	}
}

func TestImportDropsRepeatedRows(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP,X\nu,i,1,a\nu,i,2,a\nu,i,1,b\n")
	v := s.mustImport(s.request(smallInteractions, "in.csv"))
	if diff := cmp.Diff("u/i@1 u/i@2", s.interactions()); diff != "" || v.Rows != 2 || v.Parts[0].Repeats != 1 {
		t.Errorf("%d rows, %d repeats: %s", v.Rows, v.Parts[0].Repeats, diff)
	}
}

func TestImportModes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	header := "USER_ID,ITEM_ID,TIMESTAMP\n"
	s.put("1.csv", header+"u,one,1\n")
	s.put("2.csv", header+"u,two,1\n")
	s.put("3.csv", header+"u,three,1\n")
	incremental := func(key string) ImportRequest {
		req := s.request(smallInteractions, key)
		req.Mode = Incremental
		return req
	}
	_, err := Import(t.Context(), incremental("1.csv"))
	if reason, ok := Reason(err); !ok || !strings.Contains(reason, "FULL") {
		t.Errorf("an incremental import before a full one: %v", err)
	}
	s.mustImport(s.request(smallInteractions, "1.csv"))
	v := s.mustImport(incremental("2.csv"))
	if diff := cmp.Diff("u/one@1 u/two@1", s.interactions()); diff != "" {
		t.Error(diff)
	}
	if v.Number != 2 || v.Base != 1 || v.Rows != 2 {
		t.Errorf("the incremental version is %+v", v)
	}
	if since := v.Since(1); len(since.Parts) != 1 || since.Rows != 1 || since.Number != 2 || len(v.Parts) != 2 {
		t.Errorf("since version 1: %+v", since)
	}
	v = s.mustImport(s.request(smallInteractions, "3.csv"))
	if diff := cmp.Diff("u/three@1", s.interactions()); diff != "" || v.Number != 3 || v.Base != 3 {
		t.Errorf("version %+v: %s", v, diff)
	}
	// An incremental import with many rows keeps the order of positions across imports.
	if a, b := importedEventID(1, 99999), importedEventID(2, 0); a >= b {
		t.Errorf("%q does not sort before %q", a, b)
	}
}

func TestImportIsDoneOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	req := s.request(smallInteractions, "in.csv")
	req.ID = "job-1"
	first := s.mustImport(req)
	again := s.mustImport(req)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("run again: %s", diff)
	}
	req.ID = "job-2"
	if v := s.mustImport(req); v.Number != 2 {
		t.Errorf("another import made version %d", v.Number)
	}
	// A late repeat of the first changes nothing.
	req.ID = "job-1"
	if v := s.mustImport(req); v.Number != 2 {
		t.Errorf("the repeat answers version %d", v.Number)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	const header = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,IMPRESSION,RECOMMENDATION_ID,EVENT_ATTRIBUTION_SOURCE,DEVICE,AGE\n"
	s := newShop(t)
	address := "s3://" + s.bucket.Name() + "/in.csv"
	good := header + "u,i,1,view,,,,,,\n"
	for name, c := range map[string]struct {
		content, want string
		min           int
	}{
		"empty file":  {content: "", want: "Input CSV " + address + " is empty"},
		"mark only":   {content: "\xef\xbb\xbf\n\n", want: "is empty"},
		"header only": {content: header, want: "0 rows; an import of Interactions needs at least 1"},
		"missing columns": {
			content: "USER_ID,TIMESTAMP\n",
			want: "Input CSV is missing the following columns:[ITEM_ID, EVENT_TYPE, EVENT_VALUE, IMPRESSION, " +
				"RECOMMENDATION_ID, EVENT_ATTRIBUTION_SOURCE, DEVICE, AGE]",
		},
		"wrong case":       {content: strings.ToLower(header), want: "missing the following columns:[USER_ID, "},
		"a column twice":   {content: "USER_ID," + header, want: "has the column USER_ID twice"},
		"another encoding": {content: "\xff\xfeU\x00S\x00", want: "is not UTF-8"},
		"too few": {
			content: good, min: 1000, want: "has 1 rows; an import of Interactions needs at least 1000",
		},
		"timestamp not number": {
			content: good + "u,i,soon,view,,,,,,\n",
			want:    address + ", line 3, column TIMESTAMP: the value is not a long",
		},
		"timestamp in ms": {
			content: good + "u,i,1700000000000,view,,,,,,\n",
			want:    ", line 3, column TIMESTAMP: the value must be in Unix seconds",
		},
		"missing timestamp": {
			content: good + "u,i,,view,,,,,,\n", want: ", line 3, column TIMESTAMP: the value is empty",
		},
		"missing user": {
			content: good + ",i,1,view,,,,,,\n", want: ", line 3, column USER_ID: the value is empty",
		},
		"long id": {
			content: good + "u," + strings.Repeat("i", 257) + ",1,view,,,,,,\n",
			want:    ", line 3, column ITEM_ID: the value has more than 256 characters",
		},
		"value not number": {
			content: good + "u,i,1,view,high,,,,,\n", want: ", line 3, column EVENT_VALUE: the value is not a float",
		},
		"age not int": {
			content: good + "u,i,1,view,,,,,,7.5\n", want: ", line 3, column AGE: the value is not an int",
		},
		"long impression": {
			content: good + "u,i,1,view,," + strings.Repeat("i", 1001) + ",,,,\n",
			want:    ", line 3, column IMPRESSION: the value has more than 1000",
		},
		"not UTF-8": {
			content: good + "u,i,1,view,,,,,\xff,\n", want: ", line 3, column DEVICE: the value is not valid UTF-8",
		},
		"short row": {content: good + "u,i,1\n", want: ", line 3: the row has 3 cells, the header 10"},
		"line counts breaks": {
			content: good + "u,i,1,view,,,,,\"a\nb\nc\",\n\n,i,1,view,,,,,,\n", want: ", line 7, column USER_ID",
		},
		"bad quotes":        {content: good + "u,\"i\"x,1\n", want: ", line 3: text follows the closing quote"},
		"damaged gzip":      {content: pack(good)[:30], want: "is a damaged gzip file"},
		"gzip in name only": {content: "\x1f\x8b", want: "is a damaged gzip file"},
		"gzip bomb": {
			content: pack(strings.Repeat(" ", ratioAllowance+2<<20)), want: "longer than 1048576 bytes",
		},
		"gzip bomb of lines": {
			content: pack(good + strings.Repeat("\n", ratioAllowance+2<<20)), want: "unpacks to more than",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.put("in.csv", c.content)
			req := s.request(richInteractions, "in.csv")
			req.MinInteractions = c.min
			_, err := Import(t.Context(), req)
			if reason, ok := Reason(err); !ok || !strings.Contains(reason, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if keys := s.keys(); len(keys) > 0 {
				t.Errorf("it left %q", keys)
			}
		})
	}
}

func TestImportRefusesLocations(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("folder/notes.txt", "")
	for location, want := range map[string]string{
		"http://bucket/key": "Invalid Data location.", "s3://bucket": "Invalid Data location.",
		"s3:///key":       "Invalid Data location.",
		"s3://BUCKET/key": "Invalid Data location.", "s3://b/key": "Invalid Data location.",
		"":                           "Invalid Data location.",
		"s3://no-such-bucket/in.csv": "Insufficient privileges for accessing data in Amazon S3",
		"s3://no-such-bucket/":       "Insufficient privileges for accessing data in Amazon S3",
		"s3://" + s.bucket.Name() + "/absent.csv":   "Insufficient privileges for accessing data in Amazon S3",
		"s3://" + s.bucket.Name() + "/absent/":      "Insufficient privileges for accessing data in Amazon S3",
		"s3://" + s.bucket.Name() + "/folder/":      "Insufficient privileges for accessing data in Amazon S3",
		"s3://" + s.bucket.Name() + "/folder/a\nb/": "Invalid Data location.",
	} {
		req := s.request(smallInteractions, "")
		req.Location = location
		_, err := Import(t.Context(), req)
		if reason, _ := Reason(err); reason != want {
			t.Errorf("%s: got %v, want %q", location, err, want)
		}
	}
}

func TestImportRefusesWithoutAccess(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	config, _ := embeddedtest.S3(t)
	config.SecretKey = "wrong"
	stranger, err := blob.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	for _, key := range []string{"in.csv", ""} {
		req := s.request(smallInteractions, key)
		req.Source = stranger
		_, err := Import(t.Context(), req)
		if reason, _ := Reason(err); reason != "Insufficient privileges for accessing data in Amazon S3" {
			t.Errorf("got %v", err)
		}
	}
}

func TestImportLimitsInput(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in/1.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	s.put("in/2.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,2\n")
	req := s.request(smallInteractions, "in/")
	req.MaxBytes = 50
	_, err := Import(t.Context(), req)
	if reason, _ := Reason(err); !strings.Contains(reason, "larger than an import may be") {
		t.Errorf("got %v", err)
	}
}

func TestFailedImportChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("good.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	before := s.mustImport(s.request(smallInteractions, "good.csv"))
	keys := s.keys()
	s.put("bad.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+strings.Repeat("u,i,1\n", 10_000)+"u,i,late\n")
	_, err := Import(t.Context(), s.request(smallInteractions, "bad.csv"))
	var row *RowError
	if !errors.As(err, &row) || row.Line != 10_002 || row.Column != "TIMESTAMP" {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, s.current("INTERACTIONS")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(keys, s.keys()); diff != "" {
		t.Error(diff)
	}
}

func TestCancelledImportChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+manyRows(20_000))
	ctx, cancel := context.WithCancel(t.Context())
	req := s.request(smallInteractions, "in.csv")
	req.Progress = func(float64) { cancel() }
	_, err := Import(ctx, req)
	if _, user := Reason(err); !errors.Is(err, context.Canceled) || user {
		t.Errorf("got %v", err)
	}
	if keys := s.keys(); len(keys) > 0 {
		t.Errorf("it left %q", keys)
	}
}

func manyRows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "user%d,item%d,%d\n", i%97, i%211, i)
	}
	return b.String()
}

func TestImportNoticesAChangedFile(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	content := "USER_ID,ITEM_ID,TIMESTAMP\n" + manyRows(40_000)
	s.put("in.csv", content)
	req := s.request(smallInteractions, "in.csv")
	changed := false
	req.Progress = func(float64) {
		if !changed {
			changed = true
			s.put("in.csv", strings.Replace(content, "item", "ITEM", 1))
		}
	}
	// The answer to the first read may already hold the whole old file: then that is what was imported.
	v, err := Import(t.Context(), req)
	if reason, _ := Reason(err); err != nil && !strings.Contains(reason, "changed while it was read") {
		t.Errorf("got %v", err)
	}
	if err == nil && v.Rows != 40_000 {
		t.Errorf("%d rows", v.Rows)
	}
}

func TestImportReportsProgress(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in/1.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+manyRows(20_000))
	s.put("in/2.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+manyRows(20_000))
	req := s.request(smallInteractions, "in/")
	var shares []float64
	req.Progress = func(share float64) { shares = append(shares, share) }
	s.mustImport(req)
	if len(shares) < 10 || !slices.IsSorted(shares) || shares[0] > 0.5 || shares[len(shares)-1] != 1 {
		t.Errorf("%d reports, from %v to %v", len(shares), shares[0], shares[len(shares)-1])
	}
}

func TestConcurrentImportsLoseNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+manyRows(2_000))
	s.mustImport(s.request(smallInteractions, "in.csv"))
	const importers = 4
	for i := range importers {
		s.put(fmt.Sprintf("more%d.csv", i), fmt.Sprintf("USER_ID,ITEM_ID,TIMESTAMP\nu,i%d,1\n", i))
	}
	results := make(chan error, importers)
	for i := range importers {
		go func() {
			req := s.request(smallInteractions, fmt.Sprintf("more%d.csv", i))
			req.Mode = Incremental
			for {
				_, err := Import(s.Context(), req)
				if !errors.Is(err, errConcurrent) {
					results <- err
					return
				}
			}
		}()
	}
	for range importers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if v := s.current("INTERACTIONS"); v.Number != 1+importers || v.Rows != 2_000+importers {
		t.Errorf("version %d has %d rows", v.Number, v.Rows)
	}
	if want, got := 2+importers, len(s.keys()); got != want { // the manifest and a part of each import
		t.Errorf("%d objects, want %d", got, want)
	}
}

func TestRemoveKeepsCounting(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	s.mustImport(s.request(smallInteractions, "in.csv"))
	for range 2 {
		if err := Remove(t.Context(), s.bucket, "g", "INTERACTIONS"); err != nil {
			t.Fatal(err)
		}
		v, err := Current(t.Context(), s.bucket, "g", "INTERACTIONS")
		if !errors.Is(err, ErrNoData) || v.Number != 2 {
			t.Errorf("after removal: version %d, %v", v.Number, err)
		}
		if diff := cmp.Diff([]string{"datasets/g/INTERACTIONS/manifest.json"}, s.keys()); diff != "" {
			t.Error(diff)
		}
	}
	if v := s.mustImport(s.request(smallInteractions, "in.csv")); v.Number != 3 {
		t.Errorf("the next version is %d", v.Number)
	}
	if err := Remove(t.Context(), s.bucket, "g", "USERS"); err != nil {
		t.Errorf("removing what never was: %v", err)
	}
}

func TestSweepKeepsWhatIsReferred(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n")
	s.mustImport(s.request(smallInteractions, "in.csv"))
	old := s.keys()
	s.mustImport(s.request(smallInteractions, "in.csv"))
	if err := Sweep(t.Context(), s.bucket, "g", "INTERACTIONS", time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := len(s.keys()); got != 3 {
		t.Errorf("within the grace: %d objects", got)
	}
	if err := Sweep(t.Context(), s.bucket, "g", "INTERACTIONS", 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("u/i@1", s.interactions()); diff != "" {
		t.Error(diff)
	}
	if keys := s.keys(); len(keys) != 2 || slices.Contains(keys, old[1]) {
		t.Errorf("after the grace: %q", keys)
	}
}

func TestReadersNoticeDamage(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+manyRows(1000))
	v := s.mustImport(s.request(smallInteractions, "in.csv"))
	key := v.Parts[0].Key
	data, _, err := s.bucket.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	fewer := v
	fewer.Parts = slices.Clone(v.Parts)
	fewer.Parts[0].Rows++
	for name, c := range map[string]struct {
		version Version
		content []byte
	}{
		"cut":           {v, data[:len(data)/2]},
		"overwritten":   {v, bytes.Repeat([]byte{7}, len(data))},
		"missing a row": {fewer, data},
	} {
		s.put(key, string(c.content))
		var failure error
		for _, err := range Interactions(t.Context(), s.bucket, c.version) {
			failure = err
		}
		if failure == nil || !strings.Contains(failure.Error(), key) {
			t.Errorf("%s: got %v", name, failure)
		}
	}
}

func TestImportedEventIDsSortByPosition(t *testing.T) {
	t.Parallel()
	before := ""
	for _, at := range [][2]int64{{1, 0}, {1, 9}, {1, 10}, {1, 35}, {1, 36}, {1, 70_000_000_000}, {2, 0}, {36, 0}, {60_000_000, 5}} {
		id := importedEventID(at[0], at[1])
		if id <= before || len(id) != 13 {
			t.Errorf("the id of %v is %q, after %q", at, id, before)
		}
		before = id
	}
}
