package process

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes in a setting, which is written with a unit, such as 64MiB.
type ByteSize int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("size %q: want a number with a unit, such as 64MiB", text)
	}
	*b = ByteSize(n)
	return nil
}
