// Package blob is the bucket: objects in any store that speaks S3, read whole or by ranges, and written with the two
// conditions everything else is built on, "only if absent" and "only if unchanged". The archive, the catalog, the
// models and the data sets use it; it is the only package that knows the S3 client library.
//
// Errors wrap [ErrNotFound], [ErrPrecondition], [ErrAccessDenied] or [ErrUnavailable] where one of them applies; ask
// with errors.Is. Reads and writes that fail on the way are retried a few times. The retry of a conditional write may
// meet the write's own success: the caller sees ErrPrecondition although its write has arrived. A [Document] recognises
// this.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var (
	// ErrNotFound means that the object or the bucket does not exist.
	ErrNotFound = errors.New("no such object")
	// ErrPrecondition means that a conditional write found another object, or none, in the place it was meant for.
	ErrPrecondition = errors.New("the object has changed")
	// ErrAccessDenied means that the store refused the access key or its rights.
	ErrAccessDenied = errors.New("access denied")
	// ErrUnavailable means that the store could not be reached, broke off, or answered that it has a fault or too much
	// to do.
	ErrUnavailable = errors.New("the store is unavailable")
)

// DefaultRegion is the region requests are signed for where [Config] names none.
const DefaultRegion = "us-east-1"

// Config is the address of a store and the key to it.
type Config struct {
	Endpoint  string // http(s)://host:port, without a path
	AccessKey string
	SecretKey string
	Region    string // "": DefaultRegion
}

// String leaves the secret out, so that no log line holds it by accident.
func (c Config) String() string { return c.Endpoint + " as " + c.AccessKey }

// GoString leaves the secret out of %#v.
func (c Config) GoString() string { return c.String() }

// Info describes an object.
type Info struct {
	Key          string
	Size         int64  // bytes
	ETag         string // without quotes; changes with every write; what PutOptions.IfMatch takes
	LastModified time.Time
	Metadata     map[string]string // keys in lower case without x-amz-meta-; nil in listings
}

// Client is a connection pool to one store. It is safe for concurrent use.
type Client struct {
	core      minio.Core
	transport *http.Transport
	region    string
}

// Open returns a client for the store. It doesn't connect: an unreachable store shows at the first call.
func Open(cfg Config) (*Client, error) {
	if err := ValidateEndpoint(cfg.Endpoint); err != nil {
		return nil, fmt.Errorf("reading the S3 endpoint %q: %w", cfg.Endpoint, err)
	}
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading the S3 endpoint: %w", err)
	}
	region := cfg.Region
	if region == "" {
		region = DefaultRegion
	}
	secure := endpoint.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("preparing the S3 connection: %w", err)
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &idleTimeoutConn{Conn: conn, timeout: stallTimeout}, nil
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:     secure,
		Transport:  transport,
		Region:     region, // stated, so that the client never asks for a bucket's location first
		MaxRetries: 4,      // about two seconds; callers that must wait longer repeat with their own back-off
	})
	if err != nil {
		return nil, fmt.Errorf("opening the S3 client: %w", err)
	}
	client.SetAppInfo("penchant", "1")
	return &Client{core: minio.Core{Client: client}, transport: transport, region: region}, nil
}

// stallTimeout bounds how long a connection may move no byte before the request on it fails.
const stallTimeout = time.Minute

// idleTimeoutConn fails reads and writes when nothing moves for a while: a network that swallows packets would
// otherwise block a caller without a deadline, such as a training, indefinitely.
type idleTimeoutConn struct {
	net.Conn
	timeout time.Duration
}

func (c *idleTimeoutConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write prolongs a pending read as well: the answer can't come before the request has gone out.
func (c *idleTimeoutConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Bucket returns the named bucket, whether it exists or not.
func (c *Client) Bucket(name string) *Bucket { return &Bucket{client: c, name: name} }

// EnsureBucket creates the bucket unless it exists.
func (c *Client) EnsureBucket(ctx context.Context, name string) error {
	err := c.core.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: c.region})
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil, code == minio.BucketAlreadyOwnedByYou:
		return nil
	case code == minio.BucketAlreadyExists:
		// Some stores answer this for an own bucket too. One of another owner isn't readable.
		if found, existsErr := c.core.BucketExists(ctx, name); existsErr == nil && found {
			return nil
		}
	}
	return wrap("creating the bucket", name, "", err)
}

// Bucket is one bucket of a store. It is safe for concurrent use.
type Bucket struct {
	client *Client
	name   string
}

// Name returns the bucket's name.
func (b *Bucket) Name() string { return b.name }

// Ping returns nil if the store answers and the bucket exists.
func (b *Bucket) Ping(ctx context.Context) error {
	found, err := b.client.core.BucketExists(ctx, b.name)
	if err == nil && !found {
		err = fmt.Errorf("%w: the bucket does not exist", ErrNotFound)
	}
	return wrap("reaching", b.name, "", err)
}

// wrap adds what was being done to what, and this package's error where one applies.
func wrap(doing, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	place := "s3://" + bucket
	if key != "" {
		place += "/" + key
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%s %s: %w: %w", doing, place, kind, err)
	}
	return fmt.Errorf("%s %s: %w", doing, place, err)
}

func kindOf(err error) error {
	response := minio.ToErrorResponse(err)
	switch response.Code {
	case minio.NoSuchKey, minio.NoSuchBucket, "NotFound":
		return ErrNotFound
	case minio.PreconditionFailed:
		return ErrPrecondition
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled", "ExpiredToken", "InvalidToken",
		"XAdminUserNotFound": // versitygw's word for an unknown key, with status 404: it must not pass for an absent object
		return ErrAccessDenied
	}
	switch response.StatusCode {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusPreconditionFailed:
		return ErrPrecondition
	case http.StatusForbidden, http.StatusUnauthorized:
		return ErrAccessDenied
	}
	var network net.Error
	if response.StatusCode >= http.StatusInternalServerError || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) {
		return ErrUnavailable
	}
	return nil
}
