package transfer

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

// exportFiles writes lines to part-00000.csv and so on, each with the header.
type exportFiles struct {
	out      output.Folder
	rows     dataset.CSVRows
	maxBytes int64

	current *output.File
	number  int // files begun
	bytes   int64
	written int64 // lines
}

func (f *exportFiles) write(ctx context.Context, line []byte) error {
	if f.current != nil && f.bytes+int64(len(line)) > f.maxBytes {
		if err := f.finish(); err != nil {
			return err
		}
	}
	if f.current == nil {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	f.written++
	return f.append(line)
}

func (f *exportFiles) begin(ctx context.Context) error {
	f.current = f.out.Create(ctx, fmt.Sprintf("part-%05d.csv", f.number), blob.PutOptions{ContentType: "text/csv"})
	f.number++
	f.bytes = 0
	return f.append(f.rows.Header())
}

func (f *exportFiles) append(line []byte) error {
	f.bytes += int64(len(line))
	_, err := f.current.Write(line)
	return err
}

func (f *exportFiles) finish() error {
	done := f.current
	f.current = nil
	return done.Close()
}

// close completes the last file; an export without rows is a file with a header.
func (f *exportFiles) close(ctx context.Context) error {
	if f.number == 0 {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	if f.current == nil {
		return nil
	}
	return f.finish()
}

func (f *exportFiles) abort() {
	if f.current != nil {
		f.current.Abort()
		f.current = nil
	}
}
