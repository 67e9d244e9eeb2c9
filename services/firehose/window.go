package firehose

import "crypto/sha256"

// window remembers the event ids of a partition's last records, to drop repeats. It holds hashes: 16 bytes of SHA-256
// are enough that two different ids are never taken for one.
type window struct {
	seen  map[eventHash]struct{}
	order []eventHash // a ring once it is full
	at    int         // the oldest in order, when full
	size  int
}

type eventHash [16]byte

func newWindow(size int) *window {
	return &window{seen: map[eventHash]struct{}{}, size: size}
}

// add remembers the id and reports whether it is new. Records without an id are always new.
func (w *window) add(eventID string) bool {
	if eventID == "" {
		return true
	}
	sum := sha256.Sum256([]byte(eventID))
	hash := eventHash(sum[:16])
	if _, ok := w.seen[hash]; ok {
		return false
	}
	w.seen[hash] = struct{}{}
	if len(w.order) < w.size {
		w.order = append(w.order, hash)
		return true
	}
	delete(w.seen, w.order[w.at])
	w.order[w.at] = hash
	w.at = (w.at + 1) % w.size
	return true
}
