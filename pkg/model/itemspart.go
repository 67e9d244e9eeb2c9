package model

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model/codec"
)

// ItemsPart is the name of the part that holds a catalogue.
const ItemsPart = "items"

const (
	itemsVersion = 1
	// maxItems bounds what a part may claim to hold, far above any catalogue.
	maxItems = 1 << 30
)

// EncodeItems makes the part that holds the ids.
func EncodeItems(items *Items) Part {
	w := codec.NewWriter(ItemsPart, itemsVersion)
	w.Len(len(items.ids))
	w.Strings(items.ids)
	return Part{Name: ItemsPart, Data: w.Bytes()}
}

// DecodeItems reads the part of that name. Ids are not empty and occur once.
func DecodeItems(parts map[string][]byte) (*Items, error) {
	r := codec.NewReader(parts[ItemsPart], ItemsPart, itemsVersion)
	items := NewItems(r.Strings(r.Len(maxItems)))
	if len(items.index) != len(items.ids) {
		r.Fail("an item id occurs twice")
	}
	if _, empty := items.index[""]; empty {
		r.Fail("an item id is empty")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding items: %w", err)
	}
	return items, nil
}
