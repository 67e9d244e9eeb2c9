// Package transfer runs the jobs that bring data into dataset groups and out of them: dataset imports and exports, and
// data deletions. Each is the jobs.Runner of one queue of services/retrainer.
package transfer

import (
	"errors"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// reasonLength bounds failure reasons, in characters.
const reasonLength = 500

// blameUser makes an error of pkg/dataset a jobs.Fault if the user's data caused it.
func blameUser(err error) error {
	if reason, ok := dataset.Reason(err); ok {
		return jobs.Fault(errors.New(shorten(reason, reasonLength)))
	}
	return err
}

// shorten cuts text to a number of characters.
func shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// damaged fails a job that would otherwise silently leave records out.
func damaged(err *archive.CorruptError) error {
	return jobs.Faultf("The archive file %s is damaged; `penchant archive verify` tells more", err.Key)
}
