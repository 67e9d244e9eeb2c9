// Package faults holds Penchant to its promises (docs/reliability.md) with tests that kill, stop, slow down and cut off
// what it is made of: its own processes, and the Kafka, Redis and S3 servers under them, which are real ones. It has no
// code of its own: the tests stand in files named after what they break.
package faults
