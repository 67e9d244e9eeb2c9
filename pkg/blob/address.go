package blob

import (
	"errors"
	"net/url"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// ValidateEndpoint returns why Open could not take the endpoint, whatever listens there.
func ValidateEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.User != nil {
		return errors.New("want http://host:port or https://host:port")
	}
	return nil
}

// ValidateBucket returns why S3 stores would refuse the name for a bucket.
func ValidateBucket(name string) error {
	if s3utils.CheckValidBucketNameStrict(name) != nil {
		return errors.New("want 3 to 63 lowercase letters, digits, dots and hyphens, with a letter or digit at both ends")
	}
	return nil
}
