package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
)

// embeddedServers is the member of endpoints.json that names the servers of the process itself.
const embeddedServers = "embedded"

func endpointsFile(dataDir string) string { return filepath.Join(dataDir, "endpoints.json") }

// writeEndpoints notes the addresses that were taken, for scripts that started the process on port 0, and for the
// operator's commands.
func (a *App) writeEndpoints() error {
	endpoints := map[string]string{"http": a.Endpoint(), "kafka": a.kafkaBrokers()[0]}
	if a.s3.Endpoint != "" {
		endpoints["s3"] = a.s3.Endpoint
	}
	if a.target.Needs(Redis) && a.settings.embedsRedis() {
		endpoints["redis"] = a.redisURL()
	}
	if embedded := a.embedded(); len(embedded) > 0 {
		endpoints[embeddedServers] = strings.Join(embedded, ",")
	}
	content, err := json.MarshalIndent(endpoints, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the endpoints: %w", err)
	}
	if err := os.MkdirAll(a.settings.DataDir, 0o755); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	if err := replaceFile(endpointsFile(a.settings.DataDir), append(content, '\n')); err != nil {
		return fmt.Errorf("writing the endpoints: %w", err)
	}
	return nil
}

// embedded names the servers that this process brings along.
func (a *App) embedded() (servers []string) {
	if !a.target.Needs(Embedded) {
		return nil
	}
	if a.settings.embedsKafka() {
		servers = append(servers, "kafka")
	}
	if a.settings.embedsRedis() {
		servers = append(servers, "redis")
	}
	if a.settings.embedsS3() {
		servers = append(servers, "s3")
	}
	return servers
}

// replaceFile writes a file that is whole at any time, even where replicas that share the folder write it at once.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the returned error has the cause
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// readEndpoints reads what writeEndpoints has written; nothing where no process ever ran.
func readEndpoints(dataDir string) (map[string]string, error) {
	content, err := os.ReadFile(endpointsFile(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the servers of penchant all: %w", err)
	}
	var endpoints map[string]string
	if err := json.Unmarshal(content, &endpoints); err != nil {
		return nil, fmt.Errorf("reading %s: %w", endpointsFile(dataDir), err)
	}
	return endpoints, nil
}

// Client returns a client of the API of the process that has the same data folder, or else of the one at --http-addr.
func (s *Settings) Client() (*awsapi.Client, error) {
	credentials, err := awsapi.ParseCredentials(s.AccessKeys)
	if err != nil {
		return nil, err
	}
	endpoints, err := readEndpoints(s.DataDir)
	if err != nil {
		return nil, err
	}
	return awsapi.NewClient(cmp.Or(endpoints["http"], "http://"+s.HTTPAddr), credentials[0], s.Region), nil
}

// Running are the servers of a running installation. What is "" or empty is neither set nor embedded.
type Running struct {
	Brokers  []string
	RedisURL string
	S3       blob.Config
	// Embedded names those of the servers that are part of a process: kafka, redis, s3.
	Embedded []string
	// DefaultKeys reports whether the API can be called with the key pair that everyone knows.
	DefaultKeys bool
}

// FindServers returns the servers that are set, and for the others those of the process that has the same data folder.
func (s *Settings) FindServers() (Running, error) {
	credentials, err := awsapi.ParseCredentials(s.AccessKeys)
	if err != nil {
		return Running{}, err
	}
	endpoints, err := readEndpoints(s.DataDir)
	if err != nil {
		return Running{}, err
	}
	embedded := map[string]bool{}
	for _, server := range strings.Split(endpoints[embeddedServers], ",") {
		embedded[server] = true
	}
	r := Running{
		Brokers: s.KafkaBrokers, RedisURL: s.RedisURL, DefaultKeys: usesDefaultKeys(credentials),
		S3: blob.Config{Endpoint: s.S3Endpoint, AccessKey: s.S3AccessKey, SecretKey: s.S3SecretKey, Region: s.Region},
	}
	if len(r.Brokers) == 0 && embedded["kafka"] {
		r.Brokers, r.Embedded = []string{endpoints["kafka"]}, append(r.Embedded, "kafka")
	}
	if r.RedisURL == "" && embedded["redis"] {
		r.RedisURL, r.Embedded = endpoints["redis"], append(r.Embedded, "redis")
	}
	if r.S3.Endpoint == "" && embedded["s3"] {
		r.S3.Endpoint, r.Embedded = endpoints["s3"], append(r.Embedded, "s3")
		r.S3.AccessKey, r.S3.SecretKey = credentials[0].AccessKeyID, credentials[0].SecretKey
	}
	return r, nil
}
