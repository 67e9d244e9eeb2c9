package userstate

import (
	"strconv"
	"strings"
	"sync"
)

const (
	revField     = "rev"
	stateField   = "state"
	actionsField = "actions"
	vectorPrefix = "v:"

	slots       = 16384
	shards      = 16
	markKeyMid  = "}:penchant:w:"
	markKeyHead = "{w"
)

// userKey is the key of one user's or session's hash. The braces make the whole id the hash tag: one slot, whatever
// commands it meets.
func userKey(group, id string) string { return "{" + group + ":u:" + id + "}" }

// userShard is the key shard of a user.
func userShard(group, id string) int { return keySlot(userKey(group, id)) / (slots / shards) }

// userID is the inverse of userKey for a key of the group.
func userID(group, key string) (string, bool) {
	id, ok := strings.CutPrefix(key, "{"+group+":u:")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(id, "}")
}

// userPattern matches the keys of all users of a group.
func userPattern(group string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(group)
	return "{" + escaped + ":u:*"
}

// markKey is the key of the hash that holds a group's watermarks for one shard.
func markKey(group string, shard int) string {
	return markKeyHead + shardTags()[shard] + markKeyMid + group + ":" + strconv.Itoa(shard)
}

// IsWatermarkKey reports whether key holds watermarks. Whoever copies a running Redis key by key must copy these before
// all others: a watermark older than the users is safe, a newer one hides a loss.
func IsWatermarkKey(key string) bool {
	return strings.HasPrefix(key, markKeyHead) && strings.Contains(key, markKeyMid)
}

// shardTags holds for each shard the shortest number n for which the slot of the hash tag "w<n>" lies in that shard.
var shardTags = sync.OnceValue(func() (tags [shards]string) {
	for n, found := 0, 0; found < shards; n++ {
		tag := strconv.Itoa(n)
		if shard := keySlot(markKeyHead+tag+"}") / (slots / shards); tags[shard] == "" {
			tags[shard] = tag
			found++
		}
	}
	return tags
})

// keySlot is the slot of a key in Redis Cluster: CRC16 of its hash tag, or of all of it where it has none.
func keySlot(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	return int(crc16(key)) % slots
}

// crc16 is CRC-16/XMODEM, the one Redis Cluster specifies (cluster specification, appendix A).
func crc16(s string) uint16 {
	var crc uint16
	for k := range len(s) {
		crc ^= uint16(s[k]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
