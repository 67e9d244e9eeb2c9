package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/penchant-io/penchant/pkg/backoff"
)

// PutOptions are the conditions and attributes of a write. At most one of the conditions is set.
type PutOptions struct {
	IfAbsent    bool              // write only if there is no object; else ErrPrecondition
	IfMatch     string            // write only over the object with this ETag; else ErrPrecondition
	Metadata    map[string]string // keys in lower case, values in printable ASCII
	ContentType string            // "": application/octet-stream
}

// partSize is the size of the pieces in which Upload sends what is longer.
const partSize = 16 << 20

// conflictRepeats bounds the retries of a write that S3 refused with 409 because another write of the same key was
// under way: S3 has then decided nothing, and asks for a retry.
const conflictRepeats = 8

// retryPace spaces the repeats of reads that broke off and of writes that met another.
var retryPace = backoff.Exponential{First: 10 * time.Millisecond, Max: time.Second}

// Put writes an object in one request, so that it appears whole or not at all. The Info it returns has no time and no
// metadata.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, options PutOptions) (Info, error) {
	opts, err := putOptions(options)
	if err != nil {
		return Info{}, fmt.Errorf("writing s3://%s/%s: %w", b.name, key, err)
	}
	sum := checksum(data)
	opts.DisableContentSha256 = true // in chunks; what is signed is the sum
	for attempt := 0; ; attempt++ {
		// One plain request with its body's checksum in the signature. The library's own choice would be a body in
		// signed chunks, of which some servers leave the end of an empty one unread, and parts for what is long, where
		// it sends the conditions as the upload begins instead of as it is completed, when they would count.
		uploaded, err := b.client.core.PutObject(ctx, b.name, key, bytes.NewReader(data), int64(len(data)), "", sum, opts)
		if err == nil {
			return Info{Key: key, Size: int64(len(data)), ETag: strings.Trim(uploaded.ETag, `"`)}, nil
		}
		if isConflict(err) && attempt < conflictRepeats && retryPace.Wait(ctx, attempt) == nil {
			continue
		}
		return Info{}, writeError(b.name, key, options, err)
	}
}

// Upload writes an object of any size from a stream, holding one part of it in memory. The object appears whole, when
// all of it has been sent, or not at all.
func (b *Bucket) Upload(ctx context.Context, key string, r io.Reader, options PutOptions) error {
	part := make([]byte, partSize)
	n, err := fill(part, r)
	if err != nil {
		return fmt.Errorf("reading what s3://%s/%s is to hold: %w", b.name, key, err)
	}
	if n < len(part) {
		_, err = b.Put(ctx, key, part[:n], options)
		return err
	}
	opts, err := putOptions(options)
	if err != nil {
		return fmt.Errorf("writing s3://%s/%s: %w", b.name, key, err)
	}
	if err := b.uploadParts(ctx, key, part, r, opts); err != nil {
		return writeError(b.name, key, options, err)
	}
	return nil
}

// uploadParts sends the part that has been read already and the rest of the stream. The conditions travel with the
// completing request, the one that makes the object visible.
func (b *Bucket) uploadParts(ctx context.Context, key string, part []byte, r io.Reader, opts minio.PutObjectOptions) (err error) {
	core := b.client.core
	initial := minio.PutObjectOptions{UserMetadata: opts.UserMetadata, ContentType: opts.ContentType}
	id, err := core.NewMultipartUpload(ctx, b.name, key, initial)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // the parts would stay, invisible, and take space
			abortCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = core.AbortMultipartUpload(abortCtx, b.name, key, id)
		}
	}()
	var parts []minio.CompletePart
	for len(part) > 0 {
		number := len(parts) + 1
		sent, err := core.PutObjectPart(ctx, b.name, key, id, number, bytes.NewReader(part), int64(len(part)),
			minio.PutObjectPartOptions{Sha256Hex: checksum(part), DisableContentSha256: true})
		if err != nil {
			return err
		}
		parts = append(parts, minio.CompletePart{PartNumber: number, ETag: sent.ETag})
		n, err := fill(part[:cap(part)], r)
		if err != nil {
			return err
		}
		part = part[:n]
	}
	complete := opts
	complete.UserMetadata, complete.ContentType = nil, ""
	_, err = core.CompleteMultipartUpload(ctx, b.name, key, id, parts, complete)
	return err
}

// fill reads until the part is full or the stream ends. io.ReadFull would report the end of the stream with the same
// error as a stream that was cut off.
func fill(part []byte, r io.Reader) (n int, err error) {
	for n < len(part) && err == nil {
		var read int
		read, err = r.Read(part[n:])
		n += read
	}
	if err == io.EOF { // this very value; a wrapped one is a failure further down
		err = nil
	}
	return n, err
}

// Delete removes objects. It ignores those that do not exist.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 1 {
		err := b.client.core.RemoveObject(ctx, b.name, keys[0], minio.RemoveObjectOptions{})
		if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchKey {
			return wrap("deleting", b.name, keys[0], err)
		}
		return nil
	}
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: key}) {
				return
			}
		}
	}
	results, err := b.client.core.RemoveObjectsWithIter(ctx, b.name, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return wrap("deleting from", b.name, "", err)
	}
	var failed []error
	for result := range results {
		if result.Err != nil && minio.ToErrorResponse(result.Err).Code != minio.NoSuchKey {
			failed = append(failed, wrap("deleting", b.name, result.ObjectName, result.Err))
		}
	}
	if err := ctx.Err(); err != nil && len(failed) == 0 {
		return wrap("deleting from", b.name, "", err)
	}
	return errors.Join(failed...)
}

func putOptions(options PutOptions) (minio.PutObjectOptions, error) {
	opts := minio.PutObjectOptions{ContentType: options.ContentType}
	if opts.ContentType == "" {
		opts.ContentType = "application/octet-stream"
	}
	switch {
	case options.IfAbsent && options.IfMatch != "":
		return opts, errors.New("both conditions at once")
	case options.IfAbsent:
		opts.SetMatchETagExcept("*")
	case options.IfMatch != "":
		opts.SetMatchETag(options.IfMatch)
	}
	if len(options.Metadata) == 0 {
		return opts, nil
	}
	opts.UserMetadata = make(map[string]string, len(options.Metadata))
	for name, value := range options.Metadata {
		if name != strings.ToLower(name) {
			return opts, fmt.Errorf("metadata key %q is not in lower case", name)
		}
		for _, char := range []byte(value) {
			if char < ' ' || char > '~' {
				return opts, fmt.Errorf("metadata %s holds other than printable ASCII", name)
			}
		}
		// With the prefix no key is taken for a standard header.
		opts.UserMetadata["x-amz-meta-"+name] = value
	}
	return opts, nil
}

// writeError maps the errors of a write. S3 answers "no such key" to If-Match where there is no object: the condition
// doesn't hold. A missing bucket stays ErrNotFound.
func writeError(bucket, key string, options PutOptions, err error) error {
	if options.IfMatch != "" && minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return fmt.Errorf("writing s3://%s/%s: %w: %w", bucket, key, ErrPrecondition, err)
	}
	return wrap("writing", bucket, key, err)
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func isConflict(err error) bool {
	return minio.ToErrorResponse(err).Code == "ConditionalRequestConflict" || minio.ToErrorResponse(err).Code == "OperationAborted"
}
