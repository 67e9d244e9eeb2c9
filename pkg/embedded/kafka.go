package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const (
	// segmentBytes is the size of the log's files. What is trimmed is deleted by whole files, and every partition keeps
	// one: small ones let the log of many topics stay within its bound.
	segmentBytes = "1048576"
	// never is, in milliseconds, when the broker's own cleaner runs. See compactor, and keepForEver.
	never = "3153600000000" // 100 years
)

type kafkaServer struct {
	cluster *kfake.Cluster
	addr    string
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func startKafka(dir string, cfg Config) (*kafkaServer, error) {
	compactor := &compactor{dir: dir, backup: dir + "-compaction", log: cfg.Log, threshold: cfg.CompactBytes}
	if err := compactor.recover(); err != nil {
		return nil, fmt.Errorf("undoing a compaction that was broken off: %w", err)
	}
	// What a broker that was shut down in order leaves about its group members helps them when it comes back within
	// their session. Here they are mostly gone with it, and would only keep their partitions from the new ones.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("preparing the log's directory: %w", err)
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("penchant-embedded"),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, cfg.KafkaAddr) }),
		kfake.DataDir(dir),
		kfake.WithLogger(kafkaLog{cfg.Log}),
		kfake.DefaultNumPartitions(8),
		// Topics come from EnsureTopics alone: one that a mere question brought about would lose its records at a
		// crash.
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":          segmentBytes,
			"log.cleaner.backoff.ms":     never,
			"default.replication.factor": "1",
			"min.insync.replicas":        "1",
			"log.message.timestamp.type": "LogAppendTime",
		}),
	}
	if !cfg.Unsynced {
		options = append(options, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, err
	}
	cluster.ControlKey(int16(kmsg.CreateTopics), keepForEver)
	k := &kafkaServer{cluster: cluster, addr: cluster.ListenAddrs()[0]}
	compactor.cluster = cluster
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.stopped.Go(func() { compactor.run(ctx, cfg.CompactInterval) })
	return k, nil
}

func (k *kafkaServer) close() {
	k.stop()
	k.stopped.Wait()
	k.cluster.Close()
}

// keepForEver takes the retention out of every topic that is created. The broker's log is bounded by trimming what
// nobody needs any more instead: a partition from which retention removes everything, say of a shop that was idle for a
// week, would begin at offset zero again after the next start.
func keepForEver(request kmsg.Request) (kmsg.Response, error, bool) {
	create, ok := request.(*kmsg.CreateTopicsRequest)
	if !ok {
		return nil, nil, false
	}
	for i := range create.Topics {
		topic := &create.Topics[i]
		topic.Configs = slices.DeleteFunc(topic.Configs, func(config kmsg.CreateTopicsRequestTopicConfig) bool {
			return config.Name == "retention.ms" || config.Name == "retention.bytes"
		})
		for _, name := range []string{"retention.ms", "retention.bytes"} {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, kmsg.StringPtr("-1")
			topic.Configs = append(topic.Configs, config)
		}
	}
	return nil, nil, false // and let the broker create it
}

// kafkaLog passes on what went wrong in the broker.
type kafkaLog struct{ log *zap.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded Kafka: " + fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded Kafka: " + fmt.Sprintf(format, args...))
	}
}
