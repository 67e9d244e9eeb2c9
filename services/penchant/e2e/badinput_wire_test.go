package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws/credentials"
	v4 "github.com/aws/aws-sdk-go/aws/signer/v4"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

const (
	serialization    = "SerializationException"
	unknownOperation = "UnknownOperationException"
	incomplete       = "IncompleteSignatureException"
	badSignature     = "InvalidSignatureException"
)

// wire sends what is wrong before a call is a call: signatures, routes, JSON, HTTP.
func (s *badShop) wire() {
	s.signatures()
	s.routes()
	s.check(s.badJSON())
	s.goodJSON()
	s.messages()
}

// signatures breaks signatures (§1.3). Identity comes before everything else: bodies and operations are not looked at.
func (s *badShop) signatures() {
	before := s.stored()
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	authorization := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	resigned := func(credential awsapi.Credential, change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			change(r)
			text, _ := io.ReadAll(r.Body) // a strings.Reader
			r.Body = io.NopCloser(bytes.NewReader(text))
			awsapi.Sign(r, text, credential, "us-east-1")
		}
	}
	today := time.Now().UTC().Format("20060102")
	type change = func(*http.Request)
	for _, c := range []struct {
		name, code string
		change     change
		mentions   []string
	}{
		{"no Authorization", "MissingAuthenticationTokenException", func(r *http.Request) { r.Header.Del("Authorization") }, []string{"Missing Authentication Token"}},
		{"empty Authorization", "MissingAuthenticationTokenException", authorization(""), nil},
		{"basic", incomplete, authorization("Basic cGVuY2hhbnQ6cGVuY2hhbnQtc2VjcmV0"), []string{"AWS4-HMAC-SHA256"}},
		{"bearer", incomplete, authorization("Bearer x"), []string{"AWS4-HMAC-SHA256"}},
		{"algorithm only", incomplete, authorization("AWS4-HMAC-SHA256"), []string{"AWS4-HMAC-SHA256"}},
		{"other algorithm", incomplete, replace("SHA256", "SHA512"), []string{"AWS4-HMAC-SHA256"}},
		{"no Credential", incomplete, replace("Credential=", "X="), []string{"part"}},
		{"no Signature", incomplete, func(r *http.Request) {
			text, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", text)
		}, []string{"'Signature'"}},
		{"no SignedHeaders", incomplete, authorization("AWS4-HMAC-SHA256 Credential=penchant/" + today + "/us-east-1/personalize/aws4_request, Signature=" + strings.Repeat("0", 64)), []string{"'SignedHeaders'"}},
		{"empty parts", incomplete, authorization("AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="), nil},
		{"repeated part", incomplete, replace("Credential=", "Credential=x, Credential="), []string{"repeats 'Credential'"}},
		{"short credential", incomplete, replace("/us-east-1", ""), []string{"Credential must have the form"}},
		{"long credential", incomplete, replace("/us-east-1", "/us-east-1/x"), []string{"Credential must have the form"}},
		{"no date in the credential", incomplete, replace(today, "tomorrow"), []string{"Credential must have the form"}},
		{"no terminator", incomplete, replace("aws4_request", "aws5_request"), []string{"aws4_request"}},
		{"headers out of order", incomplete, replace("content-type;host", "host;content-type"), []string{"SignedHeaders", "order"}},
		{"upper-case headers", incomplete, replace("content-type", "Content-Type"), []string{"SignedHeaders", "lower-case"}},
		{"host not signed", incomplete, replace(";host", ""), []string{"'Host'"}},
		{"date not signed", incomplete, replace(";x-amz-date", ""), []string{"'X-Amz-Date'"}},
		{"added x-amz header", incomplete, header("X-Amz-Security-Token", "x"), []string{"'X-Amz-Security-Token'"}},
		{"signed header missing", incomplete, replace("host;", "host;if-match;"), []string{"'if-match'"}},
		{"short signature", incomplete, func(r *http.Request) {
			r.Header.Set("Authorization", strings.TrimRight(r.Header.Get("Authorization"), "0123456789abcdef")+"abc")
		}, []string{"64"}},
		{"signature that is no number", incomplete, func(r *http.Request) {
			r.Header.Set("Authorization", strings.TrimRight(r.Header.Get("Authorization"), "0123456789abcdef")+strings.Repeat("g", 64))
		}, []string{"hexadecimal"}},
		{"no date", incomplete, func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			replace(";x-amz-date", "")(r)
		}, []string{"Date"}},
		{"date that is none", incomplete, header("X-Amz-Date", "yesterday"), []string{"Date", "ISO-8601"}},
		{"long rubbish", incomplete, authorization("AWS4-HMAC-SHA256 " + strings.Repeat("x=y,", 7000)), nil},

		{"unknown key", "UnrecognizedClientException", resigned(awsapi.Credential{AccessKeyID: "nobody", SecretKey: "x"}, func(*http.Request) {}), []string{"security token"}},
		{"wrong secret", badSignature, resigned(awsapi.Credential{AccessKeyID: "penchant", SecretKey: "x"}, func(*http.Request) {}), []string{"signature"}},
		{"altered body", badSignature, body(`{"name":"altered"}`), []string{"signature"}},
		{"empty body", badSignature, body(""), []string{"signature"}},
		{"altered content type", badSignature, header("Content-Type", "text/plain"), []string{"signature"}},
		{"altered target", badSignature, header("X-Amz-Target", "AmazonPersonalize.CreateSchema"), []string{"signature"}},
		{"altered path", badSignature, func(r *http.Request) {
			r.URL.Path = "/events"
			r.Header.Del("X-Amz-Target")
			replace(";x-amz-target", "")(r)
		}, []string{"signature"}},
		{"altered query", badSignature, func(r *http.Request) { r.URL.RawQuery = "a=b" }, []string{"signature"}},
		{"altered host", badSignature, func(r *http.Request) { r.Host = "example.com" }, []string{"signature"}},
		{"altered method", badSignature, func(r *http.Request) { r.Method = http.MethodPut }, []string{"signature"}},
		{"altered region", badSignature, replace("us-east-1", "eu-west-1"), []string{"signature"}},
		{"wrong sum", badSignature, resigned(penchanttest.Credential, header("X-Amz-Content-Sha256", strings.Repeat("0", 64))), []string{"x-amz-content-sha256"}},
		{"unsigned payload", badSignature, resigned(penchanttest.Credential, header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")), []string{"x-amz-content-sha256"}},
		{"other service", badSignature, replace("/personalize/", "/s3/"), []string{"personalize"}},
		{"scope of yesterday", badSignature, replace(today, "20200101"), []string{"Date"}},
		{"sixteen minutes late", badSignature, func(r *http.Request) { redate(r, -16*time.Minute) }, []string{"15 minutes"}},
		{"sixteen minutes early", badSignature, func(r *http.Request) { redate(r, 16*time.Minute) }, []string{"15 minutes"}},
	} {
		for _, call := range []struct{ operation, body string }{
			{"CreateDatasetGroup", `{"name":"new"}`}, {"/events", `{"trackingId":"` + s.trackingID + `","sessionId":"s","eventList":[{"eventType":"view","itemId":"a","sentAt":1}]}`},
			{"NoSuchOperation", `{`},
		} {
			if isPath(call.operation) && strings.HasPrefix(c.name, "altered target") || isPath(call.operation) && c.name == "altered path" {
				continue
			}
			s.cases++
			req := s.request(call.operation, call.body)
			c.change(req)
			rest := isPath(call.operation) || c.name == "altered path"
			if c.name == "altered method" && !isPath(call.operation) {
				rest = false
			}
			s.checkRefusal(c.name+" on "+call.operation, rest, s.do(req), c.code, c.mentions)
		}
	}
	if after := s.stored(); !slices.Equal(difference(before, after), nil) {
		s.t.Errorf("calls with bad signatures left a trace: %v", difference(before, after))
	}

	// On the right side of the limits: fourteen minutes, another region, a query.
	for name, change := range map[string]change{
		"fourteen minutes late": func(r *http.Request) { redate(r, -14*time.Minute) },
		"another region": func(r *http.Request) {
			awsapi.Sign(r, []byte(`{}`), penchanttest.Credential, "eu-west-1")
		},
		"a query": func(r *http.Request) { r.URL.RawQuery = "b=%20&a=ä&a"; sign(r, `{}`) },
	} {
		s.cases++
		req := s.request("ListRecipes", `{}`)
		change(req)
		if answer := s.do(req); answer.status != http.StatusOK {
			s.t.Errorf("%s: status %d: %s", name, answer.status, answer.body)
		}
	}
}

// redate signs a request for another time.
func redate(r *http.Request, by time.Duration) {
	body, _ := io.ReadAll(r.Body) // a strings.Reader
	r.Header.Del("Authorization") // the signer would take it for a repeat, and the time from the clock
	r.Header.Del("X-Amz-Date")
	key := credentials.NewStaticCredentials("penchant", penchanttest.Credential.SecretKey, "")
	_, _ = v4.NewSigner(key).Sign(r, bytes.NewReader(body), "personalize", "us-east-1", time.Now().Add(by)) // static keys never fail
}

// routes asks for what is not there (§1.1).
func (s *badShop) routes() {
	var calls []refused
	for _, operation := range []string{"", "Nonsense", "createDatasetGroup", "PutEvents", "GetRecommendations", "Create/Schema", strings.Repeat("X", 5000)} {
		calls = append(calls, refused{operation, `{"name":"new"}`, unknownOperation, []string{"operation"}})
	}
	for _, path := range []string{"/event", "/events/", "/Events", "/events/x", "/%2e%2e/events", "/recommendations/", "/nope", "/action", "/action-interaction", "/action-recommendation", "/" + strings.Repeat("x", 5000)} {
		calls = append(calls, refused{path, `{}`, unknownOperation, []string{"operation"}})
	}
	s.check(calls)

	for _, c := range []struct {
		name, method, path, target string
		rest                       bool
	}{
		{"no target", http.MethodPost, "/", "", false},
		{"target of another service", http.MethodPost, "/", "AmazonSQS.CreateQueue", false},
		{"target without service", http.MethodPost, "/", "CreateDatasetGroup", false},
		{"target in lower case", http.MethodPost, "/", "amazonpersonalize.CreateDatasetGroup", false},
		{"target beside a path", http.MethodPost, "/events", "AmazonPersonalize.CreateDatasetGroup", false},
		{"GET of the control plane", http.MethodGet, "/", "AmazonPersonalize.ListSchemas", false},
		{"PUT of the control plane", http.MethodPut, "/", "AmazonPersonalize.CreateDatasetGroup", false},
		{"GET of events", http.MethodGet, "/events", "", true},
		{"PUT of events", http.MethodPut, "/events", "", true},
		{"DELETE of items", http.MethodDelete, "/items", "", true},
		{"OPTIONS", http.MethodOptions, "/recommendations", "", true},
		{"unknown method", "BREW", "/events", "", true},
		{"double slash", http.MethodPost, "//events", "", true},
		{"dots", http.MethodPost, "/x/../events", "", true},
		{"dots in the bucket", http.MethodPost, "/../../etc/passwd", "", true},
	} {
		s.cases++
		req, err := http.NewRequestWithContext(s.t.Context(), c.method, s.Endpoints["http"]+c.path, strings.NewReader(`{"name":"new"}`))
		if err != nil {
			s.t.Fatal(err)
		}
		if c.target != "" {
			req.Header.Set("X-Amz-Target", c.target)
		}
		sign(req, `{"name":"new"}`)
		s.checkRefusal(c.name, c.rest, s.do(req), unknownOperation, []string{"operation"})
	}
}

// badJSON are bodies that are no JSON, or another than the operation's.
func (s *badShop) badJSON() (calls []refused) {
	x := strings.Repeat
	for _, operation := range []string{"CreateDatasetGroup", "ListSchemas", "/events", "/items", "/recommendations"} {
		for _, body := range []string{
			"{", "}", `{"name"`, `{"name":`, `{"name":"new"`, `{"name":"new",}`, `{,}`, `{name:"new"}`, `{'name':'new'}`, `{"name":"new"}x`, `{"name":"new"}{}`,
			`[]`, `"new"`, `7`, `true`, `NaN`, `name=new&x=y`, `<name>new</name>`, "\ufeff" + `{"name":"new"}`, "\x00", `{"name":"new"}` + "\x00",
			"{\"name\":\"n\x00w\"}", "{\"name\":\"n\nw\"}", `{"name":"\x"}`, `{"name":"\u12"}`, `{"x":01}`, `{"x":+1}`, `{"x":.5}`, `{"x":1e}`, `{"x":0x10}`, `{"x":tru}`,
			"{\"name\":\"n\xffw\"}", "{\"n\xc3\":\"new\"}", "{\"x\":\"\xed\xa0\x80\"}", "{\"x\":\"\xc0\x80\"}", "{\"x\":\"\xf4\x90\x80\x80\"}",
			utf16Of(`{"name":"new"}`), gzipped(`{"name":"new"}`),
			x("[", 15_000), x("[", 15_000) + x("]", 15_000), `{"x":` + x("[", 15_000) + x("]", 15_000) + `}`, x(`{"x":`, 15_000) + "1" + x("}", 15_000),
			`{"tags":` + x("[", 15_000) + x("]", 15_000) + `}`, `{"` + x("k", 100_000) + `":`,
		} {
			calls = append(calls, refused{operation, body, serialization, []string{"JSON"}})
		}
		for _, body := range []string{
			x("[", 100_000), x("[", 100_000) + x("]", 100_000), `{"x":` + x("[", 100_000) + x("]", 100_000) + `}`, x(`{"x":`, 100_000) + "1" + x("}", 100_000),
			`{"tags":[` + x("{},", 100_000) + `{}]}`, `{"eventList":[` + x("{},", 100_000) + `{}]}`, `{"x":[` + x("1,", 100_000) + `1]}`, `{` + x(`"x":1,`, 50_000) + `"x":1}`,
		} {
			calls = append(calls, refused{operation, body, invalidInput, []string{"more than 20000 values"}})
		}
	}
	return calls
}

// goodJSON is unusual, and right.
func (s *badShop) goodJSON() {
	x := strings.Repeat
	event := func(members string) string {
		return `{"trackingId":"` + s.trackingID + `","sessionId":"s","eventList":[{"eventType":"view","itemId":"a","sentAt":1` + members + `}]}`
	}
	s.checkAccepted([]accepted{
		{"ListSchemas", "null", 0}, {"ListSchemas", " \t\r\n{}\n", 0}, {"ListSchemas", `{"x":` + x("[", 9_000) + x("]", 9_000) + `}`, 0},
		{"ListSchemas", `{"x":1` + x("0", 100_000) + `,"y":"` + x("y", 500_000) + `"}`, 0}, {"ListSchemas", `{` + x(`"x":1,`, 19_000) + `"x":1}`, 0},
		{"ListSchemas", `{"x":"` + x(`{},\"`, 100_000) + `"}`, 0},
		{"/events", event(`,"x":{"deep":[{}]}`), 1}, {"/events", event(`,"itemId":"\ud83d\ude00\u0000\u2028\ufeff"`), 1}, {"/events", event(`,"eventId":"\u0065"`), 1},
	})
}

// exchange is bytes on a connection of their own.
type exchange struct {
	name, send string
	// halfClose ends the sending side after the bytes.
	halfClose bool
	// want are the statuses of the answers, after which the connection is closed or silent.
	want []int
	body string // a part of the last answer's
}

// messages sends HTTP as it should not be.
func (s *badShop) messages() {
	x := strings.Repeat
	before := s.stored()
	good := func(change func(*http.Request)) string {
		req := s.request("ListRecipes", `{}`)
		change(req)
		return message(req, `{}`)
	}
	plain := good(func(*http.Request) {})
	bytesOf := func(header string) string { return "POST /events HTTP/1.1\r\nHost: x\r\n" + header + "\r\n" }
	chunked := func(chunks string) string {
		req := s.request("ListRecipes", `{}`)
		return strings.Replace(message(req, ""), "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", 1) + chunks
	}
	withLength := func(n string) string {
		req := s.request("ListRecipes", `{}`)
		return strings.Replace(message(req, `{}`), "Content-Length: 2\r\n", "Content-Length: "+n+"\r\n", 1)
	}
	const ok, bad, denied = http.StatusOK, http.StatusBadRequest, http.StatusForbidden
	for _, e := range []exchange{
		{"one call", plain, false, []int{ok}, "aws-sims"},
		{"HTTP/1.0", strings.Replace(plain, "HTTP/1.1", "HTTP/1.0", 1), false, []int{ok}, "aws-sims"},
		{"half-closed after the call", plain, true, []int{ok}, "aws-sims"},
		{"ten pipelined", x(plain, 10), false, slices.Repeat([]int{ok}, 10), "aws-sims"},
		{"pipelined behind a bad call", strings.Replace(plain, "ListRecipes", "Nonsense", 1) + plain, false, []int{denied, ok}, "aws-sims"},
		{"pipelined behind an unsigned call", strings.Replace(plain, "Authorization", "Authentication", 1) + plain, false, []int{denied}, "MissingAuthenticationToken"},
		{"chunked", chunked("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), false, []int{ok}, "aws-sims"},
		{"chunked with extensions and trailers", chunked("2;a=b\r\n{}\r\n0\r\nX-Trailer: y\r\n\r\n"), false, []int{ok}, "aws-sims"},
		{"expecting to continue", good(func(r *http.Request) { r.Header.Set("Expect", "100-continue") }), false, []int{http.StatusContinue, ok}, "aws-sims"},
		{"expecting to continue, unsigned", "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", false, []int{denied}, "MissingAuthenticationToken"},
		{"expecting something else", good(func(r *http.Request) { r.Header.Set("Expect", "200-ok") }), false, []int{http.StatusExpectationFailed}, ""},
		{"upgrade", good(func(r *http.Request) { r.Header.Set("Connection", "Upgrade"); r.Header.Set("Upgrade", "websocket") }), false, []int{ok}, "aws-sims"},
		{"lines without carriage returns", strings.ReplaceAll(plain, "\r\n", "\n"), false, []int{ok}, "aws-sims"},

		{"nothing", "", true, nil, ""},
		{"rubbish", x("\x00\xff", 100) + "\r\n\r\n", false, []int{bad}, ""},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + x("a", 500) + "\r\n\r\n", false, []int{bad}, ""},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, []int{denied}, ""},
		{"HTTP/0.9", "GET /\r\n\r\n", false, []int{bad}, ""},
		{"HTTP/9.9", strings.Replace(plain, "HTTP/1.1", "HTTP/9.9", 1), false, []int{http.StatusHTTPVersionNotSupported}, ""},
		{"no host", "GET /nope HTTP/1.1\r\n\r\n", false, []int{bad}, ""},
		{"two hosts", bytesOf("Host: y\r\n"), false, []int{bad}, ""},
		{"blank in a header's name", bytesOf("X : y\r\n"), false, []int{bad}, ""},
		{"zero byte in a header", bytesOf("X: y\x00\r\n"), false, []int{bad}, ""},
		{"header without colon", bytesOf("nonsense\r\n"), false, []int{bad}, ""},
		{"end in the header", "POST /events HTTP/1.1\r\nHost: x\r\nX-", true, []int{bad}, ""},
		{"lengths that differ", bytesOf("Content-Length: 2\r\nContent-Length: 3\r\n"), false, []int{bad}, ""},
		{"negative length", withLength("-1"), false, []int{bad}, ""},
		{"length that is no number", withLength("two"), false, []int{bad}, ""},
		{"length beyond numbers", withLength(x("9", 30)), false, []int{bad}, ""},
		{"body shorter than its length", withLength("200"), true, []int{bad}, "could not be read"},
		{"chunk size that is none", chunked("zz\r\n{}\r\n0\r\n\r\n"), false, []int{bad}, "could not be read"},
		{"chunk size beyond numbers", chunked(x("f", 17) + "\r\n{}\r\n0\r\n\r\n"), false, []int{bad}, "could not be read"},
		{"chunk longer than its size", chunked("1\r\n{}\r\n0\r\n\r\n"), false, []int{bad}, "could not be read"},
		{"chunks without end", chunked("2\r\n{}\r\n"), true, []int{bad}, "could not be read"},
		{"unknown transfer encoding", bytesOf("Transfer-Encoding: gzip\r\n"), false, []int{http.StatusNotImplemented}, ""},
		{"two transfer encodings", bytesOf("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), false, []int{http.StatusNotImplemented}, ""},
		{"header of 1 MB", bytesOf("X: " + x("y", 1<<20) + "\r\n"), false, []int{http.StatusRequestHeaderFieldsTooLarge}, ""},
		{"header without end", bytesOf("X: " + x("y", 1<<20)), false, []int{http.StatusRequestHeaderFieldsTooLarge}, ""},
		{"10,000 headers", bytesOf(x("X: y\r\n", 10_000)), false, []int{http.StatusRequestHeaderFieldsTooLarge}, ""},
		{"line of 1 MB", "POST /" + x("x", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", false, []int{http.StatusRequestHeaderFieldsTooLarge}, ""},
		{"blank lines without end", x("\r\n", 1<<10), true, []int{bad}, ""},
	} {
		s.cases++
		s.exchange(e)
	}

	// A body that is too long is refused before it is read, whether it says its length or not.
	for name, header := range map[string]string{"length": "Content-Length: 1073741824", "chunks": "Transfer-Encoding: chunked"} {
		s.cases++
		req := s.request("ListRecipes", `{}`)
		text := strings.Replace(message(req, ""), "Content-Length: 0", header, 1)
		if name == "chunks" {
			text += x("100000\r\n"+x("x", 1<<20)+"\r\n", 9)
		}
		s.exchange(exchange{"a body of 1 GB by " + name, text, false, []int{http.StatusRequestEntityTooLarge}, "RequestEntityTooLargeException"})
	}
	if changed := difference(before, s.stored()); len(changed) > 0 {
		s.t.Errorf("bad HTTP left a trace: %v", changed)
	}
}

// message writes a request as it goes over the wire.
func message(req *http.Request, body string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", req.Method, req.URL.RequestURI(), req.Host, len(body))
	_ = req.Header.Write(&text) // into memory
	return text.String() + "\r\n" + body
}

// exchange sends the bytes and reads the answers.
func (s *badShop) exchange(e exchange) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoints["http"], "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	started := time.Now()
	sent := make(chan struct{})
	go func() { // the server may answer, and stop reading, before the end
		defer close(sent)
		_, _ = io.WriteString(conn, e.send)
		if e.halfClose {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	defer func() { <-sent }()
	defer conn.Close()
	answers := bufio.NewReader(conn)
	var body []byte
	for i, want := range e.want {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			s.t.Errorf("%s: answer %d: %v", e.name, i+1, err)
			return
		}
		if body, err = io.ReadAll(resp.Body); err != nil {
			s.t.Errorf("%s: reading answer %d: %v", e.name, i+1, err)
		}
		if resp.StatusCode != want {
			s.t.Errorf("%s: answer %d has status %d, not %d: %s", e.name, i+1, resp.StatusCode, want, shorten(string(body)))
			return
		}
	}
	if !strings.Contains(string(body), e.body) {
		s.t.Errorf("%s: the last answer does not mention %q: %s", e.name, e.body, shorten(string(body)))
	}
	s.slowest = max(s.slowest, time.Since(started))
	if len(e.want) == 0 {
		if n, err := answers.Read(make([]byte, 1)); n != 0 || err == nil {
			s.t.Errorf("%s: there is an answer", e.name)
		}
	}
}
