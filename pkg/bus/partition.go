package bus

import "github.com/twmb/franz-go/pkg/kgo"

// PartitionOf returns the partition of a key, as every Kafka client does by default: murmur2 with its highest bit
// cleared, modulo the number of partitions. Publish uses it for all records that have a key.
func PartitionOf(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % partitions
}

func partitioner() kgo.Partitioner {
	return kgo.StickyKeyPartitioner(func(key []byte, partitions int) int {
		return int(PartitionOf(key, int32(partitions)))
	})
}

// murmur2 is Austin Appleby's MurmurHash2 with the seed Kafka chose.
func murmur2(b []byte) uint32 {
	const (
		seed  = 0x9747b28c
		mix   = 0x5bd1e995
		shift = 24
	)
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= mix
		k ^= k >> shift
		k *= mix
		h *= mix
		h ^= k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= mix
	}
	h ^= h >> 13
	h *= mix
	h ^= h >> 15
	return h
}
