package userstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// The codec writes and reads penchantv1.UserState by hand: states are read and written for every event, and the
// generated code takes some thousand allocations for a full one where this takes a handful. A test holds it to the
// generated code.

// encode returns the state, but for its interactions with actions, as penchantv1.UserState.
func (s *State) encode() []byte {
	h := &s.items
	out := make([]byte, 0, 96*(h.len()+len(s.sessions)+2))
	out = h.append(out)
	for _, session := range s.sessions {
		out = appendMessage(out, 2, func(out []byte) []byte {
			out = appendString(out, 1, session.id)
			return appendInt(out, 2, session.seenMS)
		})
	}
	for _, a := range s.applied {
		out = appendMessage(out, 3, func(out []byte) []byte {
			out = protowire.AppendTag(out, 1, protowire.BytesType)
			out = protowire.AppendBytes(out, a.TopicID[:])
			out = appendInt(out, 2, int64(a.Partition))
			return appendInt(out, 3, a.Offset)
		})
	}
	out = appendInt(out, 4, s.lastArrivalMS)
	return appendInt(out, 5, h.version)
}

// encodeActions returns the interactions with actions as penchantv1.ActionHistory.
func (s *State) encodeActions() []byte {
	h := &s.actions
	return appendInt(h.append(make([]byte, 0, 96*(h.len()+1))), 5, h.version)
}

func (h *history) len() int { return len(h.streamed) + len(h.imported) }

// append appends the interactions. Streamed and imported ones are written in one order, so that equal histories have
// equal bytes and the field reads as a history.
func (h *history) append(out []byte) []byte {
	for i, j := 0, 0; i < len(h.streamed) || j < len(h.imported); {
		if j == len(h.imported) || i < len(h.streamed) && compare(h.streamed[i], h.imported[j]) <= 0 {
			out = appendRecent(out, &h.streamed[i])
			i++
		} else {
			out = appendRecent(out, &h.imported[j])
			j++
		}
	}
	return out
}

func appendRecent(out []byte, r *reco.RecentInteraction) []byte {
	return appendMessage(out, 1, func(out []byte) []byte {
		out = appendString(out, 1, r.EventID)
		out = appendString(out, 2, r.ItemID)
		out = appendString(out, 3, r.EventType)
		if r.EventValue != nil {
			out = protowire.AppendTag(out, 4, protowire.Fixed64Type)
			out = protowire.AppendFixed64(out, math.Float64bits(*r.EventValue))
		}
		out = appendInt(out, 5, r.TimestampMS)
		return appendInt(out, 6, r.ImportedVersion)
	})
}

// appendMessage appends an embedded message. Its length precedes it but is known after it, and nearly always takes one
// byte, for which room is left.
func appendMessage(out []byte, field protowire.Number, content func([]byte) []byte) []byte {
	out = protowire.AppendTag(out, field, protowire.BytesType)
	at := len(out)
	out = content(append(out, 0))
	length := uint64(len(out) - at - 1)
	if length < 0x80 {
		out[at] = byte(length)
		return out
	}
	return slices.Replace(out, at, at+1, protowire.AppendVarint(nil, length)...)
}

func appendString(out []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return out
	}
	return protowire.AppendString(protowire.AppendTag(out, field, protowire.BytesType), s)
}

func appendInt(out []byte, field protowire.Number, v int64) []byte {
	if v == 0 {
		return out
	}
	return protowire.AppendVarint(protowire.AppendTag(out, field, protowire.VarintType), uint64(v))
}

var errMalformed = errors.New("the stored user state is malformed")

// Tags of the fields, which precede their values: field number and wire type.
const (
	text1, text2, text3     = 1<<3 | 2, 2<<3 | 2, 3<<3 | 2
	fixed4                  = 4<<3 | 1
	int2, int3, int4        = 2 << 3, 3 << 3, 4 << 3
	int5, int6              = 5 << 3, 6 << 3
	recentTag, sessionTag   = text1, text2
	appliedTag              = text3
	arrivalTag, importedTag = int4, int5
)

// decode fills the state from its stored bytes. Texts are cut out of encoded, which therefore lives as long as they do.
func (s *State) decode(encoded string) error {
	items := s.decoding(schema.Interactions, encoded)
	in := reader{rest: encoded}
	for in.more() {
		switch tag := in.int(); tag {
		case recentTag:
			in.fail(items.recent(in.text()))
		case sessionTag:
			session, err := decodeSession(in.text())
			in.fail(err)
			s.sessions = append(s.sessions, session)
		case appliedTag:
			applied, err := decodeApplied(in.text())
			in.fail(err)
			s.applied = append(s.applied, applied)
		case arrivalTag:
			s.lastArrivalMS = int64(in.int())
		case importedTag:
			items.version = int64(in.int())
		default:
			in.skip(tag)
		}
	}
	s.sessions = s.sessions[max(0, len(s.sessions)-s.keep.sessions):] // stored when more was kept
	items.done()
	return in.err
}

// decodeActions fills the interactions with actions from the bytes of their field, "" if there is none.
func (s *State) decodeActions(encoded string) error {
	if encoded == "" {
		return nil
	}
	actions := s.decoding(schema.ActionInteractions, encoded)
	in := reader{rest: encoded}
	for in.more() {
		switch tag := in.int(); tag {
		case recentTag:
			in.fail(actions.recent(in.text()))
		case importedTag:
			actions.version = int64(in.int())
		default:
			in.skip(tag)
		}
	}
	actions.done()
	return in.err
}

// decoding is a history that is being read out of a field.
type decoding struct {
	*history
	state  *State
	data   schema.Type
	values []float64 // what event values point to
}

func (s *State) decoding(t schema.Type, encoded string) decoding {
	count := 0
	for in := (reader{rest: encoded}); in.more(); {
		if tag := in.int(); tag == recentTag {
			count++
			in.text()
		} else {
			in.skip(tag)
		}
	}
	h := s.history(t)
	// Room for one more: what follows a decode is mostly one new event.
	h.streamed = make([]reco.RecentInteraction, 0, min(count, s.keep.of(t))+1)
	return decoding{h, s, t, make([]float64, 0, count)}
}

func (d *decoding) recent(encoded string) error {
	var r reco.RecentInteraction
	err := decodeRecent(encoded, &r, &d.values)
	if r.ImportedVersion == 0 {
		d.streamed = append(d.streamed, r)
	} else {
		d.imported = append(d.imported, r)
	}
	return err
}

// done drops what is no longer kept, and was when it was stored.
func (d *decoding) done() {
	d.streamed = newest(d.streamed, d.state.keep.of(d.data))
	d.imported = newest(d.imported, d.state.keep.of(d.data))
	d.state.unite(d.data)
}

// decodeRecent reads one interaction; its event value goes to the end of values.
func decodeRecent(encoded string, r *reco.RecentInteraction, values *[]float64) error {
	in := reader{rest: encoded}
	for in.more() {
		switch tag := in.int(); tag {
		case text1:
			r.EventID = in.text()
		case text2:
			r.ItemID = in.text()
		case text3:
			r.EventType = in.text()
		case fixed4:
			*values = append(*values, math.Float64frombits(in.fixed()))
			r.EventValue = &(*values)[len(*values)-1]
		case int5:
			r.TimestampMS = int64(in.int())
		case int6:
			r.ImportedVersion = int64(in.int())
		default:
			in.skip(tag)
		}
	}
	return in.err
}

func decodeSession(encoded string) (session linkedSession, err error) {
	in := reader{rest: encoded}
	for in.more() {
		switch tag := in.int(); tag {
		case text1:
			session.id = in.text()
		case int2:
			session.seenMS = int64(in.int())
		default:
			in.skip(tag)
		}
	}
	return session, in.err
}

func decodeApplied(encoded string) (a AppliedOffset, err error) {
	in := reader{rest: encoded}
	for in.more() {
		switch tag := in.int(); tag {
		case text1:
			copy(a.TopicID[:], in.text())
		case int2:
			a.Partition = int32(in.int())
		case int3:
			a.Offset = int64(in.int())
		default:
			in.skip(tag)
		}
	}
	return a, in.err
}

// reader takes one encoded message apart. At the first error it is at its end and keeps the error.
type reader struct {
	rest string
	err  error
}

func (r *reader) more() bool { return r.rest != "" }

func (r *reader) fail(err error) {
	if err != nil {
		r.rest, r.err = "", err
	}
}

// int reads a number, or the tag of a field.
func (r *reader) int() uint64 {
	if r.rest != "" && r.rest[0] < 0x80 {
		v := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(v)
	}
	var v uint64
	for k := range min(len(r.rest), binary.MaxVarintLen64) {
		b := r.rest[k]
		v |= uint64(b&0x7f) << (7 * k)
		if b < 0x80 {
			r.rest = r.rest[k+1:]
			return v
		}
	}
	r.fail(fmt.Errorf("%w: a number is cut off", errMalformed))
	return 0
}

// text reads a length and so many bytes.
func (r *reader) text() string { return r.take(r.int()) }

func (r *reader) fixed() uint64 {
	b := r.take(8)
	if r.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64([]byte(b))
}

// skip passes over a field of a later release.
func (r *reader) skip(tag uint64) {
	switch protowire.Type(tag & 7) {
	case protowire.VarintType:
		r.int()
	case protowire.Fixed64Type:
		r.take(8)
	case protowire.BytesType:
		r.text()
	case protowire.Fixed32Type:
		r.take(4)
	default:
		r.fail(fmt.Errorf("%w: field %d has wire type %d", errMalformed, tag>>3, tag&7))
	}
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.fail(fmt.Errorf("%w: a field is cut off", errMalformed))
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// encodeVector returns a vector field's value: the guard it was folded at, then the numbers.
func encodeVector(rev string, vector []float32) []byte {
	out := make([]byte, 0, len(rev)+4*len(vector))
	out = append(out, rev...)
	for _, x := range vector {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// decodeVector returns a vector field's numbers, false when it was not folded at rev or is torn.
func decodeVector(rev, value string) ([]float32, bool) {
	if rev == "" || len(value) < len(rev) || value[:len(rev)] != rev || (len(value)-len(rev))%4 != 0 {
		return nil, false
	}
	value = value[len(rev):]
	vector := make([]float32, len(value)/4)
	for k := range vector {
		b := value[4*k:]
		vector[k] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
	}
	return vector, true
}
