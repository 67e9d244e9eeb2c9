package app

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/control"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/recommender"
	"github.com/penchant-io/penchant/services/retrainer"
)

// Settings are the settings of every target, by flag or by the environment variable of the flag's name (--data-dir is
// PENCHANT_DATA_DIR). The options of a service are declared in its package. The tags are kong's: services/penchant
// parses the command line.
type Settings struct {
	DataDir   string `help:"Folder of the embedded servers and of caches." default:"${data_dir}" type:"path"`
	HTTPAddr  string `help:"Address of the API for all three AWS services." default:"127.0.0.1:8080"`
	AdminAddr string `help:"Address of its own for /healthz and /metrics. Empty: they are served on --http-addr." default:""`
	Servers   `embed:""`

	AccessKeys  string `help:"Key pairs that may call the API (and the embedded S3): id:secret, separated by commas." default:"penchant:penchant-secret"`
	Region      string `help:"AWS region in ARNs and of the S3 store." default:"us-east-1"`
	MaxRequests int    `help:"Calls that a process works on at once; further ones are answered with 503." default:"2048"`

	Control     control.Options     `embed:""`
	Firehose    firehose.Options    `embed:""`
	Users       userstate.Options   `embed:""`
	Recommender recommender.Options `embed:""`
	Retrainer   retrainer.Options   `embed:""`

	Exploration bool          `help:"Let campaigns and batch inference show cold items as their explorationWeight says. Without it equal data gives equal lists; diversityWeight acts all the same." default:"true" negatable:""`
	JobLease    time.Duration `help:"A job, or a workflow's execution, whose worker gave no sign of life for so long is taken over by another." default:"30s"`

	LogLevel  string `help:"One of debug, info, warn, error." default:"info" enum:"debug,info,warn,error"`
	LogFormat string `help:"json, or console for people." default:"json" enum:"json,console"`
}

// DefaultSecret is the secret that everyone knows from the README.
const DefaultSecret = "penchant-secret"

// Validate returns an error that names the wrong setting and its rule. kong calls it after parsing.
func (s *Settings) Validate() error {
	for _, validate := range []func() error{
		s.Servers.Validate, s.Control.Validate, s.Firehose.Validate, s.Users.Validate, s.Retrainer.Validate,
		s.validateOwn, s.validateKeys,
	} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) validateOwn() error {
	switch {
	case s.Region == "" || strings.Contains(s.Region, ":"):
		return fmt.Errorf("--region %q: want a name such as us-east-1", s.Region)
	case s.JobLease < time.Second:
		return fmt.Errorf("--job-lease %s: must be at least 1s", s.JobLease)
	case s.MaxRequests < 1:
		return fmt.Errorf("--max-requests %d: must be at least 1", s.MaxRequests)
	}
	return nil
}

// validateKeys refuses an API that others can reach while its keys are known to everyone.
func (s *Settings) validateKeys() error {
	keys, err := awsapi.ParseCredentials(s.AccessKeys)
	if err != nil {
		return fmt.Errorf("--access-keys: %w", err)
	}
	if err := validateListenAddr("--http-addr", s.HTTPAddr); err != nil {
		return err
	}
	if s.AdminAddr != "" {
		if err := validateListenAddr("--admin-addr", s.AdminAddr); err != nil {
			return err
		}
	}
	if !usesDefaultKeys(keys) {
		return nil
	}
	for _, addr := range []string{s.HTTPAddr, s.AdminAddr} {
		if addr != "" && !isLoopback(addr) {
			return fmt.Errorf("address %q can be reached from outside, and the default key pair is known to everyone: "+
				"set --access-keys, or listen on 127.0.0.1", addr)
		}
	}
	return nil
}

func usesDefaultKeys(keys []awsapi.Credential) bool {
	return slices.ContainsFunc(keys, func(c awsapi.Credential) bool { return c.SecretKey == DefaultSecret })
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// validateListenAddr checks that a process could listen there, whoever does already.
func validateListenAddr(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil && port != "" {
		if _, err = net.LookupPort("tcp", port); err == nil {
			return nil
		}
	}
	if err == nil {
		err = errors.New("the port is missing")
	}
	return fmt.Errorf("%s %q: want host:port: %w", flag, addr, err)
}

// Logger returns a logger with the level and the format of the settings.
func (s *Settings) Logger() (*zap.Logger, error) { return process.NewLogger(s.LogLevel, s.LogFormat) }

// Topics returns how topics are created, on the embedded Kafka or on an outside one.
func (s *Settings) Topics() bus.TopicDefaults {
	embedded := s.embedsKafka()
	return bus.TopicDefaults{
		Partitions:        orDefault(s.TopicPartitions, 12, 8, embedded),
		ReplicationFactor: orDefault(s.TopicReplicationFactor, 3, 1, embedded),
		MinInSyncReplicas: orDefault(s.TopicMinInsyncReplicas, 2, 1, embedded),
		RetentionTime:     bus.DefaultRetention,
	}
}

func orDefault[N int | int16 | int32](set, outside, embedded N, isEmbedded bool) N {
	switch {
	case set > 0:
		return set
	case isEmbedded:
		return embedded
	}
	return outside
}
