// Package userstate keeps what Penchant knows about each visitor in Redis. The session-updater folds interactions into
// states and writes them (Load, State.Apply, State.Fold, Save); the recommender reads them (View). It is the only door
// to Redis.
//
// # One hash per user
//
// The key is `{<group>:u:<id>}`, where the id is a user's, or a session's while its visitor is anonymous:
//
//	rev          a random token, new with every write: the guard of compare-and-set
//	state        penchantv1.UserState: recent interactions, linked sessions, offsets, of one instant
//	actions      penchantv1.ActionHistory: recent interactions with actions, of the same instant; absent where there are none
//	v:<model id> a vector folded from state: the rev it was folded at, then float32 little endian
//
// A write stores only if the rev that it read is still current (one small script), and drops the vectors of models that
// serve no more. A vector whose rev is not the hash's is stale and not used.
//
// # Any order, any number of times
//
// A state is a join: the newest interactions by (event time, event id), of two with one event id the newer; the
// sessions seen last; the highest offset of each partition. So it depends on which interactions were folded, and
// neither on their order nor on how often. Replays, rewinds and two consumers at once change nothing. That is also why
// an offset at or below the applied one is folded like any other: after Redis lost a user, newer events may reach the
// empty state before the rebuild brings the older ones, and the offset alone would hide those.
//
// # Watermarks
//
// How far each partition is folded, and which imported data is merged, is written after the users it speaks of: for
// interactions with items and with actions apart, once per key shard, a sixteenth of the slots of Redis Cluster, in a
// hash whose slot lies within that shard. A watermark that is missing or went back means that Redis lost users: see
// [Store.Marks] and [Store.Advance].
//
// # Results of batch jobs
//
// Beside what is known about visitors stands what batch jobs have computed for them, where a job asks for it, for
// looking up by id: see results.go.
//
// Redis must not evict keys (maxmemory-policy noeviction): a single evicted user goes unnoticed.
package userstate
