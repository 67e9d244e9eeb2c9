package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// Servers are the settings of Kafka, Redis and S3: where the outside ones are, and where embedded ones listen in their
// place.
type Servers struct {
	KafkaBrokers []string `help:"Outside Kafka brokers, host:port, separated by commas."`
	RedisURL     string   `help:"Outside Redis, redis://[user:password@]host:port[/db]."`
	S3Endpoint   string   `name:"s3-endpoint" env:"PENCHANT_S3_ENDPOINT" help:"Outside S3 store, http(s)://host:port."`
	S3AccessKey  string   `name:"s3-access-key" env:"PENCHANT_S3_ACCESS_KEY" help:"Access key of the outside S3 store."`
	S3SecretKey  string   `name:"s3-secret-key" env:"PENCHANT_S3_SECRET_KEY" help:"Secret key of the outside S3 store."`
	Bucket       string   `help:"Bucket of archive, datasets, models and catalog." default:"penchant"`

	KafkaAddr        string           `help:"Address of the embedded Kafka." default:"127.0.0.1:9092"`
	RedisAddr        string           `help:"Address of the embedded Redis." default:"127.0.0.1:6379"`
	S3Addr           string           `name:"s3-addr" env:"PENCHANT_S3_ADDR" help:"Address of the embedded S3." default:"127.0.0.1:9000"`
	EmbeddedLogBytes process.ByteSize `help:"Bound of the embedded Kafka's log. Older events are in the archive." default:"512MiB"`

	TopicPartitions        int32 `help:"Partitions of a new topic. 0: 8 on the embedded Kafka, otherwise 12." default:"0"`
	TopicReplicationFactor int16 `help:"Replicas of a new topic. 0: 1 on the embedded Kafka, otherwise 3." default:"0"`
	TopicMinInsyncReplicas int   `help:"Replicas that must have an event before it is acknowledged. 0: 1 on the embedded Kafka, otherwise 2." default:"0"`
}

// minEmbeddedLogBytes leaves room for the segments that are being written, which can't be deleted.
const minEmbeddedLogBytes = 128 << 20

// Validate returns an error that names the wrong setting and its rule. An address that no server could have is an error
// at once; one where no server answers yet is not, since the order in which a stack starts is free.
func (s *Servers) Validate() error {
	for _, broker := range s.KafkaBrokers {
		if err := bus.ValidateBroker(broker); err != nil {
			return fmt.Errorf("--kafka-brokers %q: %w", broker, err)
		}
	}
	if s.RedisURL != "" {
		if err := userstate.ValidateURL(s.RedisURL); err != nil {
			return fmt.Errorf("--redis-url: %w", err)
		}
	}
	if err := s.validateStore(); err != nil {
		return err
	}
	for flag, addr := range map[string]string{"--kafka-addr": s.KafkaAddr, "--redis-addr": s.RedisAddr,
		"--s3-addr": s.S3Addr} {
		if err := validateListenAddr(flag, addr); err != nil {
			return err
		}
	}
	if s.EmbeddedLogBytes < minEmbeddedLogBytes {
		return fmt.Errorf("--embedded-log-bytes %d: must be at least 128MiB", s.EmbeddedLogBytes)
	}
	return nil
}

func (s *Servers) validateStore() error {
	if err := blob.ValidateBucket(s.Bucket); err != nil {
		return fmt.Errorf("--bucket %q: %w", s.Bucket, err)
	}
	if s.S3Endpoint == "" {
		if s.S3AccessKey != "" || s.S3SecretKey != "" {
			return errors.New("--s3-access-key and --s3-secret-key are for an outside store: --s3-endpoint is missing")
		}
		return nil
	}
	if err := blob.ValidateEndpoint(s.S3Endpoint); err != nil {
		return fmt.Errorf("--s3-endpoint %q: %w", s.S3Endpoint, err)
	}
	if s.S3AccessKey == "" || s.S3SecretKey == "" {
		return errors.New("--s3-endpoint needs --s3-access-key and --s3-secret-key")
	}
	return nil
}

// Require returns an error that names the settings of outside servers that a target without embedded ones lacks.
func (s *Servers) Require(target Part) error {
	if target.Needs(Embedded) {
		return nil
	}
	var missing []string
	if target.Needs(Kafka) && len(s.KafkaBrokers) == 0 {
		missing = append(missing, "PENCHANT_KAFKA_BROKERS (--kafka-brokers)")
	}
	if target.Needs(Redis) && s.RedisURL == "" {
		missing = append(missing, "PENCHANT_REDIS_URL (--redis-url)")
	}
	if target.Needs(Bucket) && s.S3Endpoint == "" {
		missing = append(missing, "PENCHANT_S3_ENDPOINT (--s3-endpoint)")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this target runs against outside servers; missing: %s", strings.Join(missing, ", "))
}

func (s *Servers) embedsKafka() bool { return len(s.KafkaBrokers) == 0 }
func (s *Servers) embedsRedis() bool { return s.RedisURL == "" }
func (s *Servers) embedsS3() bool    { return s.S3Endpoint == "" }
