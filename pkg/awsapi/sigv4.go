package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sigV4Algorithm  = "AWS4-HMAC-SHA256"
	sigV4Terminator = "aws4_request"
	sigV4TimeFormat = "20060102T150405Z"
	// The services for which requests are signed.
	personalizeService = "personalize"
	statesService      = "states"
	schedulerService   = "scheduler"
	// maxSkew is how far a request's clock may be from ours.
	maxSkew = 15 * time.Minute
	// maxSigningKeys bounds the cache of derived keys. Only requests with a right signature add to it, one for each key
	// pair, day and region.
	maxSigningKeys = 1024
)

// verifier checks AWS Signature Version 4 in its header form.
type verifier struct {
	secrets map[string]string
	now     func() time.Time

	mu          sync.RWMutex
	signingKeys map[scope][]byte
}

// scope is what a signing key is derived for.
type scope struct{ accessKeyID, date, region, service string }

func newVerifier(credentials []Credential, now func() time.Time) *verifier {
	v := &verifier{secrets: make(map[string]string, len(credentials)), now: now, signingKeys: map[scope][]byte{}}
	for _, c := range credentials {
		v.secrets[c.AccessKeyID] = c.SecretKey
	}
	return v
}

// claim is what a request says about who signed it.
type claim struct {
	authorization
	amzDate, secret string
}

// claim checks all of a signature for a service that can be checked without the body, or returns the refusal.
func (v *verifier) claim(r *http.Request, service string) (claim, *Error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return claim{}, newError(CodeMissingAuthentication, "Missing Authentication Token", nil)
	}
	auth, problem := parseAuthorization(header)
	if problem != "" {
		return claim{}, newError(CodeIncompleteSignature, problem, nil)
	}
	requestTime, amzDate, refusal := requestDate(r)
	if refusal != nil {
		return claim{}, refusal
	}
	if problem := auth.coverage(r); problem != "" {
		return claim{}, newError(CodeIncompleteSignature, problem, nil)
	}
	if auth.service != service {
		return claim{}, invalidSignature("Credential should be scoped to correct service: '" + service + "'.")
	}
	secret, known := v.secrets[auth.accessKeyID]
	if !known {
		return claim{}, newError(CodeUnrecognizedClient, "The security token included in the request is invalid.", nil)
	}
	if auth.date != amzDate[:8] {
		return claim{}, invalidSignature(
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
		)
	}
	if skew := v.now().Sub(requestTime); skew > maxSkew || skew < -maxSkew {
		return claim{}, invalidSignature(
			"Signature expired: the request's time and the server's differ by more than 15 minutes.",
		)
	}
	return claim{auth, amzDate, secret}, nil
}

// verify checks that a claim is true of the request and its body, or returns the refusal.
func (v *verifier) verify(r *http.Request, c claim, body []byte) *Error {
	bodyHash := hashHex(body)
	if stated := r.Header.Get("X-Amz-Content-Sha256"); stated != "" && !strings.EqualFold(stated, bodyHash) {
		return invalidSignature("The provided x-amz-content-sha256 header does not match what was computed.")
	}
	key, cached := v.signingKey(c.scope, c.secret)
	signature := sign(key, c.amzDate, c.scope, canonicalRequest(r, c.signedHeaders, bodyHash))
	if subtle.ConstantTimeCompare([]byte(signature), []byte(c.signature)) != 1 {
		return invalidSignature(
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
		)
	}
	if !cached {
		v.keep(c.scope, key)
	}
	return nil
}

func invalidSignature(message string) *Error { return newError(CodeInvalidSignature, message, nil) }

func (v *verifier) signingKey(s scope, secret string) (key []byte, cached bool) {
	v.mu.RLock()
	key, cached = v.signingKeys[s]
	v.mu.RUnlock()
	if cached {
		return key, true
	}
	return deriveKey(secret, s), false
}

func (v *verifier) keep(s scope, key []byte) {
	// The scope's strings are parts of a request's header, which the cache must not keep alive.
	s = scope{strings.Clone(s.accessKeyID), strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.signingKeys) >= maxSigningKeys {
		clear(v.signingKeys)
	}
	v.signingKeys[s] = key
}

// authorization is a parsed Authorization header.
type authorization struct {
	scope
	signedHeaders []string
	// signature is 64 lower-case hexadecimal digits.
	signature string
}

// parseAuthorization reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. The problem is empty if the
// header is well formed.
func parseAuthorization(header string) (auth authorization, problem string) {
	fields, problem := parseAuthorizationFields(header)
	if problem != "" {
		return auth, problem
	}
	for _, name := range authorizationFields {
		if fields[name] == "" {
			return auth, "Authorization header requires '" + name + "' parameter."
		}
	}
	parts := strings.Split(fields["Credential"], "/")
	if len(parts) != 5 || parts[0] == "" || !isDate(parts[1]) || parts[2] == "" || parts[4] != sigV4Terminator {
		return auth, "Credential must have the form <access key>/<date>/<region>/<service>/" + sigV4Terminator + "."
	}
	auth.scope = scope{accessKeyID: parts[0], date: parts[1], region: parts[2], service: parts[3]}
	auth.signedHeaders = strings.Split(fields["SignedHeaders"], ";")
	for i, name := range auth.signedHeaders {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= auth.signedHeaders[i-1] {
			return auth, "SignedHeaders must be lower-case header names in order, without repetition."
		}
	}
	auth.signature = fields["Signature"]
	if len(auth.signature) != 2*sha256.Size || strings.Trim(auth.signature, "0123456789abcdef") != "" {
		return auth, "Signature must be 64 lower-case hexadecimal digits."
	}
	return auth, ""
}

// authorizationFields are the fields of an Authorization header, all of which are required.
var authorizationFields = []string{"Credential", "SignedHeaders", "Signature"}

// parseAuthorizationFields splits an Authorization header into its fields by name.
func parseAuthorizationFields(header string) (fields map[string]string, problem string) {
	rest, found := strings.CutPrefix(header, sigV4Algorithm)
	if !found || rest == "" || rest[0] != ' ' {
		return nil, "Authorization header requires the algorithm '" + sigV4Algorithm + "'."
	}
	fields = make(map[string]string, len(authorizationFields))
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		name, value, found := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !found || value == "":
			return nil, "Authorization header holds a part that is not name=value."
		case !slices.Contains(authorizationFields, name):
			return nil, "Authorization header holds an unknown part."
		case fields[name] != "":
			return nil, "Authorization header repeats '" + name + "'."
		}
		fields[name] = value
	}
	return fields, ""
}

func isDate(s string) bool {
	return len(s) == 8 && strings.Trim(s, "0123456789") == ""
}

// coverage tells what is missing in the signed headers: the host and all x-amz-* headers must be signed, X-Amz-Target
// among them, and each header that is said to be signed must be there.
func (a *authorization) coverage(r *http.Request) (problem string) {
	if !slices.Contains(a.signedHeaders, "host") {
		return "'Host' must be a 'SignedHeader' in the AWS Authorization."
	}
	if r.Header.Get("X-Amz-Date") == "" && !slices.Contains(a.signedHeaders, "date") {
		return "'Date' must be a 'SignedHeader' in the AWS Authorization."
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(a.signedHeaders, strings.ToLower(name)) {
			return "'" + name + "' must be a 'SignedHeader' in the AWS Authorization."
		}
	}
	for _, name := range a.signedHeaders {
		if len(headerValues(r, name)) == 0 {
			return "The signed header '" + name + "' is not in the request."
		}
	}
	return ""
}

// requestDate is the time of the request and its ISO-8601 basic form, from X-Amz-Date or else Date.
func requestDate(r *http.Request) (time.Time, string, *Error) {
	if amzDate := r.Header.Get("X-Amz-Date"); amzDate != "" {
		t, err := time.Parse(sigV4TimeFormat, amzDate)
		if err != nil {
			return t, "", newError(CodeIncompleteSignature, "Date must be in ISO-8601 'basic format'.", nil)
		}
		return t, amzDate, nil
	}
	date := r.Header.Get("Date")
	if date == "" {
		return time.Time{}, "", newError(
			CodeIncompleteSignature,
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.", nil,
		)
	}
	t, err := http.ParseTime(date)
	if err != nil {
		if t, err = time.Parse(sigV4TimeFormat, date); err != nil {
			return t, "", newError(CodeIncompleteSignature, "The 'Date' header is not a date.", nil)
		}
	}
	return t, t.UTC().Format(sigV4TimeFormat), nil
}

// canonicalRequest is the text whose hash is signed.
func canonicalRequest(r *http.Request, signedHeaders []string, bodyHash string) []byte {
	text := make([]byte, 0, 1024)
	text = append(text, r.Method...)
	text = append(text, '\n')
	text = append(text, canonicalPath(r.URL)...)
	text = append(text, '\n')
	text = append(text, canonicalQuery(r.URL.RawQuery)...)
	text = append(text, '\n')
	for _, name := range signedHeaders {
		text = append(text, name...)
		text = append(text, ':')
		for i, value := range headerValues(r, name) {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendCollapsed(text, value)
		}
		text = append(text, '\n')
	}
	text = append(text, '\n')
	for i, name := range signedHeaders {
		if i > 0 {
			text = append(text, ';')
		}
		text = append(text, name...)
	}
	text = append(text, '\n')
	return append(text, bodyHash...)
}

// headerValues finds a header by its lower-case name, the ones too that net/http keeps outside of Header.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		return []string{r.Host}
	case "content-length":
		if values := r.Header.Values(name); len(values) > 0 || r.ContentLength < 0 {
			return values
		}
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case "transfer-encoding":
		return r.TransferEncoding
	}
	return r.Header.Values(name)
}

// appendCollapsed appends a header's value trimmed, each run of blanks in it as one space.
func appendCollapsed(text []byte, value string) []byte {
	if !strings.Contains(value, "  ") && !strings.Contains(value, "\t") {
		return append(text, strings.TrimSpace(value)...)
	}
	for i, word := range strings.Fields(value) {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(text, word...)
	}
	return text
}

// canonicalPath is the request's path, normalised and encoded once more than on the wire, as every service but S3 wants
// it.
func canonicalPath(u *url.URL) string {
	escaped := u.EscapedPath()
	if escaped == "" {
		return "/"
	}
	if strings.Contains(escaped, "//") || strings.Contains(escaped, "/.") {
		escaped = removeDots(escaped)
	}
	return escapeExcept(escaped, "/")
}

// removeDots resolves `.`, `..` and empty segments, keeping a slash at the end.
func removeDots(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	normal := "/" + strings.Join(kept, "/")
	if last := segments[len(segments)-1]; (last == "" || last == "." || last == "..") && normal != "/" {
		normal += "/"
	}
	return normal
}

// canonicalQuery is the query's parameters, decoded, encoded anew and in order.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs []string
	for _, pair := range strings.Split(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, reencode(name)+"="+reencode(value))
	}
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, valueA, _ := strings.Cut(a, "=")
		nameB, valueB, _ := strings.Cut(b, "=")
		if c := strings.Compare(nameA, nameB); c != 0 {
			return c
		}
		return strings.Compare(valueA, valueB)
	})
	return strings.Join(pairs, "&")
}

func reencode(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		s = decoded
	}
	return escapeExcept(s, "")
}

// escapeExcept percent-encodes all bytes but the unreserved ones of RFC 3986 and those in also.
func escapeExcept(s, also string) string {
	const upperHex = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '-' || c == '_' || c == '.' || c == '~' || strings.IndexByte(also, c) >= 0
	}
	first := 0
	for first < len(s) && plain(s[first]) {
		first++
	}
	if first == len(s) {
		return s
	}
	escaped := []byte(s[:first])
	for i := first; i < len(s); i++ {
		if c := s[i]; plain(c) {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(escaped)
}

// deriveKey is the key for a day, a region and a service.
func deriveKey(secret string, s scope) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), s.date)
	key = hmacSHA256(key, s.region)
	key = hmacSHA256(key, s.service)
	return hmacSHA256(key, sigV4Terminator)
}

// sign is the hexadecimal signature of a canonical request.
func sign(key []byte, amzDate string, s scope, canonical []byte) string {
	return hex.EncodeToString(hmacSHA256(key, sigV4Algorithm+"\n"+
		amzDate+"\n"+
		s.date+"/"+s.region+"/"+s.service+"/"+sigV4Terminator+"\n"+
		hashHex(canonical)))
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hashHex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Sign signs a request that carries body for the Personalize services, as of now.
func Sign(r *http.Request, body []byte, credential Credential, region string) {
	signRequest(r, body, credential, region, time.Now())
}

func signRequest(r *http.Request, body []byte, credential Credential, region string, now time.Time) {
	signFor(personalizeService, r, body, credential, region, now)
}

// signFor signs a request that is to be sent to a service: the host, the content type and all x-amz-* headers.
func signFor(service string, r *http.Request, body []byte, credential Credential, region string, now time.Time) {
	amzDate := now.UTC().Format(sigV4TimeFormat)
	r.Header.Set("X-Amz-Date", amzDate)
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	signedHeaders := []string{"host"}
	for name := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-") {
			signedHeaders = append(signedHeaders, strings.ToLower(name))
		}
	}
	slices.Sort(signedHeaders)
	s := scope{accessKeyID: credential.AccessKeyID, date: amzDate[:8], region: region, service: service}
	signature := sign(deriveKey(credential.SecretKey, s), amzDate, s, canonicalRequest(r, signedHeaders, hashHex(body)))
	r.Header.Set("Authorization", sigV4Algorithm+
		" Credential="+s.accessKeyID+"/"+s.date+"/"+s.region+"/"+s.service+"/"+sigV4Terminator+
		", SignedHeaders="+strings.Join(signedHeaders, ";")+
		", Signature="+signature)
}
