package transfer

// hashSet is a set of hashes in 16 bytes each, of about as many as it was made for.
type hashSet struct {
	slots []uint64 // 0: free
	count int
}

func newHashSet(expected int64) *hashSet {
	return &hashSet{slots: make([]uint64, 2*max(expected, 512))}
}

// add reports whether the hash is new.
func (s *hashSet) add(hash uint64) bool {
	hash = max(hash, 1)
	if 4*(s.count+1) > 3*len(s.slots) {
		old := s.slots
		s.slots, s.count = make([]uint64, 2*len(old)), 0
		for _, h := range old {
			if h != 0 {
				s.add(h)
			}
		}
	}
	for at := (hash >> 32) * uint64(len(s.slots)) >> 32; ; at = (at + 1) % uint64(len(s.slots)) {
		switch s.slots[at] {
		case hash:
			return false
		case 0:
			s.slots[at] = hash
			s.count++
			return true
		}
	}
}
