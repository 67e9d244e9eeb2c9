package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/services/control/crud"
)

// Settings is what every target can be told, by flag or by the environment variable of the flag's name
// (--data-dir is PENCHANT_DATA_DIR). A flag wins over the environment.
type Settings struct {
	DataDir   string `help:"Folder of the embedded servers and of caches." default:"${data_dir}" type:"path"`
	HTTPAddr  string `help:"Address of the API for all three AWS services." default:"127.0.0.1:8080"`
	AdminAddr string `help:"Address of its own for /healthz and /metrics. Empty: they stand on --http-addr." default:""`

	KafkaAddr string `help:"Address of the embedded Kafka." default:"127.0.0.1:9092"`
	RedisAddr string `help:"Address of the embedded Redis." default:"127.0.0.1:6379"`
	S3Addr    string `name:"s3-addr" env:"PENCHANT_S3_ADDR" help:"Address of the embedded S3." default:"127.0.0.1:9000"`

	KafkaBrokers []string `help:"Outside Kafka brokers, host:port, separated by commas."`
	RedisURL     string   `help:"Outside Redis, redis://[user:password@]host:port[/db]."`
	S3Endpoint   string   `name:"s3-endpoint" env:"PENCHANT_S3_ENDPOINT" help:"Outside S3 store, http(s)://host:port."`
	S3AccessKey  string   `name:"s3-access-key" env:"PENCHANT_S3_ACCESS_KEY" help:"Access key of the outside S3 store."`
	S3SecretKey  string   `name:"s3-secret-key" env:"PENCHANT_S3_SECRET_KEY" help:"Secret key of the outside S3 store."`

	AccessKeys string `help:"Key pairs that may call the API (and the embedded S3): id:secret, separated by commas." default:"penchant:penchant-secret"`
	Bucket     string `help:"Bucket of archive, datasets, models and catalog." default:"penchant"`
	AccountID  string `help:"AWS account id in ARNs, 12 digits." default:"000000000000"`
	Region     string `help:"AWS region in ARNs and of the S3 store." default:"us-east-1"`

	Quotas map[string]int `help:"Quotas that differ from Amazon's: filters-per-group=50, separated by commas." mapsep:","`

	WorkflowRetention time.Duration `help:"For how long executions of workflows are kept after their end." default:"2160h"`

	Functions map[string]string `help:"HTTP endpoints that stand for Lambda functions in workflows: name=http://host:port/path, separated by commas." mapsep:","`

	MaxRequests int `help:"Calls that are worked on at once; further ones are answered with 503." default:"2048"`

	ArchiveFlushInterval time.Duration    `help:"Oldest age of an event when its archive file is written." default:"60s"`
	ArchiveFlushBytes    process.ByteSize `help:"Size at which an archive file is written, at most 64MiB." default:"64MiB"`

	EmbeddedLogBytes process.ByteSize `help:"Bound of the embedded Kafka's log. Older events are in the archive." default:"512MiB"`

	TopicPartitions        int32 `help:"Partitions of a new topic. 0: 8 on the embedded Kafka, otherwise 12." default:"0"`
	TopicReplicationFactor int16 `help:"Replicas of a new topic. 0: 1 on the embedded Kafka, otherwise 3." default:"0"`
	TopicMinInsyncReplicas int   `help:"Replicas that must have an event before it is acknowledged. 0: 1 on the embedded Kafka, otherwise 2." default:"0"`

	UserHistory     int              `help:"Recent interactions kept for each user." default:"200"`
	AttributesBytes process.ByteSize `help:"Bound of the memory that a recommender takes for the attributes of items and users that filters and metadata ask for." default:"4GiB"`
	Exploration     bool             `help:"Let campaigns and batch inference show cold items as their explorationWeight says. Without it equal data gives equal lists." default:"true" negatable:""`

	UserTTL time.Duration `help:"Forget the state of a user who was idle this long. 0: never." default:"0s"`

	MinInteractions       int           `help:"Fewest interactions that can be imported or trained on." default:"1000"`
	MinUsers              int           `help:"Fewest users with two interactions that can be trained on." default:"25"`
	AutoTrainInitialDelay time.Duration `help:"Age of a solution when its first automatic training starts, unless it was trained by hand." default:"30m"`
	AutoUpdateInterval    time.Duration `help:"How often a model that recommends for users takes in new items without a training. Negative: never." default:"2h"`
	ExperimentInterval    time.Duration `help:"How often the results of experiments are counted, and how long after its arrival an event is." default:"15s"`
	SearchTime            time.Duration `help:"How long a search for the best recipe or hyperparameters begins to train further candidates." default:"2h"`
	TrainingThreads       int           `help:"Threads that a training uses. 0: one for each processor." default:"0"`
	JobLease              time.Duration `help:"A job whose worker gave no sign of life for so long is taken over by another." default:"30s"`
	Seed                  int64         `help:"Seed of trainings: same data and seed, same model." default:"1"`

	LogLevel  string `help:"One of debug, info, warn, error." default:"info" enum:"debug,info,warn,error"`
	LogFormat string `help:"json, or console for people." default:"json" enum:"json,console"`
}

// maxArchiveFlushBytes is the largest archive file: one conditional PUT writes it.
const maxArchiveFlushBytes = 64 << 20

// minEmbeddedLogBytes leaves room for the segments that are being written, which can't be deleted.
const minEmbeddedLogBytes = 128 << 20

// Validate says which setting is wrong and what the rule is. kong calls it after parsing.
func (s *Settings) Validate() error {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	switch {
	case len(s.AccountID) != 12 || strings.ContainsFunc(s.AccountID, func(r rune) bool { return !digit(r) }):
		return fmt.Errorf("--account-id %q: it has 12 digits", s.AccountID)
	case s.Region == "" || strings.Contains(s.Region, ":"):
		return fmt.Errorf("--region %q: it is a name such as us-east-1", s.Region)
	case s.ArchiveFlushBytes <= 0 || s.ArchiveFlushBytes > maxArchiveFlushBytes:
		return fmt.Errorf("--archive-flush-bytes %d: it is between 1 and 64MiB, the largest archive file", s.ArchiveFlushBytes)
	case s.ArchiveFlushInterval <= 0:
		return fmt.Errorf("--archive-flush-interval %s: it is above zero", s.ArchiveFlushInterval)
	case s.EmbeddedLogBytes < minEmbeddedLogBytes:
		return fmt.Errorf("--embedded-log-bytes %d: it is at least 128MiB", s.EmbeddedLogBytes)
	case s.UserHistory < 1 || s.UserHistory > 10_000:
		return fmt.Errorf("--user-history %d: it is between 1 and 10000", s.UserHistory)
	case s.MinInteractions < 1 || s.MinUsers < 1:
		return fmt.Errorf("--min-interactions %d, --min-users %d: each is at least 1", s.MinInteractions, s.MinUsers)
	case s.JobLease < time.Second:
		return fmt.Errorf("--job-lease %s: it is at least 1s", s.JobLease)
	case s.WorkflowRetention < 24*time.Hour:
		return fmt.Errorf("--workflow-retention %s: it is at least 24h, in which what is scheduled may be started late", s.WorkflowRetention)
	case s.MaxRequests < 1:
		return fmt.Errorf("--max-requests %d: it is at least 1", s.MaxRequests)
	case s.S3Endpoint == "" && (s.S3AccessKey != "" || s.S3SecretKey != ""):
		return errors.New("--s3-access-key and --s3-secret-key are for an outside store: --s3-endpoint is missing")
	case s.S3Endpoint != "" && (s.S3AccessKey == "" || s.S3SecretKey == ""):
		return errors.New("--s3-endpoint needs --s3-access-key and --s3-secret-key")
	}
	if _, err := crud.ParseQuotas(s.Quotas); err != nil {
		return fmt.Errorf("--quotas: %w", err)
	}
	for name, endpoint := range s.Functions {
		if u, err := url.Parse(endpoint); name == "" || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("--functions %s=%s: want name=http://host:port/path", name, endpoint)
		}
	}
	keys, err := awsapi.ParseCredentials(s.AccessKeys)
	if err != nil {
		return fmt.Errorf("--access-keys: %w", err)
	}
	for _, addr := range []string{s.HTTPAddr, s.AdminAddr} {
		if err := refusePublicDefaultKeys(addr, keys); err != nil {
			return err
		}
	}
	return nil
}

// defaultSecret is the secret that everyone knows from the README.
const defaultSecret = "penchant-secret"

func refusePublicDefaultKeys(addr string, keys []awsapi.Credential) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: it is host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	if slices.ContainsFunc(keys, func(c awsapi.Credential) bool { return c.SecretKey == defaultSecret }) {
		return fmt.Errorf("address %q can be reached from outside, and the default key pair is known to everyone: set --access-keys, or listen on 127.0.0.1", addr)
	}
	return nil
}

// missingServers names the settings that a target without embedded servers lacks.
func (s *Settings) missingServers(kafka, redis, s3 bool) error {
	var missing []string
	if kafka && len(s.KafkaBrokers) == 0 {
		missing = append(missing, "PENCHANT_KAFKA_BROKERS (--kafka-brokers)")
	}
	if redis && s.RedisURL == "" {
		missing = append(missing, "PENCHANT_REDIS_URL (--redis-url)")
	}
	if s3 && s.S3Endpoint == "" {
		missing = append(missing, "PENCHANT_S3_ENDPOINT (--s3-endpoint)")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this target runs against outside servers; missing: %s", strings.Join(missing, ", "))
}

// defaultSettings are the settings of a process that was told nothing.
func defaultSettings() *Settings {
	s := &Settings{}
	if err := kong.ApplyDefaults(s, kong.Vars{"data_dir": defaultDataDir()}); err != nil {
		panic(fmt.Sprintf("the defaults in the tags of Settings don't parse: %v", err))
	}
	return s
}

// topicDefaults is how topics are created, on an embedded Kafka or on an outside one.
func (s *Settings) topicDefaults(embeddedKafka bool) bus.TopicDefaults {
	return bus.TopicDefaults{
		Partitions:        orDefault(s.TopicPartitions, 12, 8, embeddedKafka),
		ReplicationFactor: orDefault(s.TopicReplicationFactor, 3, 1, embeddedKafka),
		MinInSyncReplicas: orDefault(s.TopicMinInsyncReplicas, 2, 1, embeddedKafka),
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

func (s *Settings) logger() (*zap.Logger, error) { return process.NewLogger(s.LogLevel, s.LogFormat) }

func defaultDataDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return "penchant-data"
	}
	return filepath.Join(home, ".penchant")
}

const (
	envPrefix = "PENCHANT_"
	// testEnvPrefix marks what the tests read, which the binary leaves alone.
	testEnvPrefix = "PENCHANT_TEST_"
	fileSuffix    = "_FILE"
)

// prepareEnvironment sets PENCHANT_X from the file that PENCHANT_X_FILE names, the way container platforms hand out
// secrets, and refuses variables that no flag reads, so that a misspelt setting can't be overlooked.
func prepareEnvironment(parser *kong.Kong) error {
	known := map[string]bool{}
	var collect func(*kong.Node)
	collect = func(n *kong.Node) {
		for _, f := range n.Flags {
			for _, env := range f.Envs {
				known[env] = true
			}
		}
		for _, child := range n.Children {
			collect(child)
		}
	}
	collect(parser.Model.Node)

	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testEnvPrefix) || known[name] {
			continue
		}
		setting, fromFile := strings.CutSuffix(name, fileSuffix)
		if !fromFile || !known[setting] {
			return fmt.Errorf("environment variable %s is no setting of penchant (see penchant all --help)", name)
		}
		if _, both := os.LookupEnv(setting); both {
			return fmt.Errorf("both %s and %s are set: one is enough", setting, name)
		}
		content, err := os.ReadFile(value)
		if err != nil {
			return fmt.Errorf("reading the file that %s names: %w", name, err)
		}
		if err := os.Setenv(setting, strings.TrimRight(string(content), "\r\n")); err != nil {
			return fmt.Errorf("setting %s: %w", setting, err)
		}
	}
	return nil
}
