package embedded_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/blob/blobtest"
	"github.com/penchant-io/penchant/pkg/embedded"
)

func s3Only(dir string) embedded.Config {
	return embedded.Config{DataDir: dir, S3Addr: "127.0.0.1:0", AccessKeys: keys}
}

func TestEachAccessKeyMayDoEverything(t *testing.T) {
	servers := start(t, s3Only(t.TempDir()))
	for i, writer := range keys {
		bucket := openBucket(t, servers.S3Endpoint(), writer, "of-"+writer.AccessKeyID)
		if _, err := bucket.Put(t.Context(), "object", []byte("x"), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		other := openBucket(t, servers.S3Endpoint(), keys[1-i], "of-"+writer.AccessKeyID)
		if _, _, err := other.Get(t.Context(), "object"); err != nil {
			t.Error(err)
		}
		if _, err := other.Put(t.Context(), "object", []byte("y"), blob.PutOptions{}); err != nil {
			t.Error(err)
		}
		if err := other.Delete(t.Context(), "object"); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range []awsapi.Credential{{AccessKeyID: "second", SecretKey: "first-secret"}, {AccessKeyID: "third", SecretKey: "x"}} {
		client, err := blob.Open(blob.Config{Endpoint: servers.S3Endpoint(), AccessKey: wrong.AccessKeyID, SecretKey: wrong.SecretKey})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, _, err := client.Bucket("of-first").Get(t.Context(), "object"); !errors.Is(err, blob.ErrAccessDenied) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

// TestStoreWithoutExtendedAttributes runs the whole contract with metadata in side-car files: an existing directory of
// them makes the server keep to it.
func TestStoreWithoutExtendedAttributes(t *testing.T) {
	dir := t.TempDir()
	sidecar := filepath.Join(dir, "s3-metadata")
	if err := os.Mkdir(sidecar, 0o700); err != nil {
		t.Fatal(err)
	}
	servers := start(t, s3Only(dir))
	blobtest.Run(t, openBucket(t, servers.S3Endpoint(), keys[0], "bucket"))
	if entries, err := os.ReadDir(sidecar); err != nil || len(entries) == 0 {
		t.Errorf("the side-car directory holds %v, %v", entries, err)
	}
}

// TestReaderSeesOneVersion overwrites an object and reads it at the same time. Each version says its number in its
// bytes and in its metadata, and has its MD5 for an ETag.
func TestReaderSeesOneVersion(t *testing.T) {
	for name, sidecar := range map[string]bool{"extended attributes": false, "side-car files": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if sidecar {
				if err := os.Mkdir(filepath.Join(dir, "s3-metadata"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			bucket := openBucket(t, start(t, s3Only(dir)).S3Endpoint(), keys[0], "bucket")
			var stop atomic.Bool
			var writing sync.WaitGroup
			put := func(n int) {
				number := strconv.Itoa(n)
				data := bytes.Repeat([]byte(number+" "), 1000)
				if _, err := bucket.Put(t.Context(), "object", data, blob.PutOptions{Metadata: map[string]string{"number": number}}); err != nil {
					t.Error(err)
				}
			}
			put(0)
			for writer := range 4 {
				writing.Go(func() {
					for n := writer; !stop.Load(); n += 2 {
						put(n)
					}
				})
			}
			for range 600 {
				data, info, err := bucket.Get(t.Context(), "object")
				if err != nil {
					t.Fatal(err)
				}
				number, _, _ := strings.Cut(string(data), " ")
				if sum := fmt.Sprintf("%x", md5.Sum(data)); info.Metadata["number"] != number || info.ETag != sum {
					t.Errorf("the bytes are of version %s, the metadata of %s, the ETag fits: %v", number, info.Metadata["number"], info.ETag == sum)
					break
				}
			}
			stop.Store(true)
			writing.Wait()
		})
	}
}

// TestPutsAndDeletesInOneDirectory empties directories over and over while others write into them.
func TestPutsAndDeletesInOneDirectory(t *testing.T) {
	servers := start(t, s3Only(t.TempDir()))
	bucket := openBucket(t, servers.S3Endpoint(), keys[0], "bucket")
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			key := fmt.Sprintf("a/b/c/%d/object", writer)
			for range 300 {
				if _, err := bucket.Put(t.Context(), key, []byte("x"), blob.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
				if _, _, err := bucket.Get(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
				if err := bucket.Delete(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

func TestBrokenOffWritesAreRemovedAfterACrash(t *testing.T) {
	dir := t.TempDir()
	servers := start(t, s3Only(dir))
	bucket := openBucket(t, servers.S3Endpoint(), keys[0], "bucket")
	if _, err := bucket.Put(t.Context(), "folder/object", []byte("x"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Upload(t.Context(), "long", bytes.NewReader(make([]byte, 20<<20)), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	// What a put that replaces an object leaves when it is killed between its last two steps, an upload before its
	// completion, and a lock that nobody released.
	for path, content := range map[string]string{
		"s3/bucket/folder/.object.sgwtmp.1700000000000000000": "half",
		"s3/bucket/.sgwtmp/multipart/ab/upload/1":             "part",
		"lock": "in use\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	servers = start(t, s3Only(dir))
	var listed []string
	for info, err := range openBucket(t, servers.S3Endpoint(), keys[0], "bucket").List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, info.Key)
	}
	if len(listed) != 2 || listed[0] != "folder/object" || listed[1] != "long" {
		t.Errorf("listed %q", listed)
	}
	if _, err := os.Stat(filepath.Join(dir, "s3/bucket/.sgwtmp/multipart/ab")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the part of the broken-off upload is still there: %v", err)
	}
}
