package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const (
	backupReady  = "ready"  // a complete backup: if it is there at the start, the log's files may not be complete
	backupUnused = "unused" // one being made, or being removed
)

// A compactor runs the broker's log compaction, when the compacted topics have grown by the threshold and to twice what
// was left the last time, and so that it may be killed at any moment.
//
// Left to itself the broker deletes a partition's files and then writes the new ones: killed between the two, it would
// come back without the partition. So all files of the compacted topics are linked into a backup first, without copying
// a byte, the backup is declared ready, the broker compacts, and the backup is removed. A start that finds a ready
// backup puts it back. Nothing else may happen to the log meanwhile, for the backup would lack it: whoever wants to
// append, or to create or delete a topic, is told to look for another broker, and does so until let in again, a
// fraction of a second later.
type compactor struct {
	dir       string // the broker's
	backup    string // on the same file system
	cluster   *kfake.Cluster
	log       *zap.Logger
	threshold int64 // bytes
	size      int64 // of the compacted topics, after the last compaction
}

func (c *compactor) run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := c.compactIfGrown(); err != nil {
			c.log.Error("compacting the embedded log failed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *compactor) compactIfGrown() error {
	topics, err := c.compacted()
	if err != nil || len(topics) == 0 {
		return err
	}
	size, err := c.sizeOf(topics)
	if err != nil || size < max(2*c.size, c.size+c.threshold) {
		return err
	}
	started := time.Now()
	if err := c.compact(); err != nil {
		return err
	}
	if c.size, err = c.sizeOf(topics); err != nil {
		return err
	}
	c.log.Info("the embedded log was compacted", zap.Int64("bytes before", size), zap.Int64("bytes after", c.size), zap.Duration("took", time.Since(started)))
	return nil
}

// topicDirs maps compacted topics to the directories of their partitions.
type topicDirs map[string][]string

// compacted reads the broker's list of topics.
func (c *compactor) compacted() (topicDirs, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		Topics []struct {
			Name       string            `json:"name"`
			Partitions int               `json:"partitions"`
			Configs    map[string]string `json:"configs"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading the broker's topics: %w", err)
	}
	topics := topicDirs{}
	for _, topic := range list.Topics {
		if !strings.Contains(topic.Configs["cleanup.policy"], "compact") {
			continue
		}
		for partition := range topic.Partitions {
			topics[topic.Name] = append(topics[topic.Name], fmt.Sprintf("%s-%d", url.PathEscape(topic.Name), partition))
		}
	}
	return topics, nil
}

func (c *compactor) partitions() string { return filepath.Join(c.dir, "partitions") }

func (c *compactor) sizeOf(topics topicDirs) (size int64, err error) {
	for _, dirs := range topics {
		for _, dir := range dirs {
			err := eachFile(filepath.Join(c.partitions(), dir), func(_ string, entry fs.DirEntry) error {
				if info, err := entry.Info(); err == nil { // else deleted meanwhile
					size += info.Size()
				}
				return nil
			})
			if err != nil {
				return 0, err
			}
		}
	}
	return size, nil
}

func (c *compactor) compact() error {
	shut := c.cluster.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions}, Err: kerr.NotController, Count: -1},
	)
	defer shut.Remove()
	c.cluster.ListenAddrs() // answered in the broker's one loop: a request that got in before the door was shut is done now
	topics, err := c.compacted()
	if err != nil {
		return err
	}
	if err := c.makeBackup(topics); err != nil {
		return fmt.Errorf("backing up the log: %w", err)
	}
	c.cluster.Compact()
	return c.dropBackup()
}

func (c *compactor) makeBackup(topics topicDirs) error {
	if err := os.RemoveAll(c.backup); err != nil {
		return err
	}
	unused := filepath.Join(c.backup, backupUnused)
	for _, dirs := range topics {
		for _, dir := range dirs {
			if err := linkFiles(filepath.Join(c.partitions(), dir), filepath.Join(unused, dir)); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(unused, 0o700); err != nil { // in case no partition had a file
		return err
	}
	return os.Rename(unused, filepath.Join(c.backup, backupReady))
}

// dropBackup takes back the declaration first: a backup half removed must not be put back.
func (c *compactor) dropBackup() error {
	if err := os.Rename(filepath.Join(c.backup, backupReady), filepath.Join(c.backup, backupUnused)); err != nil {
		return err
	}
	return os.RemoveAll(c.backup)
}

// recover puts a ready backup back. It may be broken off and done again.
func (c *compactor) recover() error {
	ready := filepath.Join(c.backup, backupReady)
	dirs, err := os.ReadDir(ready)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(c.backup)
	}
	if err != nil {
		return err
	}
	c.log.Info("undoing a compaction of the embedded log that was broken off")
	for _, dir := range dirs {
		live := filepath.Join(c.partitions(), dir.Name())
		remove := func(path string, _ fs.DirEntry) error { return os.Remove(path) }
		if err := eachFile(live, remove); err != nil {
			return err
		}
		if err := linkFiles(filepath.Join(ready, dir.Name()), live); err != nil {
			return err
		}
	}
	return c.dropBackup()
}

// linkFiles gives the files of one directory a second name in another.
func linkFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return eachFile(from, func(path string, entry fs.DirEntry) error {
		return os.Link(path, filepath.Join(to, entry.Name()))
	})
}

// eachFile calls f for the files of a directory, if there is one.
func eachFile(dir string, f func(path string, entry fs.DirEntry) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		if err := f(filepath.Join(dir, entry.Name()), entry); err != nil {
			return err
		}
	}
	return nil
}
