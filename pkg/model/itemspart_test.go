package model

import (
	"errors"
	"testing"

	"github.com/penchant-io/penchant/pkg/model/codec"
)

func TestDecodeItemsRefusesIDsThatAreNoKeys(t *testing.T) {
	t.Parallel()
	for name, ids := range map[string][]string{"twice": {"a", "b", "a"}, "empty": {"a", ""}} {
		part := EncodeItems(NewItems(ids))
		if _, err := DecodeItems(map[string][]byte{part.Name: part.Data}); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
