package constraint_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi/constraint"
)

func TestString(t *testing.T) {
	t.Parallel()
	name := constraint.String{Min: 1, Max: 5, Pattern: constraint.MustPattern(`[a-z]+`)}
	for _, c := range []struct {
		of   constraint.String
		s    string
		want string // "" is valid
	}{
		{name, "abc", ""},
		{name, "", "Value '' at 'm' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name, "abcdef", "Value 'abcdef' at 'm' failed to satisfy constraint: Member must have length less than or equal to 5"},
		{name, "ab1", "Value 'ab1' at 'm' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"},
		{name, "abc\n", "Value 'abc\n' at 'm' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"},
		{constraint.String{Max: 3}, "äöü", ""},
		{constraint.String{Max: 3}, "äöü!", "Value 'äöü!' at 'm' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{constraint.String{Min: 3}, "äö", "Value 'äö' at 'm' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{constraint.String{Max: 3, Sensitive: true}, "abcd", "Value at 'm' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{constraint.String{Enum: []string{"A", "B"}}, "A", ""},
		{constraint.String{Enum: []string{"A", "B"}}, "a", "Value 'a' at 'm' failed to satisfy constraint: Member must satisfy enum value set: [A, B]"},
		{constraint.String{}, "anything", ""},
	} {
		expect(t, c.of.Check(c.s), c.want)
	}
	if v := name.Check(strings.Repeat("ü", 10_000)); len(v.Error()) > 500 {
		t.Errorf("a message of %d bytes", len(v.Error()))
	}
}

func TestNumberAndCount(t *testing.T) {
	t.Parallel()
	share := constraint.Number{Min: constraint.Bound(0), Max: constraint.Bound(1)}
	expect(t, share.Check(0.5), "")
	expect(t, share.Check(-0.5), "Value '-0.5' at 'm' failed to satisfy constraint: Member must have value greater than or equal to 0")
	expect(t, share.Check(1.5), "Value '1.5' at 'm' failed to satisfy constraint: Member must have value less than or equal to 1")
	list := constraint.Count{Min: 1, Max: 2}
	expect(t, list.Check(2), "")
	expect(t, list.Check(0), "Value '[0 members]' at 'm' failed to satisfy constraint: Member must have length greater than or equal to 1")
	expect(t, list.Check(3), "Value '[3 members]' at 'm' failed to satisfy constraint: Member must have length less than or equal to 2")
}

func expect(t *testing.T, v *constraint.Violation, want string) {
	t.Helper()
	if v == nil {
		if want != "" {
			t.Errorf("valid, want %q", want)
		}
		return
	}
	if got := v.In("m").Error(); got != "1 validation error detected: "+want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	v := constraint.Missing("eventType").At(0).In("eventList")
	if want := "1 validation error detected: Value null at 'eventList.1.member.eventType' failed to satisfy constraint: Member must not be null"; v.Error() != want {
		t.Errorf("got %q", v.Error())
	}
}

// The pattern that is checked by hand accepts what its regular expression accepts.
func FuzzARN(f *testing.F) {
	const text = `arn:([a-z\d-]+):personalize:.*:.*:.+`
	expression := regexp.MustCompile(`^(?:` + text + `)$`)
	byHand := constraint.String{Pattern: constraint.MustPattern(text)}
	for _, seed := range []string{"arn:aws:personalize:us-east-1:000000000000:campaign/c", "arn:aws:personalize:::recipe/aws-sims", "arn:aws:personalize:::", "arn:aws:personalize::x",
		"arn::personalize:::x", "arn:AWS:personalize:::x", "arn:aws:s3:::x", "arn:aws:personalize:\n::x", "arn:aws:personalize:::x\n", "arn:aws:personalize::::", " arn:aws:personalize:::x", "", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := byHand.Check(s) == nil; got != expression.MatchString(s) {
			t.Fatalf("%q: %v by hand", s, got)
		}
	})
}

func BenchmarkPattern(b *testing.B) {
	arn := constraint.String{Max: 256, Pattern: constraint.MustPattern(`arn:([a-z\d-]+):personalize:.*:.*:.+`)}
	b.ReportAllocs()
	for b.Loop() {
		if v := arn.Check("arn:aws:personalize:us-east-1:000000000000:campaign/shop-recommendations"); v != nil {
			b.Fatal(v)
		}
	}
}
