package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// csvFile is an import: of one file, or of a folder where the key ends in a slash.
type csvFile struct {
	name, key string
	dataset   string
	// content is written under the key, or files by their names in the folder.
	content string
	files   map[string]string
	// rows is what the dataset has afterwards; 0: the job fails, with all of reason in its failureReason.
	rows   int64
	reason []string
	// last, if set, is the item of the last row.
	last string
}

// csv imports files as they are found in the wild (§4.2, §4.3). An import brings all rows or changes nothing, and says
// then which rule was broken in which file, on which line and in which column.
func (s *badShop) csv() {
	const header = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,NUM_RATINGS,PRICE,GIFT,DEVICE\n"
	const rows = badShopMinInteractions
	good := goodCSV(rows)
	x := strings.Repeat
	// plus is a good file with one more row, on line 22.
	plus := func(row string) string { return good + row }
	instead := func(column int, cell string) string { // a row with one cell of another kind
		cells := strings.Split("u,i,1700000000,view,,,,,", ",")
		cells[column] = cell
		return plus(strings.Join(cells, ",") + "\n")
	}
	const line = "line 22"
	ok := func(name, content string, more int64, last string) csvFile {
		return csvFile{name: name, content: content, rows: rows + more, last: last}
	}
	bad := func(name, content string, reason ...string) csvFile {
		return csvFile{name: name, content: content, reason: reason}
	}
	files := []csvFile{
		ok("plain", good, 0, ""),
		ok("byte order mark", "\ufeff"+good, 0, ""),
		ok("CRLF", strings.ReplaceAll(good, "\n", "\r\n"), 0, ""),
		ok("no line end at the end", strings.TrimSuffix(good, "\n"), 0, ""),
		ok("blank lines", strings.ReplaceAll(good, "\n", "\n\n")+"\r\n\n", 0, ""),
		ok("quoted header", `"USER_ID","ITEM_ID","TIMESTAMP","EVENT_TYPE","EVENT_VALUE","NUM_RATINGS","PRICE","GIFT","DEVICE"`+strings.TrimPrefix(good, strings.TrimSuffix(header, "\n")), 0, ""),
		ok("blanks in the header", strings.Replace(good, "USER_ID,ITEM_ID", " USER_ID , ITEM_ID", 1), 0, ""),
		ok("columns in another order, and more of them", reordered(rows), 0, ""),
		ok("quotes, commas and line breaks", plus("u,\"a,\"\"b\"\"\nc\",1,view,,,,,\n"), 1, "a,\"b\"\nc"),
		ok("CRLF inside quotes", plus("u,\"a\r\nb\",1,view,,,,,\r\n"), 1, "a\nb"),
		ok("quoted numbers and nulls", plus(`"u","i","1","view","","","","",""`+"\n"), 1, "i"),
		ok("text of all planes", plus("u,日本\U0001F600\u202e,1,view,,,,,\n"), 1, "日本\U0001F600\u202e"),
		ok("zero byte in a cell", plus("u,a\x00b,1,view,,,,,\n"), 1, "a\x00b"),
		ok("longest id and category", plus("u,"+x("é", 256)+",1,view,,,,,"+x("é", 1000)+"\n"), 1, x("é", 256)),
		ok("largest numbers", plus("u,i,100000000000,view,3.4e38,-2147483648,1.7e308,true,a|b\n"), 1, "i"),
		ok("repeated rows count once", good+strings.TrimPrefix(good, header), 0, ""),
		ok("gzip by another name", gzipped(good), 0, ""),
		{name: "gzip by its name", key: "gz.csv.gz", content: gzipped(good), rows: rows},
		{name: "plain by the name of gzip", key: "plain.csv.gz", content: good, rows: rows},
		ok("gzip of two members", gzipped(good)+gzipped("u,i,1,view,,,,,\n"), 1, "i"),
		{name: "folder", key: "folder/", rows: 2 * rows, files: map[string]string{
			"a.csv": good, "b.csv": strings.ReplaceAll(good, "user", "other"), "sub/c.csv": "bad", "readme.txt": "bad", "_SUCCESS": ""}},

		bad("empty", "", "is empty", "header"),
		bad("header only", header, "has 0 rows", "at least 20"),
		bad("one row too few", good[:strings.LastIndex(strings.TrimSuffix(good, "\n"), "\n")+1], "has 19 rows", "at least 20"),
		bad("no header", strings.TrimPrefix(good, header), "missing the following columns", "USER_ID"),
		bad("header in lower case", strings.ToLower(good), "missing the following columns", "USER_ID"),
		bad("column missing", strings.Replace(good, "DEVICE", "DEVICES", 1), "Input CSV is missing the following columns:[DEVICE]"),
		bad("column twice", strings.Replace(good, "DEVICE", "PRICE", 1), "the column PRICE twice"),
		bad("semicolons", strings.ReplaceAll(good, ",", ";"), "missing the following columns"),
		bad("tabs", strings.ReplaceAll(good, ",", "\t"), "missing the following columns"),
		bad("line ends of old", strings.ReplaceAll(good, "\n", "\r"), "missing the following columns"),
		bad("UTF-16", utf16Of(good), "not UTF-8"),
		bad("UTF-16 without mark", strings.TrimPrefix(utf16Of(good), "\xff\xfe"), "missing the following columns"),
		bad("JSON", `[{"USER_ID":"u"}]`, "line 1", "quote"),
		bad("Parquet", "PAR1\x15\x04\x15\x80"+x("\x00\xff", 500)+"PAR1", "UTF-8"),
		bad("ZIP", "PK\x03\x04\x14\x00\x00\x00\x08\x00"+x("\x9c\xff", 500), "UTF-8"),
		bad("zero bytes", x("\x00", 10_000), "missing the following columns"),
		bad("a cell too few", plus("u,i,1,view,,,,\n"), line, "8 cells", "9"),
		bad("a cell too many", plus("u,i,1,view,,,,,,\n"), line, "10 cells", "9"),
		bad("unclosed quote", plus("u,\"i,1,view,,,,,\n"+x("u,i,1,view,,,,,\n", 10)), line, "not closed"),
		bad("quote inside a cell", plus("u,a\"b,1,view,,,,,\n"), line, "quote"),
		bad("text behind a quote", plus("u,\"a\"b,1,view,,,,,\n"), line, "closing quote"),
		bad("milliseconds", instead(2, "1700000000000"), line, "column TIMESTAMP", "milliseconds"),
		bad("a date", instead(2, "2023-11-14"), line, "column TIMESTAMP", "long"),
		bad("a fraction of a second", instead(2, "1.5"), line, "column TIMESTAMP", "long"),
		bad("a time beyond numbers", instead(2, "99999999999999999999"), line, "column TIMESTAMP", "range of a long"),
		bad("blank before a number", instead(2, " 1"), line, "column TIMESTAMP", "long"),
		bad("no timestamp", instead(2, ""), line, "column TIMESTAMP", "empty"),
		bad("no user", instead(0, ""), line, "column USER_ID", "empty"),
		bad("long user", instead(0, x("u", 257)), line, "column USER_ID", "256"),
		bad("no item", instead(1, ""), line, "column ITEM_ID", "empty"),
		bad("long item", instead(1, x("é", 257)), line, "column ITEM_ID", "256"),
		bad("item that is not UTF-8", instead(1, "caf\xe9"), line, "column ITEM_ID", "UTF-8"),
		bad("surrogate", instead(1, "\xed\xa0\x80"), line, "column ITEM_ID", "UTF-8"),
		bad("category that is not UTF-8", instead(8, "\xff"), line, "column DEVICE", "UTF-8"),
		bad("long category", instead(8, x("a|", 501)), line, "column DEVICE", "1000"),
		bad("no event type", instead(3, ""), line, "column EVENT_TYPE", "empty"),
		bad("long event type", instead(3, x("e", 257)), line, "column EVENT_TYPE", "256"),
		bad("a float beyond floats", instead(4, "1e39"), line, "column EVENT_VALUE", "range of a float"),
		bad("not a number", instead(4, "NaN"), line, "column EVENT_VALUE", "float"),
		bad("a comma in a number", instead(4, `"1,5"`), line, "column EVENT_VALUE", "float"),
		bad("an int beyond ints", instead(5, "2147483648"), line, "column NUM_RATINGS", "range of an int"),
		bad("a double beyond doubles", instead(6, "1e400"), line, "column PRICE", "range of a double"),
		bad("another boolean", instead(7, "TRUE"), line, "column GIFT", "true or false"),
		bad("row of 2 MB", plus(x("u", 2<<20)+"\n"), line, "longer than 1048576 bytes"),
		bad("wrong behind a cell with line breaks", good+"u,\"a\n\n\nb\",1,view,,,,,\nu,i,soon,view,,,,,\n", "line 26", "column TIMESTAMP"),
		bad("cut gzip", gzipped(good)[:len(gzipped(good))-20], "damaged gzip"),
		bad("gzip without body", gzipped(good)[:10], "damaged gzip"),
		bad("gzip magic alone", "\x1f\x8b", "damaged gzip"),
		bad("gzip with a wrong sum", gzipped(good)[:len(gzipped(good))-8]+"\x00\x00\x00\x00\x00\x00\x00\x00", "damaged gzip"),
		bad("gzip and rubbish", gzipped(good)+"rubbish", "damaged gzip"),
		bad("gzip in gzip", gzipped(gzipped(good)), "s3://uploads/"),
		{name: "folder with one bad file", key: "mixed/", files: map[string]string{"a.csv": good, "b.csv": instead(2, "soon"), "c.csv": good},
			reason: []string{"/mixed/b.csv", line, "column TIMESTAMP", "long"}},
		{name: "folder with an empty file", key: "hollow/", files: map[string]string{"a.csv": good, "b.csv": ""}, reason: []string{"/hollow/b.csv", "is empty"}},
		{name: "folder without a CSV file", key: "none/", files: map[string]string{"readme.txt": "x"}, reason: []string{"Insufficient privileges"}},
		{name: "no file", key: "absent.csv", files: map[string]string{}, reason: []string{"Insufficient privileges"}},

		{name: "items", dataset: s.items, content: "ITEM_ID,GENRES,PRICE,DESCRIPTION,NOTE,CREATION_TIMESTAMP\ni,a|b,,\"a \\\"quoted\\\" <b>text</b>\",,1\n", rows: 1},
		{name: "items in milliseconds", dataset: s.items, content: "ITEM_ID,GENRES,PRICE,DESCRIPTION,NOTE,CREATION_TIMESTAMP\ni,a,,,,1700000000000\n",
			reason: []string{"line 2", "column CREATION_TIMESTAMP", "milliseconds"}},
		{name: "items without genre", dataset: s.items, content: "ITEM_ID,GENRES,PRICE,DESCRIPTION,NOTE,CREATION_TIMESTAMP\ni,,,,,1\n", reason: []string{"line 2", "column GENRES", "empty"}},
		{name: "users", dataset: s.users, content: "USER_ID,AGE,BIO\nu,7,\"a\\\"b\"\n", reason: []string{"line 2", "closing quote"}},
	}
	for i, f := range files {
		s.cases++
		s.importFile(i, f)
	}
	s.hugeFiles()
	s.changingFile()
}

// importFile imports and compares.
func (s *badShop) importFile(n int, f csvFile) {
	s.t.Helper()
	if f.dataset == "" {
		f.dataset = s.interactions
	}
	folder := fmt.Sprintf("csv-%d/", n)
	switch {
	case f.files != nil:
		for name, content := range f.files {
			s.upload(folder+f.key+name, content)
		}
	case f.key == "":
		f.key = "file.csv"
		fallthrough
	default:
		s.upload(folder+f.key, f.content)
	}
	s.runImport(fmt.Sprintf("csv-%d", n), folder+f.key, f)
}

func (s *badShop) runImport(job, key string, f csvFile) {
	s.t.Helper()
	kind := f.dataset[strings.LastIndexByte(f.dataset, '/')+1:]
	before, parts := s.datasetVersion(kind), s.parts()
	done := s.finish(s.startImport(job, f.dataset, key))
	after := s.datasetVersion(kind)
	if f.rows > 0 {
		switch {
		case done.Status != status.Active:
			s.t.Errorf("%s: the job is %s: %s", f.name, done.Status, done.FailureReason)
		case after.Rows != f.rows:
			s.t.Errorf("%s: the dataset has %d rows, not %d", f.name, after.Rows, f.rows)
		case f.last != "" && s.lastItem(after) != f.last:
			s.t.Errorf("%s: the last item is %q, not %q", f.name, s.lastItem(after), f.last)
		}
		return
	}
	if done.Status != status.CreateFailed {
		s.t.Errorf("%s: the job is %s, not CREATE FAILED", f.name, done.Status)
		return
	}
	reason := f.reason
	if strings.Contains(strings.Join(reason, " "), "line ") {
		reason = append(reason, "s3://uploads/"+key[:strings.IndexByte(key, '/')+1])
	}
	for _, part := range reason {
		if !strings.Contains(done.FailureReason, part) {
			s.t.Errorf("%s: the failure reason does not mention %q: %s", f.name, part, done.FailureReason)
		}
	}
	if len(done.FailureReason) > 1024 {
		s.t.Errorf("%s: the failure reason has %d bytes", f.name, len(done.FailureReason))
	}
	if diff := cmp.Diff(before, after); diff != "" {
		s.t.Errorf("%s: the failed import changed the dataset: %s", f.name, diff)
	}
	if now := s.parts(); !maps.Equal(parts, now) {
		s.t.Errorf("%s: the failed import left a trace: %v", f.name, difference(parts, now))
	}
}

func (s *badShop) startImport(job, dataset, key string) (arn string) {
	s.t.Helper()
	answer := s.call("CreateDatasetImportJob", importBody(job, dataset, key, ""))
	if answer.status != 200 {
		s.t.Fatalf("importing %s: %s", key, answer.body)
	}
	arn, _ = answer.members()["datasetImportJobArn"].(string)
	return arn
}

// finish waits for a job's end.
func (s *badShop) finish(arn string) (job *catalog.DatasetImportJob) {
	s.t.Helper()
	eventually.SucceedsWithin(s.t, 2*time.Minute, arn+" ends", func() (err error) {
		if job, err = s.catalog.DatasetImportJobs.Get(s.t.Context(), arn); err != nil {
			return err
		}
		if job.Status != status.Active && job.Status != status.CreateFailed {
			return fmt.Errorf("status is %s", job.Status)
		}
		return nil
	})
	return job
}

func (s *badShop) datasetVersion(kind string) dataset.Version {
	s.t.Helper()
	v, err := dataset.Current(s.t.Context(), s.objects, s.group.GroupKey(), kind)
	if err != nil && !errors.Is(err, dataset.ErrNoData) {
		s.t.Fatal(err)
	}
	return v
}

// parts are all objects of imported data.
func (s *badShop) parts() map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for info, err := range s.objects.List(s.t.Context(), "datasets/") {
		if err != nil {
			s.t.Fatal(err)
		}
		found[info.Key] = info.ETag
	}
	return found
}

func (s *badShop) lastItem(v dataset.Version) (id string) {
	s.t.Helper()
	for row, err := range dataset.Interactions(s.t.Context(), s.objects, v) {
		if err != nil {
			s.t.Fatal(err)
		}
		id = row.ItemID
	}
	return id
}

// hugeFiles are larger than what may be held in memory. They go to the bucket as they are generated.
func (s *badShop) hugeFiles() {
	size, field := int64(16<<20), int64(8<<20)
	if long() {
		size, field = 128<<20, 100<<20
	}
	good := goodCSV(badShopMinInteractions)
	const items = "ITEM_ID,GENRES,PRICE,DESCRIPTION,NOTE,CREATION_TIMESTAMP\n"
	for i, f := range []struct {
		csvFile
		write func(io.Writer) error
	}{
		{csvFile{name: "unclosed quote over a large file", reason: []string{"line 22", "longer than"}}, func(w io.Writer) error {
			return repeat(w, good+`u,"i,1,view,,,,,`+"\n", "user,item,1,view,,,,,\n", size)
		}},
		{csvFile{name: "field of 100 MB", reason: []string{"line 22", "longer than"}}, func(w io.Writer) error {
			return repeat(w, good+"u,", strings.Repeat("i", 1000), field)
		}},
		{csvFile{name: "quoted field of 100 MB", reason: []string{"line 22", "longer than"}}, func(w io.Writer) error {
			return repeat(w, good+`u,"`, strings.Repeat("\n", 1000), field)
		}},
		{csvFile{name: "header without end", reason: []string{"line 1", "longer than"}}, func(w io.Writer) error {
			return repeat(w, "USER_ID,", "ITEM_ID,", 2<<20)
		}},
		{csvFile{name: "gzip bomb of one line", reason: []string{"line 1", "longer than"}}, packed(func(w io.Writer) error {
			return repeat(w, "", strings.Repeat("\x00", 1<<20), 4*size)
		})},
		{csvFile{name: "gzip bomb of rows", reason: []string{"unpacks to more than 250 times"}}, packed(func(w io.Writer) error {
			return repeat(w, good, strings.Repeat("u,i,1,view,,,,,\n", 1<<16), 4*size)
		})},
		{csvFile{name: "gzip bomb of blank lines", reason: []string{"unpacks to more than 250 times"}}, packed(func(w io.Writer) error {
			return repeat(w, good, strings.Repeat("\n", 1<<20), 4*size)
		})},
		{csvFile{name: "wide rows", dataset: s.items, rows: size / (1 << 19)}, packed(func(w io.Writer) error {
			if _, err := io.WriteString(w, items); err != nil {
				return err
			}
			return wideRows(w, int(size/(1<<19)))
		})},
		{csvFile{name: "cut gzip of many rows", reason: []string{"damaged gzip"}}, cut(packed(func(w io.Writer) error {
			if _, err := io.WriteString(w, good); err != nil {
				return err
			}
			for n := range size / 64 {
				if _, err := fmt.Fprintf(w, "user-%d,item-%d,%d,view,,,,,\n", rand.IntN(1e6), rand.IntN(1e5), n); err != nil {
					return err
				}
			}
			return nil
		}))},
	} {
		s.cases++
		key := fmt.Sprintf("huge-%d/file.csv", i)
		s.uploadStream(key, f.write)
		if f.dataset == "" {
			f.dataset = s.interactions
		}
		started := time.Now()
		s.runImport(fmt.Sprintf("huge-%d", i), key, f.csvFile)
		s.t.Logf("%s: imported or refused in %s; peak memory %.0f MiB", f.name, time.Since(started).Round(time.Millisecond), s.PeakMemory()/(1<<20))
		if err := s.uploads.Delete(s.t.Context(), key); err != nil {
			s.t.Error(err)
		}
	}
}

// changingFile overwrites a file again and again while it is imported: the dataset holds one of its versions, whole, or
// the job says why not.
func (s *badShop) changingFile() {
	attempts, rows := 1, 50_000
	if long() {
		attempts, rows = 5, 200_000
	}
	version := func(n int) func(io.Writer) error {
		return func(w io.Writer) error {
			if _, err := io.WriteString(w, "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,NUM_RATINGS,PRICE,GIFT,DEVICE\n"); err != nil {
				return err
			}
			for row := range rows + 1000*n { // each version has its own length, and its own items
				if _, err := fmt.Fprintf(w, "user-%d,version-%d,%d,view,,,,,\n", row%1000, n, row); err != nil {
					return err
				}
			}
			return nil
		}
	}
	outcomes := map[string]int{}
	for attempt := range attempts {
		s.cases++
		key := fmt.Sprintf("changing-%d/file.csv", attempt)
		s.uploadStream(key, version(0))
		before := s.datasetVersion("INTERACTIONS")
		job := s.startImport(fmt.Sprintf("changing-%d", attempt), s.interactions, key)
		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
					s.uploadStream(key, version(n))
				}
			}
		})
		done := s.finish(job)
		close(stop)
		writing.Wait()
		after := s.datasetVersion("INTERACTIONS")
		outcomes[done.Status]++
		if done.Status == status.CreateFailed {
			if !strings.Contains(done.FailureReason, key+" was changed while it was read") || cmp.Diff(before, after) != "" {
				s.t.Errorf("a file that changed: %s", done.FailureReason)
			}
			continue
		}
		found := map[string]int{}
		for row, err := range dataset.Interactions(s.t.Context(), s.objects, after) {
			if err != nil {
				s.t.Fatal(err)
			}
			found[row.ItemID]++
		}
		for item, n := range found {
			var number int
			_, _ = fmt.Sscanf(item, "version-%d", &number)
			if len(found) != 1 || n != rows+1000*number {
				s.t.Errorf("a file that changed: the dataset has %d rows of %s, and %d versions", n, item, len(found))
			}
		}
	}
	s.t.Logf("files that changed while they were imported: %v", outcomes)
}

// uploadStream writes an object as it is generated.
func (s *badShop) uploadStream(key string, write func(io.Writer) error) {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(write(writer)) }()
	err := s.uploads.Upload(s.t.Context(), key, reader, blob.PutOptions{})
	reader.Close()
	if err != nil {
		s.t.Error(err)
	}
}

// repeat writes text until so many bytes are written.
func repeat(w io.Writer, first, text string, size int64) error {
	if _, err := io.WriteString(w, first); err != nil {
		return err
	}
	block := strings.Repeat(text, max(1, (1<<20)/len(text)))
	for written := int64(0); written < size; written += int64(len(block)) {
		if _, err := io.WriteString(w, block); err != nil {
			return err
		}
	}
	return nil
}

// wideRows writes items of a megabyte each, which gzip makes small but not as small as a bomb.
func wideRows(w io.Writer, n int) error {
	buffered := bufio.NewWriter(w)
	filler := strings.Repeat("n", 1008)
	for row := range n {
		fmt.Fprintf(buffered, "item-%d,a,,,", row)
		for range 1000 {
			fmt.Fprintf(buffered, "%016x%s", rand.Uint64(), filler)
		}
		fmt.Fprint(buffered, ",1\n")
	}
	return buffered.Flush()
}

func packed(write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		zip := gzip.NewWriter(w)
		if err := write(zip); err != nil {
			return err
		}
		return zip.Close()
	}
}

// cut leaves the end out.
func cut(write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		var last []byte
		return write(writerFunc(func(p []byte) (int, error) {
			_, err := w.Write(last) // one piece behind
			last = bytes.Clone(p)
			return len(p), err
		}))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func gzipped(text string) string {
	var out strings.Builder
	_ = packed(func(w io.Writer) error { _, err := io.WriteString(w, text); return err })(&out) // into memory
	return out.String()
}

// reordered is a good file whose columns stand in another order, between others.
func reordered(rows int) string {
	var csv strings.Builder
	csv.WriteString("TIMESTAMP,EXTRA,DEVICE,GIFT,PRICE,NUM_RATINGS,EVENT_VALUE,EVENT_TYPE,ITEM_ID,,USER_ID\n")
	for n := range rows {
		fmt.Fprintf(&csv, "%d,whatever,,,,,,view,item-%d,\xff,user-%d\n", n, n, n)
	}
	return csv.String()
}

// utf16Of is the text with a byte order mark, as Windows writes it.
func utf16Of(text string) string {
	encoded := []byte("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = append(encoded, byte(unit), byte(unit>>8))
	}
	return string(encoded)
}
