package batch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// errInputPath has Personalize's words.
var errInputPath = jobs.Faultf("Invalid S3 input path")

// batchLimits bound a batch job's input.
type batchLimits struct {
	files, lines int // lines of one file
	bytes        int64
}

// maxBatchLine bounds a line, and so the memory that reading one takes.
const maxBatchLine = 1 << 20

// batchFile is one object of a batch job's input.
type batchFile struct {
	info blob.Info
	name string // s3:// address
}

// batchInput lists the files of an input path: one object, or all that are directly in a folder.
func batchInput(
	ctx context.Context, store *blob.Client, location string, limits batchLimits,
) (*blob.Bucket, []batchFile, error) {
	name, key, err := dataset.ParseLocation(location)
	if err != nil {
		return nil, nil, errInputPath
	}
	bucket := store.Bucket(name)
	var files []batchFile
	add := func(info blob.Info) { files = append(files, batchFile{info, "s3://" + name + "/" + info.Key}) }
	if key != "" && !strings.HasSuffix(key, "/") {
		info, err := bucket.Head(ctx, key)
		if err != nil {
			return nil, nil, inputError(location, err)
		}
		add(info)
	} else {
		for info, err := range bucket.List(ctx, key) {
			if err != nil {
				return nil, nil, inputError(location, err)
			}
			if base := strings.TrimPrefix(info.Key, key); base != "" && !strings.Contains(base, "/") {
				add(info)
			}
			if len(files) > limits.files {
				return nil, nil, jobs.Faultf("The input has more than %d files", limits.files)
			}
		}
	}
	if len(files) == 0 {
		return nil, nil, errInputPath
	}
	total := int64(0)
	for _, f := range files {
		total += f.info.Size
	}
	if total > limits.bytes {
		return nil, nil, jobs.Faultf("The input has %d bytes, more than the %d that it may have", total, limits.bytes)
	}
	return bucket, files, nil
}

// inputError separates what the user must mend from what passes by itself.
func inputError(name string, err error) error {
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrAccessDenied):
		return errInputPath
	case errors.Is(err, blob.ErrPrecondition):
		return jobs.Faultf("Input %s was changed while it was read", name)
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// batchLine is a line of the input without its end.
type batchLine struct {
	text []byte
	// cut is set if the line was longer than what text holds of it.
	cut bool
}

// lineReader reads lines of bounded length.
type lineReader struct{ source *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 128<<10)}
}

// skipMark leaves out the byte order mark that some editors begin a file with.
func (r *lineReader) skipMark() {
	if mark, _ := r.source.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = r.source.Discard(3) // was just peeked
	}
}

// next gives the next line, in memory of its own, or io.EOF. A line break at the end of the data begins no line.
func (r *lineReader) next() (batchLine, error) {
	var line batchLine
	for {
		piece, err := r.source.ReadSlice('\n')
		if room := maxBatchLine - len(line.text); len(piece) > room+2 { // the line's end doesn't count
			line.text, line.cut = append(line.text, piece[:max(room, 0)]...), true
		} else {
			line.text = append(line.text, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil, errors.Is(err, io.EOF) && len(line.text) > 0:
			line.text = bytes.TrimSuffix(bytes.TrimSuffix(line.text, []byte("\n")), []byte("\r"))
			if len(line.text) > maxBatchLine {
				line.text, line.cut = line.text[:maxBatchLine], true
			}
			return line, nil
		}
		return line, err
	}
}

// outputName is Personalize's name for the results of an input file.
func outputName(input blob.Info) string { return path.Base(input.Key) + ".out" }
