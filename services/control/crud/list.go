package crud

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

// Page is which page of which list a request asks for.
type Page struct {
	// Scope is the operation and its filter. The tokens of one scope are refused in another.
	Scope string
	Token *string
	Size  *int64
}

// List returns a page of the resources of a type that keep (nil: all) selects, oldest first, in the shape of the
// response, and the token of the next page.
func List[R catalog.Resource, T any](e *Env, p Page, keep func(R) bool, shape func(R) T) ([]T, *string, error) {
	all := catalog.All[R](e.View)
	kept := all[:0]
	for _, r := range all {
		if keep == nil || keep(r) {
			kept = append(kept, r)
		}
	}
	found, next, err := Paginate(p, kept, func(r R) Position {
		return Position{At: r.Meta().CreatedAt.UnixMilli(), ARN: r.Meta().ARN}
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

// Position is what a list is sorted by. Items that come and go between two pages do not move the others.
type Position struct {
	At  int64 // creation, milliseconds
	ARN string
}

// Paginate returns one page of a sorted list, and the token of the next page.
func Paginate[T any](p Page, items []T, at func(T) Position) ([]T, *string, error) {
	if p.Token != nil {
		after, err := readToken(p.Scope, *p.Token)
		if err != nil {
			return nil, nil, err
		}
		for len(items) > 0 && !after.before(at(items[0])) {
			items = items[1:]
		}
	}
	size := defaultPage
	if p.Size != nil {
		size = int(*p.Size)
	}
	if len(items) <= size {
		return items, nil, nil
	}
	next := newToken(p.Scope, at(items[size-1]))
	return items[:size], &next, nil
}

func (p Position) before(q Position) bool {
	return cmp.Or(cmp.Compare(p.At, q.At), strings.Compare(p.ARN, q.ARN)) < 0
}

// A token is the last position of a page, with a checksum that ties it to its list: a token that was cut off, made up
// or taken from another list is refused. It is not secret.

const checksumSize = 8

func newToken(scope string, last Position) string {
	body := append(binary.BigEndian.AppendUint64(nil, uint64(last.At)), last.ARN...)
	return base64.RawURLEncoding.EncodeToString(append(checksum(scope, body), body...))
}

func readToken(scope, token string) (Position, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) < checksumSize+8 ||
		!bytes.Equal(data[:checksumSize], checksum(scope, data[checksumSize:])) {
		return Position{}, awsapi.InvalidNextToken("The nextToken is not one that this list returned")
	}
	body := data[checksumSize:]
	return Position{At: int64(binary.BigEndian.Uint64(body)), ARN: string(body[8:])}, nil
}

func checksum(scope string, body []byte) []byte {
	sum := sha256.Sum256(append([]byte(scope+"\x00"), body...))
	return sum[:checksumSize]
}
