package dataset

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/penchant-io/penchant/pkg/blob"
)

// The words that Personalize has for these failures.
var (
	errInvalidLocation = &InputError{"Invalid Data location."}
	errNoAccess        = &InputError{"Insufficient privileges for accessing data in Amazon S3"}
)

// ParseLocation splits s3://bucket/key, or s3://bucket/folder/ whose key ends in a slash. Its error is an *InputError
// with Personalize's words; the control service says the same at creation.
func ParseLocation(location string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	if !ok {
		return "", "", errInvalidLocation
	}
	bucket, key, ok = strings.Cut(rest, "/")
	if !ok || !legalBucket(bucket) || strings.HasPrefix(key, "/") || strings.ContainsAny(key, "\x00\r\n") {
		return "", "", errInvalidLocation
	}
	return bucket, key, nil
}

func legalBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for i, c := range []byte(name) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || i == len(name)-1 || c != '-' && c != '.') {
			return false
		}
	}
	return true
}

// sourceFile is one of the user's objects.
type sourceFile struct {
	bucket *blob.Bucket
	name   string // s3:// address
	info   blob.Info
}

// sourceFiles lists what a location means: one object, or the CSV files that stand directly in a folder.
func sourceFiles(ctx context.Context, source *blob.Client, location string) ([]sourceFile, error) {
	name, key, err := ParseLocation(location)
	if err != nil {
		return nil, err
	}
	bucket := source.Bucket(name)
	file := func(info blob.Info) sourceFile {
		return sourceFile{bucket, "s3://" + name + "/" + info.Key, info}
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		info, err := bucket.Head(ctx, key)
		if err != nil {
			return nil, sourceError(location, err)
		}
		return []sourceFile{file(info)}, nil
	}
	var files []sourceFile
	for info, err := range bucket.List(ctx, key) {
		if err != nil {
			return nil, sourceError(location, err)
		}
		if isCSV(strings.TrimPrefix(info.Key, key)) {
			files = append(files, file(info))
		}
	}
	if len(files) == 0 {
		return nil, errNoAccess
	}
	return files, nil
}

func isCSV(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return strings.HasSuffix(name, ".csv") && !strings.Contains(name, "/")
}

// sourceError tells what the user must mend from what passes by itself.
func sourceError(name string, err error) error {
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrAccessDenied):
		return errNoAccess
	case errors.Is(err, blob.ErrPrecondition):
		return &InputError{fmt.Sprintf("Input CSV %s was changed while it was read", name)}
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// A gzip member that unpacks to more than maxRatio times its size is taken for an attack once it has grown past
// ratioAllowance bytes: real CSV files stay below 50.
const (
	maxRatio       = 250
	ratioAllowance = 8 << 20
)

// input is the text of a source file, unpacked where it begins as gzip does.
type input struct {
	name     string
	raw      counter
	unpacked io.Reader // nil: not packed
	text     *bufio.Reader
	read     int64
	limit    *int64 // bytes of text that may still be read, over all files
}

// counter counts what was read and keeps the error that ended it.
type counter struct {
	io.Reader
	bytes int64
	err   error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func newInput(name string, raw io.Reader, limit *int64) (*input, error) {
	in := &input{name: name, raw: counter{Reader: raw}, limit: limit}
	in.text = bufio.NewReaderSize(&in.raw, 128<<10)
	magic, err := in.text.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, sourceError(name, err)
	}
	if string(magic) != "\x1f\x8b" {
		return in, nil
	}
	unpacked, err := gzip.NewReader(in.text)
	if err != nil {
		return nil, in.failure(err)
	}
	in.unpacked = unpacked
	return in, nil
}

// failure blames the source before the packing.
func (in *input) failure(err error) error {
	if in.raw.err != nil {
		return sourceError(in.name, in.raw.err)
	}
	return &InputError{fmt.Sprintf("Input CSV %s is a damaged gzip file", in.name)}
}

// Read returns the text. Errors are final: an *InputError, or one of the store's.
func (in *input) Read(p []byte) (n int, err error) {
	if in.unpacked != nil {
		n, err = in.unpacked.Read(p)
	} else {
		n, err = in.text.Read(p)
	}
	in.read += int64(n)
	*in.limit -= int64(n)
	switch {
	case *in.limit < 0:
		return n, &InputError{"Input data is larger than an import may be"}
	case in.unpacked != nil && in.read > ratioAllowance && in.read > maxRatio*in.raw.bytes:
		return n, &InputError{fmt.Sprintf("Input CSV %s unpacks to more than %d times its size", in.name, maxRatio)}
	case err != nil && !errors.Is(err, io.EOF):
		return n, in.failure(err)
	}
	return n, err
}
