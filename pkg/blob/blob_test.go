package blob_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/blob/blobtest"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, embeddedtest.Bucket(t))
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	cfg, name := embeddedtest.S3(t)
	blobtest.RunDocuments(t, cfg, name)
}

func TestErrorsTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	cfg, name := embeddedtest.S3(t)
	wrongSecret, wrongKey := cfg, cfg
	wrongSecret.SecretKey = "another"
	wrongKey.AccessKey = "nobody"
	tests := []struct {
		name   string
		cfg    blob.Config
		bucket string
		want   error
	}{
		{"wrong secret", wrongSecret, name, blob.ErrAccessDenied},
		{"unknown access key", wrongKey, name, blob.ErrAccessDenied},
		{"no such bucket", cfg, "nobucket", blob.ErrNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := open(t, test.cfg).Bucket(test.bucket)
			_, err := bucket.Put(t.Context(), "key", []byte("x"), blob.PutOptions{})
			check(t, err, test.want)
			_, _, err = bucket.Get(t.Context(), "key")
			check(t, err, test.want)
			for _, err := range bucket.List(t.Context(), "") {
				check(t, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), test.cfg.SecretKey) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestEnsureBucketTwice(t *testing.T) {
	t.Parallel()
	cfg, name := embeddedtest.S3(t)
	for range 2 {
		if err := open(t, cfg).EnsureBucket(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefusesBadEndpoints(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "localhost:9000", "ftp://host", "http://", "http://host/path", "http://ho st"} {
		if _, err := blob.Open(blob.Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
}

func TestConfigHidesItsSecret(t *testing.T) {
	t.Parallel()
	cfg := blob.Config{Endpoint: "http://host", AccessKey: "id", SecretKey: "hidden"}
	if text := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(text, "hidden") {
		t.Error(text)
	}
}

func open(t *testing.T, cfg blob.Config) *blob.Client {
	t.Helper()
	client, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func check(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
	}
}
