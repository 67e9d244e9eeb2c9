package awsapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signerv2 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	credentialsv1 "github.com/aws/aws-sdk-go/aws/credentials"
	signerv1 "github.com/aws/aws-sdk-go/aws/signer/v4"
)

var (
	testCredential = Credential{AccessKeyID: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	testTime       = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
)

func newTestVerifier() *verifier {
	return newVerifier([]Credential{testCredential, {AccessKeyID: "second", SecretKey: "second-secret"}}, func() time.Time { return testTime })
}

// wire turns a request as a client made it into the one that a server reads.
func wire(t *testing.T, r *http.Request, body string) *http.Request {
	t.Helper()
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
	var sent bytes.Buffer
	if err := r.Write(&sent); err != nil {
		t.Fatal(err)
	}
	received, err := http.ReadRequest(bufio.NewReader(&sent))
	if err != nil {
		t.Fatal(err)
	}
	return received
}

func request(t *testing.T, method, url, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// The requests that signers may treat differently: each is signed by both SDKs and by our own client.
var signedRequests = []struct {
	name, method, url, body string
	header                  []string
}{
	{name: "get", method: "GET", url: "http://example.amazonaws.com/"},
	{name: "control", method: "POST", url: "http://127.0.0.1:8080/", body: `{"name":"x"}`,
		header: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AmazonPersonalize.CreateSchema"}},
	{name: "events", method: "POST", url: "http://localhost:8080/events", body: `{"trackingId":"ü"}`, header: []string{"Content-Type", "application/json"}},
	{name: "empty body", method: "POST", url: "http://localhost/recommendations"},
	{name: "blanks in values", method: "POST", url: "http://localhost/events", header: []string{"X-Amz-Meta-A", "  a   b  c "}},
	{name: "repeated header", method: "POST", url: "http://localhost/events", header: []string{"X-Amz-Meta-B", "2", "X-Amz-Meta-B", "1"}},
	{name: "token", method: "POST", url: "http://localhost/events", header: []string{"X-Amz-Security-Token", "AQoDYXdz//=="}},
	{name: "query", method: "GET", url: "http://localhost/?b=2&a=z&a=b&c"},
	{name: "query to encode", method: "GET", url: "http://localhost/?p=%20%2F~*&q=%C3%BC%2By"},
	{name: "path to encode", method: "GET", url: "http://localhost/a%20b/%E1%88%B4/c*d"},
}

func TestVerifyAcceptsSDKSignatures(t *testing.T) {
	t.Parallel()
	sdkV2 := func(t *testing.T, r *http.Request, body string) {
		sum := sha256.Sum256([]byte(body))
		credentials := aws.Credentials{AccessKeyID: testCredential.AccessKeyID, SecretAccessKey: testCredential.SecretKey}
		if err := signerv2.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "personalize", "eu-west-3", testTime); err != nil {
			t.Fatal(err)
		}
	}
	sdkV1 := func(t *testing.T, r *http.Request, body string) {
		signer := signerv1.NewSigner(credentialsv1.NewStaticCredentials(testCredential.AccessKeyID, testCredential.SecretKey, ""))
		if _, err := signer.Sign(r, strings.NewReader(body), "personalize", "eu-west-3", testTime); err != nil {
			t.Fatal(err)
		}
	}
	own := func(_ *testing.T, r *http.Request, body string) {
		signRequest(r, []byte(body), testCredential, "eu-west-3", testTime)
	}
	for name, sign := range map[string]func(*testing.T, *http.Request, string){"sdk v2": sdkV2, "sdk v1": sdkV1, "own client": own} {
		for _, c := range signedRequests {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				v := newTestVerifier()
				r := request(t, c.method, c.url, c.body, c.header...)
				sign(t, r, c.body)
				received := wire(t, r, c.body)
				for _, cached := range []bool{false, true} {
					s, refusal := v.check(received, []byte(c.body))
					if refusal != nil {
						t.Fatalf("cached key %v: %v\n%s", cached, refusal, canonicalRequest(received, []string{"host"}, ""))
					}
					if s.region != "eu-west-3" || s.accessKeyID != testCredential.AccessKeyID {
						t.Fatalf("scope %+v", s)
					}
				}
				if _, refusal := v.check(received, []byte(c.body+" ")); refusal == nil || refusal.Code != CodeInvalidSignature {
					t.Fatalf("an altered body was answered with %v", refusal)
				}
			})
		}
	}
}

// Canonical requests of the published Signature Version 4 test suite: header and URL oddities and what they become.
func TestCanonicalRequest(t *testing.T) {
	t.Parallel()
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	head := "host:example.amazonaws.com\n"
	for _, c := range []struct {
		name, url string
		header    []string
		signed    string
		want      string
	}{
		{"get-vanilla", "/", nil, "host;x-amz-date", "GET\n/\n\n" + head + "x-amz-date:20150830T123600Z\n\nhost;x-amz-date\n"},
		{"get-header-value-multiline as list", "/", []string{"My-Header1", "value4", "My-Header1", "value1"}, "host;my-header1;x-amz-date",
			"GET\n/\n\n" + head + "my-header1:value4,value1\nx-amz-date:20150830T123600Z\n\nhost;my-header1;x-amz-date\n"},
		{"get-header-value-trim", "/", []string{"My-Header1", " value1", "My-Header2", ` "a   b   c"`}, "host;my-header1;my-header2;x-amz-date",
			"GET\n/\n\n" + head + "my-header1:value1\nmy-header2:\"a b c\"\nx-amz-date:20150830T123600Z\n\nhost;my-header1;my-header2;x-amz-date\n"},
		{"get-vanilla-query-order-key-case", "/?Param2=value2&Param1=value1", nil, "host", "GET\n/\nParam1=value1&Param2=value2\n" + head + "\nhost\n"},
		{"get-vanilla-query-order-value", "/?Param1=value2&Param1=value1", nil, "host", "GET\n/\nParam1=value1&Param1=value2\n" + head + "\nhost\n"},
		{"get-vanilla-query-unreserved", "/?-._~0Az=-._~0Az", nil, "host", "GET\n/\n-._~0Az=-._~0Az\n" + head + "\nhost\n"},
		{"get-vanilla-empty-query-key", "/?Param1=value1", nil, "host", "GET\n/\nParam1=value1\n" + head + "\nhost\n"},
		{"get-vanilla-utf8-query", "/?%E1%88%B4=bar", nil, "host", "GET\n/\n%E1%88%B4=bar\n" + head + "\nhost\n"},
		{"normalize-path/get-relative", "/example/..", nil, "host", "GET\n/\n\n" + head + "\nhost\n"},
		{"normalize-path/get-relative-relative", "/example1/example2/../..", nil, "host", "GET\n/\n\n" + head + "\nhost\n"},
		{"normalize-path/get-slash-dot-slash", "/./", nil, "host", "GET\n/\n\n" + head + "\nhost\n"},
		{"normalize-path/get-slash-pointless-dot", "/./example", nil, "host", "GET\n/example\n\n" + head + "\nhost\n"},
		{"normalize-path/get-slashes", "//example//", nil, "host", "GET\n/example/\n\n" + head + "\nhost\n"},
		{"normalize-path/get-space", "/example%20space/", nil, "host", "GET\n/example%2520space/\n\n" + head + "\nhost\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://example.amazonaws.com/", nil)
			path, query, _ := strings.Cut(c.url, "?")
			r.URL.Path, r.URL.RawQuery = strings.ReplaceAll(path, "%20", " "), query
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Add(c.header[i], c.header[i+1])
			}
			if got := string(canonicalRequest(r, strings.Split(c.signed, ";"), emptyHash)); got != c.want+emptyHash {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want+emptyHash)
			}
		})
	}
}

// The hash of get-vanilla's canonical request as the suite publishes it.
func TestCanonicalRequestHash(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "http://example.amazonaws.com/", nil)
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	if got := hashHex(canonicalRequest(r, []string{"host", "x-amz-date"}, hashHex(nil))); got != "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63" {
		t.Errorf("hash %s", got)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	const url, body = "http://localhost:8080/events", `{"a":1}`
	other := func(id, secret string) Credential { return Credential{AccessKeyID: id, SecretKey: secret} }
	signed := func(credential Credential, at time.Time) *http.Request {
		r := request(t, "POST", url, body, "Content-Type", "application/json")
		signRequest(r, []byte(body), credential, "us-east-1", at)
		return r
	}
	edit := func(old, new string) *http.Request {
		r := signed(testCredential, testTime)
		header := r.Header.Get("Authorization")
		if !strings.Contains(header, old) {
			t.Fatalf("%q is not in %q", old, header)
		}
		r.Header.Set("Authorization", strings.Replace(header, old, new, 1))
		return r
	}
	with := func(change func(h http.Header)) *http.Request {
		r := signed(testCredential, testTime)
		change(r.Header)
		return r
	}
	for _, c := range []struct {
		name   string
		r      *http.Request
		code   string
		status int
	}{
		{"no authorization", with(func(h http.Header) { h.Del("Authorization") }), CodeMissingAuthentication, 403},
		{"unknown key id", signed(other("nobody", "x"), testTime), CodeUnrecognizedClient, 403},
		{"wrong secret", signed(other(testCredential.AccessKeyID, "x"), testTime), CodeInvalidSignature, 403},
		{"the other pair's secret", signed(other(testCredential.AccessKeyID, "second-secret"), testTime), CodeInvalidSignature, 403},
		{"header altered", with(func(h http.Header) { h.Set("Content-Type", "text/plain") }), CodeInvalidSignature, 403},
		{"date altered", with(func(h http.Header) { h.Set("X-Amz-Date", "20150830T123601Z") }), CodeInvalidSignature, 403},
		{"date of another day", with(func(h http.Header) { h.Set("X-Amz-Date", "20150831T000000Z") }), CodeInvalidSignature, 403},
		{"15 minutes and a second late", signed(testCredential, testTime.Add(-maxSkew-time.Second)), CodeInvalidSignature, 403},
		{"15 minutes and a second early", signed(testCredential, testTime.Add(maxSkew+time.Second)), CodeInvalidSignature, 403},
		{"another service", edit("/personalize/", "/s3/"), CodeInvalidSignature, 403},
		{"another region than signed", edit("/us-east-1/", "/us-east-2/"), CodeInvalidSignature, 403},
		{"stated hash of another body", signedWithHash(t, url, body, hashHex([]byte("x"))), CodeInvalidSignature, 403},
		{"unsigned payload", signedWithHash(t, url, body, "UNSIGNED-PAYLOAD"), CodeInvalidSignature, 403},
		{"bearer token", with(func(h http.Header) { h.Set("Authorization", "Bearer x") }), CodeIncompleteSignature, 400},
		{"algorithm only", with(func(h http.Header) { h.Set("Authorization", "AWS4-HMAC-SHA256") }), CodeIncompleteSignature, 400},
		{"no credential", edit("Credential=", "Credentiel="), CodeIncompleteSignature, 400},
		{"short credential", edit("/aws4_request", ""), CodeIncompleteSignature, 400},
		{"no signature", with(func(h http.Header) {
			h.Set("Authorization", strings.Split(h.Get("Authorization"), ", Signature")[0])
		}), CodeIncompleteSignature, 400},
		{"signature not hexadecimal", edit("Signature=", "Signature=zz"), CodeIncompleteSignature, 400},
		{"host not signed", edit("SignedHeaders=content-type;host;", "SignedHeaders=content-type;"), CodeIncompleteSignature, 400},
		{"date not signed", edit("host;x-amz-date", "host"), CodeIncompleteSignature, 400},
		{"signed header absent", edit("host;x-amz-date", "host;x-amz-date;x-other"), CodeIncompleteSignature, 400},
		{"signed headers out of order", edit("content-type;host", "host;content-type"), CodeIncompleteSignature, 400},
		{"x-amz header not signed", with(func(h http.Header) { h.Set("X-Amz-Target", "AmazonPersonalize.DeleteSchema") }), CodeIncompleteSignature, 400},
		{"no date", with(func(h http.Header) { h.Del("X-Amz-Date") }), CodeIncompleteSignature, 400},
		{"bad date", with(func(h http.Header) { h.Set("X-Amz-Date", "yesterday") }), CodeIncompleteSignature, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, refusal := newTestVerifier().check(wire(t, c.r, body), []byte(body))
			if refusal == nil || refusal.Code != c.code || refusal.status(restJSON) != c.status {
				t.Errorf("got %v, want %s with status %d", refusal, c.code, c.status)
			}
		})
	}
}

func signedWithHash(t *testing.T, url, body, hash string) *http.Request {
	r := request(t, "POST", url, body, "X-Amz-Content-Sha256", hash)
	signRequest(r, []byte(body), testCredential, "us-east-1", testTime)
	return r
}

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	const url, body = "http://localhost:8080/events", `{}`
	v := newTestVerifier()
	second := request(t, "POST", url, body)
	signRequest(second, []byte(body), Credential{AccessKeyID: "second", SecretKey: "second-secret"}, "mars-1", testTime.Add(maxSkew))
	compact := request(t, "POST", url, body)
	signRequest(compact, []byte(body), testCredential, "us-east-1", testTime)
	compact.Header.Set("Authorization", strings.ReplaceAll(compact.Header.Get("Authorization"), ", ", ","))
	for name, r := range map[string]*http.Request{
		"second pair, any region, at the edge of the skew": second,
		"no blanks after commas":                           compact,
		"stated hash":                                      signedWithHash(t, url, body, hashHex([]byte(body))),
	} {
		if _, refusal := v.check(wire(t, r, body), []byte(body)); refusal != nil {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

func TestOnlyRightSignaturesFillTheKeyCache(t *testing.T) {
	t.Parallel()
	v := newTestVerifier()
	for _, secret := range []string{"wrong", testCredential.SecretKey} {
		for _, region := range []string{"a", "b"} {
			r := request(t, "POST", "http://localhost/events", "")
			signRequest(r, nil, Credential{AccessKeyID: testCredential.AccessKeyID, SecretKey: secret}, region, testTime)
			v.check(wire(t, r, ""), nil)
		}
		want := 0
		if secret != "wrong" {
			want = 2
		}
		if len(v.signingKeys) != want {
			t.Errorf("secret %q: %d cached keys, want %d", secret, len(v.signingKeys), want)
		}
	}
}

// Whatever stands in the header, nothing but a right signature is accepted, and nothing panics.
func FuzzAuthorizationHeader(f *testing.F) {
	r, err := http.NewRequest("POST", "http://localhost/events", nil)
	if err != nil {
		f.Fatal(err)
	}
	signRequest(r, nil, testCredential, "us-east-1", testTime)
	right := r.Header.Get("Authorization")
	for _, seed := range []string{right, "", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/20150830/b/personalize/aws4_request,SignedHeaders=host,Signature=0",
		strings.ReplaceAll(right, ", ", ","), strings.ToUpper(right), right + ", Signature=x"} {
		f.Add(seed, "20150830T123600Z")
	}
	v := newTestVerifier()
	parts, _ := parseAuthorization(right)
	f.Fuzz(func(t *testing.T, header, date string) {
		received := httptest.NewRequest("POST", "http://localhost/events", nil)
		received.Host = "localhost"
		received.Header["Authorization"] = []string{header}
		received.Header["X-Amz-Date"] = []string{date}
		_, refusal := v.check(received, nil)
		if refusal == nil {
			got, problem := parseAuthorization(header)
			if problem != "" || got.signature != parts.signature || date != "20150830T123600Z" {
				t.Fatalf("accepted %q at %q", header, date)
			}
			return
		}
		if status := refusal.status(restJSON); status != 400 && status != 403 {
			t.Fatalf("status %d for %q", status, header)
		}
	})
}

// check claims and verifies at once, as a Router does with the body read in between.
func (v *verifier) check(r *http.Request, body []byte) (scope, *Error) {
	claimed, refusal := v.claim(r, personalizeService)
	if refusal != nil {
		return scope{}, refusal
	}
	return claimed.scope, v.verify(r, claimed, body)
}
