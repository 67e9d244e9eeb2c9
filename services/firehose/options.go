package firehose

import (
	"fmt"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/process"
)

// Options are the settings of the firehose, with the flags that they are given by. Zero values mean the defaults.
type Options struct {
	// FlushInterval is the age of a partition's oldest buffered record, counted from when it came here, at which the
	// partition's buffer is written.
	FlushInterval time.Duration `name:"archive-flush-interval" default:"60s" help:"Oldest age of an event when its archive file is written."`
	// FlushBytes of record values make a file. The file itself is smaller: it is compressed.
	FlushBytes process.ByteSize `name:"archive-flush-bytes" default:"64MiB" help:"Size at which an archive file is written, at most 64MiB."`
}

// Validate returns an error that names the wrong setting and its rule.
func (o *Options) Validate() error {
	if o.FlushBytes <= 0 || o.FlushBytes > archive.MaxFileBytes {
		return fmt.Errorf("--archive-flush-bytes %d: want 1 byte to 64MiB, the largest archive file", o.FlushBytes)
	}
	if o.FlushInterval <= 0 {
		return fmt.Errorf("--archive-flush-interval %s: must be above zero", o.FlushInterval)
	}
	return nil
}
