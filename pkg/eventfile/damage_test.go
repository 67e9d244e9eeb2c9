package eventfile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go/format"

	"github.com/penchant-io/penchant/pkg/reco"
)

func sampleFile(t testing.TB, rows int64) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	var all []reco.Interaction
	for offset := range rows {
		all = append(all, randomInteraction(r, offset))
	}
	data, err := EncodeInteractions(shopSchema(), all)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readAll must end without a panic, whatever the bytes are; what it reads does not matter.
func readAll(data []byte) (rows int, err error) {
	for _, err = range DecodeInteractions(bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

func TestDamagedBytesGiveErrorsNotPanics(t *testing.T) {
	t.Parallel()
	data := sampleFile(t, 300)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		damaged := bytes.Clone(data)
		for range 1 + r.IntN(3) {
			damaged[r.IntN(len(damaged))] ^= byte(1 + r.IntN(255))
		}
		_, _ = readAll(damaged)
	}
}

func TestDamageInTheFooterGivesErrorsNotPanics(t *testing.T) {
	t.Parallel()
	data := sampleFile(t, 3)
	footer := len(data) - 8 - int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	r := rand.New(rand.NewPCG(3, 4))
	for at := footer; at < len(data); at += 9 {
		damaged := bytes.Clone(data)
		damaged[at] ^= byte(1 + r.IntN(255))
		_, _ = readAll(damaged)
	}
}

func TestCutFilesAreErrors(t *testing.T) {
	t.Parallel()
	data := sampleFile(t, 50)
	for length := 0; length < len(data); length += 97 {
		if _, err := readAll(data[:length]); err == nil {
			t.Errorf("%d of %d bytes were read without an error", length, len(data))
		}
	}
}

// With another codec, or more rows than a row group may have, the library could be made to take all memory or time.
func TestRowGroupsThatNobodyWroteAreRefused(t *testing.T) {
	t.Parallel()
	group := func(rows int64, c format.ColumnMetaData) *format.FileMetaData {
		return &format.FileMetaData{RowGroups: []format.RowGroup{{NumRows: rows, Columns: []format.ColumnChunk{{MetaData: c}}}}}
	}
	for name, test := range map[string]struct {
		metadata *format.FileMetaData
		ok       bool
	}{
		"as written":     {group(5, format.ColumnMetaData{Codec: format.Zstd, NumValues: 5}), true},
		"another codec":  {group(5, format.ColumnMetaData{Codec: format.Lz4Raw, NumValues: 5}), false},
		"missing values": {group(5, format.ColumnMetaData{Codec: format.Zstd, NumValues: 4}), false},
		"too many rows":  {group(1<<40, format.ColumnMetaData{Codec: format.Zstd, NumValues: 1 << 40}), false},
		"negative":       {group(-1, format.ColumnMetaData{Codec: format.Zstd, NumValues: -1}), false},
	} {
		if err := checkRowGroups(test.metadata); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sampleFile(f, 10))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = readAll(data) })
}
