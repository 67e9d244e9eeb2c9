//go:build race

package experiment

// raced says that the tests run under the race detector, which makes arithmetic ten times as slow.
const raced = true
