package embedded

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// files is what the S3 gateway keeps its buckets in: the posix backend, with two things added.
//
// Absolute paths. That backend would change the working directory of the whole process and take a bucket's name as a
// path relative to it. Here it is given the bucket's absolute path for a name, and what it answers is given the name
// back. What isn't passed on below is answered "not implemented".
//
// A lock on the directories. Deleting the last object of a directory removes the directory, and a put that is just
// about to create its file or a directory in there would fail. So deletes wait for puts that are past their bodies, and
// exclude them.
//
// A lock on each key. Reading takes several steps there (find the ETag, open the file, read its attributes, or the
// side-car files), and an overwrite between two of them would give a reader one version's ETag with another's bytes: a
// compare-and-swap on that could lose an update. So an object's readers and its writer exclude one another, readers
// until the file is open, writers from the moment the body has arrived.
type files struct {
	backend.BackendUnsupported
	root  string // absolute
	posix *posix.Posix

	locks       [1024]sync.RWMutex // of keys, by hash
	directories sync.RWMutex       // locked after a key, never before one: shared to put, exclusively to delete
}

var lockSeed = maphash.MakeSeed()

func (f *files) lock(bucket, key *string) *sync.RWMutex {
	return &f.locks[maphash.String(lockSeed, *bucket+"/"+text(key))%uint64(len(f.locks))]
}

func (f *files) path(bucket *string) *string {
	path := filepath.Join(f.root, *bucket)
	return &path
}

// named puts the bucket's name in the place of its path.
func named(bucket *string, err error) error {
	var bucketError s3err.BucketError
	if errors.As(err, &bucketError) {
		bucketError.BucketName = *bucket
		return bucketError
	}
	return err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (f *files) String() string { return "files" }
func (f *files) Shutdown()      { f.posix.Shutdown() }

func (f *files) NormalizeObjectKey(bucket, object string) string {
	return f.posix.NormalizeObjectKey(*f.path(&bucket), object)
}

func (f *files) ListBuckets(_ context.Context, input s3response.ListBucketsInput) (result s3response.ListAllMyBucketsResult, err error) {
	entries, err := os.ReadDir(f.root) // sorted by name
	if err != nil {
		return result, err
	}
	result.Owner.ID, result.Prefix = input.Owner, input.Prefix
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || strings.HasPrefix(name, ".") || !strings.HasPrefix(name, input.Prefix) || name <= input.ContinuationToken {
			continue
		}
		if listed := result.Buckets.Bucket; len(listed) == int(input.MaxBuckets) {
			result.ContinuationToken = listed[len(listed)-1].Name
			break
		}
		info, err := entry.Info()
		if err != nil { // deleted meanwhile
			continue
		}
		result.Buckets.Bucket = append(result.Buckets.Bucket, s3response.ListAllMyBucketsEntry{Name: name, CreationDate: info.ModTime()})
	}
	return result, nil
}

func (f *files) CreateBucket(ctx context.Context, input *s3.CreateBucketInput, acl []byte) error {
	at := *input
	at.Bucket = f.path(input.Bucket)
	return named(input.Bucket, f.posix.CreateBucket(ctx, &at, acl))
}

func (f *files) HeadBucket(ctx context.Context, input *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.HeadBucket(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) DeleteBucket(ctx context.Context, bucket string) error {
	return named(&bucket, f.posix.DeleteBucket(ctx, *f.path(&bucket)))
}

//nolint:staticcheck // the name is the interface's
func (f *files) GetBucketAcl(ctx context.Context, input *s3.GetBucketAclInput) ([]byte, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.GetBucketAcl(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	out, err := f.posix.GetBucketPolicy(ctx, *f.path(&bucket))
	return out, named(&bucket, err)
}

func (f *files) GetBucketCors(ctx context.Context, bucket string) ([]byte, error) {
	out, err := f.posix.GetBucketCors(ctx, *f.path(&bucket))
	return out, named(&bucket, err)
}

func (f *files) GetBucketVersioning(ctx context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	out, err := f.posix.GetBucketVersioning(ctx, *f.path(&bucket))
	return out, named(&bucket, err)
}

func (f *files) GetBucketOwnershipControls(ctx context.Context, bucket string) (types.ObjectOwnership, error) {
	out, err := f.posix.GetBucketOwnershipControls(ctx, *f.path(&bucket))
	return out, named(&bucket, err)
}

func (f *files) GetObjectLockConfiguration(ctx context.Context, bucket string) ([]byte, error) {
	out, err := f.posix.GetObjectLockConfiguration(ctx, *f.path(&bucket))
	return out, named(&bucket, err)
}

func (f *files) PutObject(ctx context.Context, input s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	body := &lockingBody{body: input.Body, lock: f.lock(input.Bucket, input.Key), directories: &f.directories}
	if input.ContentLength != nil {
		body.left = *input.ContentLength
	}
	if body.left <= 0 {
		body.acquire()
	}
	defer body.release()
	at := input
	at.Bucket = f.path(input.Bucket)
	at.Body = body
	if sum, ok := input.Body.(middlewares.ChecksumReader); ok {
		at.Body = lockingChecksumBody{body, sum}
	}
	out, err := f.posix.PutObject(ctx, at)
	return out, named(input.Bucket, err)
}

// lockingBody takes the locks when the last byte has come in, so that a slow sender holds up nobody.
type lockingBody struct {
	body        io.Reader
	lock        *sync.RWMutex // of the key
	directories *sync.RWMutex
	left        int64 // bytes still expected
	held        bool
}

func (b *lockingBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left <= 0 || err != nil {
		b.acquire()
	}
	return n, err
}

func (b *lockingBody) acquire() {
	if !b.held {
		b.lock.Lock()
		b.directories.RLock()
		b.held = true
	}
}

func (b *lockingBody) release() {
	if b.held {
		b.directories.RUnlock()
		b.lock.Unlock()
	}
}

// lockingChecksumBody is a lockingBody over a body that ends with its checksum, for which the backend asks.
type lockingChecksumBody struct {
	*lockingBody
	sum middlewares.ChecksumReader
}

func (b lockingChecksumBody) Algorithm() string { return b.sum.Algorithm() }
func (b lockingChecksumBody) Checksum() string  { return b.sum.Checksum() }

func (f *files) GetObject(ctx context.Context, input *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	lock := f.lock(input.Bucket, input.Key)
	lock.RLock()
	defer lock.RUnlock()
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.GetObject(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) HeadObject(ctx context.Context, input *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	lock := f.lock(input.Bucket, input.Key)
	lock.RLock()
	defer lock.RUnlock()
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.HeadObject(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) GetObjectAttributes(ctx context.Context, input *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	lock := f.lock(input.Bucket, input.Key)
	lock.RLock()
	defer lock.RUnlock()
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.GetObjectAttributes(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) GetObjectTagging(ctx context.Context, bucket, object, version string) (map[string]string, error) {
	out, err := f.posix.GetObjectTagging(ctx, *f.path(&bucket), object, version)
	return out, named(&bucket, err)
}

func (f *files) DeleteObject(ctx context.Context, input *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	lock := f.lock(input.Bucket, input.Key)
	lock.Lock()
	defer lock.Unlock()
	f.directories.Lock()
	defer f.directories.Unlock()
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.DeleteObject(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) DeleteObjects(ctx context.Context, input *s3.DeleteObjectsInput) (result s3response.DeleteResult, _ error) {
	if _, err := f.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: input.Bucket}); err != nil {
		return result, err
	}
	for _, object := range input.Delete.Objects {
		_, err := f.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: input.Bucket, Key: object.Key, VersionId: object.VersionId})
		if err != nil {
			result.Error = append(result.Error, s3err.ObjectDeleteError(object.Key, object.VersionId, err))
			continue
		}
		result.Deleted = append(result.Deleted, types.DeletedObject{Key: object.Key, VersionId: object.VersionId})
	}
	return result, nil
}

func (f *files) ListObjects(ctx context.Context, input *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.ListObjects(ctx, &at)
	out.Name = input.Bucket
	return out, named(input.Bucket, err)
}

func (f *files) ListObjectsV2(ctx context.Context, input *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.ListObjectsV2(ctx, &at)
	out.Name = input.Bucket
	return out, named(input.Bucket, err)
}

func (f *files) CreateMultipartUpload(ctx context.Context, input s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	at := input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.CreateMultipartUpload(ctx, at)
	out.Bucket = *input.Bucket
	return out, named(input.Bucket, err)
}

func (f *files) UploadPart(ctx context.Context, input *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.UploadPart(ctx, &at)
	return out, named(input.Bucket, err)
}

func (f *files) CompleteMultipartUpload(ctx context.Context, input *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	lock := f.lock(input.Bucket, input.Key)
	lock.Lock()
	defer lock.Unlock()
	f.directories.RLock()
	defer f.directories.RUnlock()
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, version, err := f.posix.CompleteMultipartUpload(ctx, &at)
	out.Bucket = input.Bucket
	return out, version, named(input.Bucket, err)
}

func (f *files) AbortMultipartUpload(ctx context.Context, input *s3.AbortMultipartUploadInput) error {
	at := *input
	at.Bucket = f.path(input.Bucket)
	return named(input.Bucket, f.posix.AbortMultipartUpload(ctx, &at))
}

func (f *files) ListMultipartUploads(ctx context.Context, input *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.ListMultipartUploads(ctx, &at)
	out.Bucket = *input.Bucket
	return out, named(input.Bucket, err)
}

func (f *files) ListParts(ctx context.Context, input *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	at := *input
	at.Bucket = f.path(input.Bucket)
	out, err := f.posix.ListParts(ctx, &at)
	out.Bucket = *input.Bucket
	return out, named(input.Bucket, err)
}
