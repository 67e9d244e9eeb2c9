package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
	"go.uber.org/zap"
)

// A snapshot file holds
//
//	magic, the time (Unix ms, uvarint)
//	for each key: kind (1 byte), key, TTL left (ms, uvarint; 0: none), and
//	  for a hash: the number of fields (uvarint), then field and value of each
//	  for a string: its value
//	kind 0, and the CRC-32C of everything before it (4 bytes, little endian)
//
// where a text is its length (uvarint) and its bytes. Other kinds of values aren't saved: Penchant uses none.
const (
	snapshotName  = "snapshot"
	snapshotMagic = "penchant-redis-1\n"

	kindEnd    = 0
	kindHash   = 1
	kindString = 2

	maxText = 512 << 20 // Redis' own limit; a longer one is damage
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshot saves all keys. Each is copied at one instant; those that are to come first are older than all others.
func (r *redisServer) snapshot(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	commands := r.redis.CommandCount()
	if commands == r.commands {
		return nil // nobody has been here since
	}
	asked, err := r.save(ctx)
	if err != nil {
		return fmt.Errorf("saving the Redis snapshot: %w", err)
	}
	r.commands = commands + asked
	return nil
}

// save writes the file and returns how many commands it gave to Redis for that.
func (r *redisServer) save(ctx context.Context) (asked int, err error) {
	conn, err := r.redis.Dial()
	if err != nil {
		return asked, err
	}
	client := proto.NewClient(conn)
	defer func() { _ = client.Close() }()
	file, err := os.CreateTemp(r.dir, snapshotName+"-*.tmp")
	if err != nil {
		return asked, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	w := newSnapshotWriter(file)
	w.raw([]byte(snapshotMagic))
	w.uvarint(uint64(time.Now().UnixMilli()))
	keys := r.redis.Keys()
	for _, first := range []bool{true, false} {
		for _, key := range keys {
			if r.first(key) != first {
				continue
			}
			if err := ctx.Err(); err != nil {
				return asked, err
			}
			n, err := r.copyKey(client, w, key)
			asked += n
			if err != nil {
				return asked, err
			}
		}
	}
	if err := w.finish(); err != nil {
		return asked, err
	}
	return asked, publish(file, filepath.Join(r.dir, snapshotName))
}

// copyKey asks with a single command, which Redis answers from one instant, so that a hash's fields belong together.
func (r *redisServer) copyKey(client *proto.Client, w *snapshotWriter, key string) (asked int, err error) {
	ttl := uint64(max(0, r.redis.TTL(key).Milliseconds()))
	switch kind := r.redis.Type(key); kind {
	case "hash":
		answer, err := client.Do("HGETALL", key)
		if err != nil {
			return 1, err
		}
		pairs, err := proto.ReadStrings(answer)
		if err != nil || len(pairs) == 0 { // replaced by another kind, or gone
			return 1, nil
		}
		asked = 1
		w.byte(kindHash)
		w.text(key)
		w.uvarint(ttl)
		w.uvarint(uint64(len(pairs) / 2))
		for _, text := range pairs {
			w.text(text)
		}
	case "string":
		value, err := r.redis.Get(key)
		if err != nil {
			return 0, nil
		}
		w.byte(kindString)
		w.text(key)
		w.uvarint(ttl)
		w.text(value)
	}
	return asked, w.err
}

// publish makes the finished file the one that counts: synced, renamed, and the rename synced.
func publish(file *os.File, path string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// load fills an empty Redis from the snapshot. Without one, or with a damaged one, it stays empty, which is what losing
// Redis looks like: its content is rebuilt.
func (r *redisServer) load() error {
	leftovers, err := filepath.Glob(filepath.Join(r.dir, snapshotName+"-*.tmp"))
	if err != nil {
		return err
	}
	for _, path := range leftovers { // of saves that were broken off
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	path := filepath.Join(r.dir, snapshotName)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the Redis snapshot: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := verifySnapshot(file); err != nil {
		r.log.Warn("embedded Redis starts empty: its snapshot is damaged", zap.Error(err), zap.String("kept as", path+".damaged"))
		return os.Rename(path, path+".damaged")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := r.restore(bufio.NewReaderSize(file, 1<<20)); err != nil {
		return fmt.Errorf("loading the Redis snapshot: %w", err)
	}
	return nil
}

// verifySnapshot checks the checksum of the whole file before anything of it is believed.
func verifySnapshot(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(len(snapshotMagic))+5 {
		return io.ErrUnexpectedEOF
	}
	sum := crc32.New(castagnoli)
	if _, err := io.CopyN(sum, file, info.Size()-4); err != nil {
		return err
	}
	var stored [4]byte
	if _, err := io.ReadFull(file, stored[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(stored[:]) != sum.Sum32() {
		return errors.New("the checksum differs")
	}
	return nil
}

func (r *redisServer) restore(in *bufio.Reader) error {
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return err
	}
	if string(magic) != snapshotMagic {
		return errors.New("not a snapshot of this version")
	}
	saved, err := binary.ReadUvarint(in)
	if err != nil {
		return err
	}
	away := max(0, time.Since(time.UnixMilli(int64(saved))))
	for {
		kind, err := in.ReadByte()
		if err != nil || kind == kindEnd {
			return err
		}
		key, err := readText(in)
		if err != nil {
			return err
		}
		left, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		count := uint64(1)
		if kind == kindHash {
			if count, err = binary.ReadUvarint(in); err != nil {
				return err
			}
			count *= 2
		}
		texts := make([]string, 0, min(count, 1024))
		for range count {
			value, err := readText(in)
			if err != nil {
				return err
			}
			texts = append(texts, value)
		}
		ttl := time.Duration(left)*time.Millisecond - away
		if left > 0 && ttl <= 0 {
			continue // expired while nothing ran
		}
		switch kind {
		case kindHash:
			r.redis.HSet(key, texts...)
		case kindString:
			if err := r.redis.Set(key, texts[0]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown kind %d", kind)
		}
		if left > 0 {
			r.redis.SetTTL(key, ttl)
		}
	}
}

func readText(in *bufio.Reader) (string, error) {
	length, err := binary.ReadUvarint(in)
	if err != nil {
		return "", err
	}
	if length > maxText {
		return "", errors.New("a text is too long")
	}
	text := make([]byte, length)
	_, err = io.ReadFull(in, text)
	return string(text), err
}

// snapshotWriter writes and keeps the first error, so that its callers need to look once.
type snapshotWriter struct {
	out *bufio.Writer
	sum uint32
	err error
}

func newSnapshotWriter(w io.Writer) *snapshotWriter {
	return &snapshotWriter{out: bufio.NewWriterSize(w, 1<<20)}
}

func (w *snapshotWriter) raw(b []byte) {
	if w.err == nil {
		w.sum = crc32.Update(w.sum, castagnoli, b)
		_, w.err = w.out.Write(b)
	}
}

func (w *snapshotWriter) byte(b byte) { w.raw([]byte{b}) }

func (w *snapshotWriter) uvarint(v uint64) { w.raw(binary.AppendUvarint(nil, v)) }

func (w *snapshotWriter) text(s string) {
	w.uvarint(uint64(len(s)))
	w.raw([]byte(s))
}

func (w *snapshotWriter) finish() error {
	w.byte(kindEnd)
	w.raw(binary.LittleEndian.AppendUint32(nil, w.sum))
	if w.err != nil {
		return w.err
	}
	return w.out.Flush()
}
