package control

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
)

const defaultPage = 100

// page is what a list request says: which operation with which filter (scope), from where, how many.
type page struct {
	scope string
	token *string
	size  *int64
}

// list is a page of the resources of a type that a filter (nil: all) keeps, oldest first, in the shape of an answer.
func list[R catalog.Resource, T any](s *Service, p page, keep func(R) bool, shape func(R) T) ([]T, *string, error) {
	all := catalog.All[R](s.view)
	kept := all[:0]
	for _, r := range all {
		if keep == nil || keep(r) {
			kept = append(kept, r)
		}
	}
	found, next, err := cut(p, kept, func(r R) position {
		return position{r.Meta().CreatedAt.UnixMilli(), r.Meta().ARN}
	})
	if err != nil {
		return nil, nil, err
	}
	shaped := make([]T, len(found))
	for i, r := range found {
		shaped[i] = shape(r)
	}
	return shaped, next, nil
}

// position is where an item stands in its list. Items that come and go between two pages do not move the others.
type position struct {
	at  int64 // creation, milliseconds
	arn string
}

// cut takes one page out of a sorted list, and the token of the next.
func cut[T any](p page, items []T, at func(T) position) ([]T, *string, error) {
	if p.token != nil {
		after, err := readToken(p.scope, *p.token)
		if err != nil {
			return nil, nil, err
		}
		for len(items) > 0 && !after.before(at(items[0])) {
			items = items[1:]
		}
	}
	size := defaultPage
	if p.size != nil {
		size = int(*p.size)
	}
	if len(items) <= size {
		return items, nil, nil
	}
	next := newToken(p.scope, at(items[size-1]))
	return items[:size], &next, nil
}

func (p position) before(q position) bool {
	return cmp.Or(cmp.Compare(p.at, q.at), strings.Compare(p.arn, q.arn)) < 0
}

// A token is the last position that was shown, with a checksum that ties it to its list: a token that was cut off, made up or taken
// from another list is recognised. It is no secret.

const checksumSize = 8

func newToken(scope string, last position) string {
	body := append(binary.BigEndian.AppendUint64(nil, uint64(last.at)), last.arn...)
	return base64.RawURLEncoding.EncodeToString(append(checksum(scope, body), body...))
}

func readToken(scope, token string) (position, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) < checksumSize+8 || !bytes.Equal(data[:checksumSize], checksum(scope, data[checksumSize:])) {
		return position{}, awsapi.InvalidNextToken("The nextToken is not one that this list returned")
	}
	body := data[checksumSize:]
	return position{at: int64(binary.BigEndian.Uint64(body)), arn: string(body[8:])}, nil
}

func checksum(scope string, body []byte) []byte {
	sum := sha256.Sum256(append([]byte(scope+"\x00"), body...))
	return sum[:checksumSize]
}
