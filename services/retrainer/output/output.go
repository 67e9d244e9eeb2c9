// Package output writes what batch jobs and exports produce: objects of a folder, each of which appears whole or not at
// all.
package output

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// errPath has Personalize's words.
var errPath = jobs.Faultf("Invalid S3 output path")

// Folder is a place for objects.
type Folder struct {
	Bucket *blob.Bucket
	Prefix string // ends with a slash, unless it is empty
}

// Open finds the folder of a job's results, and whether its bucket exists: better now than after hours of work.
func Open(ctx context.Context, store *blob.Client, location string) (Folder, error) {
	name, prefix, err := dataset.ParseLocation(strings.TrimSuffix(location, "/") + "/")
	if err != nil {
		return Folder{}, errPath
	}
	folder := Folder{store.Bucket(name), prefix}
	if err := folder.Bucket.Ping(ctx); err != nil {
		return Folder{}, writeError(location, err)
	}
	return folder, nil
}

// Create begins an object that appears whole when the file is closed, or not at all. With IfAbsent the first of several
// writers counts; the others' writes are dropped without an error.
func (f Folder) Create(ctx context.Context, name string, options blob.PutOptions) *File {
	reader, pipe := io.Pipe()
	key := f.Prefix + name
	o := &File{Name: "s3://" + f.Bucket.Name() + "/" + key, pipe: pipe, uploaded: make(chan struct{})}
	o.writer = bufio.NewWriterSize(pipe, 256<<10)
	go func() {
		defer close(o.uploaded)
		o.failure = f.Bucket.Upload(ctx, key, reader, options)
		if options.IfAbsent && errors.Is(o.failure, blob.ErrPrecondition) {
			o.failure = nil // an earlier writer's object counts
		}
		_ = reader.CloseWithError(o.failure) // unblocks a writer whose upload has failed
	}()
	return o
}

// CopyTo appends an object of the folder to a file.
func (f Folder) CopyTo(ctx context.Context, name string, to *File) error {
	part, _, err := f.Bucket.Open(ctx, f.Prefix+name)
	if err != nil {
		return err
	}
	defer part.Close()
	if _, err := io.Copy(to.writer, part); err != nil {
		return fmt.Errorf("joining %s: %w", to.Name, err)
	}
	return nil
}

// File is one upload under way. Exactly one of Close and Abort ends it.
type File struct {
	// Name is the object's s3:// address.
	Name string

	writer   *bufio.Writer
	pipe     *io.PipeWriter
	failure  error // of the upload, once uploaded is closed
	uploaded chan struct{}
}

// Write implements io.Writer. A failure that the user can mend is a jobs.Fault.
func (o *File) Write(data []byte) (int, error) {
	n, err := o.writer.Write(data)
	if err != nil {
		return n, writeError(o.Name, err)
	}
	return n, nil
}

// Close completes the upload.
func (o *File) Close() error {
	err := o.writer.Flush()
	_ = o.pipe.CloseWithError(err) // nil is the end of the data; it never fails
	if <-o.uploaded; o.failure != nil {
		err = o.failure
	}
	if err != nil {
		return writeError(o.Name, err)
	}
	return nil
}

// Abort drops the upload and leaves nothing behind.
func (o *File) Abort() {
	_ = o.pipe.CloseWithError(context.Canceled)
	<-o.uploaded
}

func writeError(name string, err error) error {
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrAccessDenied) {
		return errPath
	}
	return fmt.Errorf("writing %s: %w", name, err)
}
