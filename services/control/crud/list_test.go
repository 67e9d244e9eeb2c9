package crud

import "testing"

func TestATokenCannotBeMadeUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ scope, token string }{
		{"a", newToken("b", Position{1, "x"})},
		{"a", newToken("a", Position{1, "x"}) + "="},
		{"a", ""},
	} {
		if got, err := readToken(c.scope, c.token); err == nil {
			t.Errorf("%q was read as %v", c.token, got)
		}
	}
	if got, err := readToken("a", newToken("a", Position{1, "x"})); err != nil || got != (Position{1, "x"}) {
		t.Errorf("got %v, %v", got, err)
	}
}
