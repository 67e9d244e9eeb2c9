package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestBadInput sends what clients get wrong to a running `penchant all`, as bytes over HTTP that are signed but otherwise
// written by hand. A bad call gets the AWS error with the member and the rule in its message, at once, and leaves nothing
// behind: the catalog's objects and the ends of the topics are compared around each. Limits are tried from both sides.
//
// The cases stand by area in badinput_*_test.go; TestHTTPAbuse has what is wrong with connections.
func TestBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newBadShop(t)
	t.Run("wire", s.area((*badShop).wire))
	t.Run("control", s.area((*badShop).control))
	t.Run("schemas", s.area((*badShop).schemas))
	t.Run("events", s.area((*badShop).events))
	t.Run("runtime", s.area((*badShop).runtime))
	t.Run("csv", s.area((*badShop).csv))
	s.t = t
	checkHealthy(t, s.Process)
	t.Logf("%d cases, %d answers of 5xx, slowest answer %s, peak memory %.0f MiB",
		s.cases, s.failures, s.slowest.Round(time.Millisecond), s.PeakMemory()/(1<<20))
	if peak := s.PeakMemory(); peak > maxAbusedMemory {
		t.Errorf("the process took %.0f MiB", peak/(1<<20))
	}
	s.Terminate()
}

// refused is a call that must be refused.
type refused struct {
	// operation is one of the control plane's, or the path of one of the others.
	operation, body, code string
	// mentions must stand in the message: the member, and the rule or the value.
	mentions []string
}

// accepted is a call on the right side of a limit. Of Put* calls, records says how many records it stores.
type accepted struct {
	operation, body string
	records         int
}

// badShop is a running process with one of everything.
type badShop struct {
	*penchanttest.Process
	t       *testing.T
	catalog *catalog.Store
	objects *blob.Bucket
	log     *bus.Client
	uploads *blob.Bucket

	group                                      *catalog.DatasetGroup
	domainGroup                                string
	interactions, items, users, schema         string
	importJob, tracker, trackingID             string
	solution, version                          string
	campaign, rankingCampaign, relatedCampaign string

	cases, failures int
	slowest         time.Duration
}

const (
	accountARN = "arn:aws:personalize:us-east-1:000000000000:"
	recipeARN  = "arn:aws:personalize:::recipe/"

	badShopInteractions = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"},
		{"name":"EVENT_VALUE","type":["null","float"]},{"name":"NUM_RATINGS","type":["null","int"]},{"name":"PRICE","type":["null","double"]},
		{"name":"GIFT","type":["null","boolean"]},{"name":"DEVICE","type":["null","string"],"categorical":true}],"version":"1.0"}`
	badShopItems = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"GENRES","type":"string","categorical":true},{"name":"PRICE","type":["null","float"]},
		{"name":"DESCRIPTION","type":["null","string"],"textual":true},{"name":"NOTE","type":["null","string"]},{"name":"CREATION_TIMESTAMP","type":"long"}],"version":"1.0"}`
	badShopUsers = `{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"AGE","type":["null","int"]},{"name":"BIO","type":["null","string"]}],"version":"1.0"}`

	badShopMinInteractions = 20
)

func newBadShop(t *testing.T) *badShop {
	process := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_MIN_INTERACTIONS="+strconv.Itoa(badShopMinInteractions), "PENCHANT_MIN_USERS=2", "PENCHANT_LOG_LEVEL=warn")
	s := &badShop{Process: process, t: t, objects: process.Bucket("penchant"), uploads: process.Bucket("uploads")}
	s.catalog = catalog.NewStore(s.objects, nil)
	var err error
	s.log, err = bus.Open(t.Context(), bus.Config{Brokers: []string{process.Endpoints["kafka"]}, ClientID: "bad-input", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)

	s.group = penchanttest.WaitActive[*catalog.DatasetGroup](t, s.catalog, s.create("CreateDatasetGroup", `{"name":"shop"}`))
	s.domainGroup = s.create("CreateDatasetGroup", `{"name":"market","domain":"ECOMMERCE"}`)
	group := `"datasetGroupArn":"` + s.group.ARN + `"`
	dataset := func(kind, document string) string {
		s.schema = s.create("CreateSchema", `{"name":"`+kind+`","schema":`+quoted(document)+`}`)
		return s.create("CreateDataset", `{"name":"`+kind+`",`+group+`,"datasetType":"`+kind+`","schemaArn":"`+s.schema+`"}`)
	}
	s.users, s.items, s.interactions = dataset("Users", badShopUsers), dataset("Items", badShopItems), dataset("Interactions", badShopInteractions)
	s.upload("shop.csv", goodCSV(200))
	s.importJob = s.create("CreateDatasetImportJob", importBody("shop", s.interactions, "shop.csv", ""))
	s.tracker = s.create("CreateEventTracker", `{"name":"shop",`+group+`}`)
	s.trackingID = penchanttest.WaitActive[*catalog.EventTracker](t, s.catalog, s.tracker).TrackingID
	campaign := func(recipe string) string {
		s.solution = s.create("CreateSolution", `{"name":"`+recipe+`",`+group+`,"recipeArn":"`+recipeARN+recipe+`","performAutoTraining":false}`)
		s.version = s.create("CreateSolutionVersion", `{"solutionArn":"`+s.solution+`"}`)
		return s.create("CreateCampaign", `{"name":"`+recipe+`","solutionVersionArn":"`+s.version+`"}`)
	}
	s.relatedCampaign, s.rankingCampaign, s.campaign = campaign("aws-sims"), campaign("aws-personalized-ranking"), campaign("aws-user-personalization")
	return s
}

// area is a subtest on the shop.
func (s *badShop) area(run func(*badShop)) func(*testing.T) {
	return func(t *testing.T) {
		outer := s.t
		s.t = t
		defer func() { s.t = outer }()
		run(s)
	}
}

// create makes a resource and waits until it is ACTIVE.
func (s *badShop) create(operation, body string) (arn string) {
	s.t.Helper()
	answer := s.call(operation, body)
	if answer.status != http.StatusOK {
		s.t.Fatalf("%s %s: status %d: %s", operation, shorten(body), answer.status, answer.body)
	}
	for member, value := range answer.members() {
		if text, ok := value.(string); ok && strings.HasSuffix(member, "Arn") {
			arn = text
		}
	}
	penchanttest.WaitActive[catalog.Resource](s.t, s.catalog, arn)
	return arn
}

// check makes the calls and compares. What a refused call must not leave behind, nothing else leaves behind meanwhile
// either: the calls run one by one, and only once what was accepted before has settled.
func (s *badShop) check(calls []refused) {
	s.t.Helper()
	before := s.stored()
	for _, c := range calls {
		s.cases++
		answer := s.call(c.operation, c.body)
		s.checkRefusal(c.operation+" "+shorten(c.body), isPath(c.operation), answer, c.code, c.mentions)
		if after := s.stored(); !maps.Equal(before, after) {
			s.t.Errorf("%s %s: it was answered with status %d and left a trace: %v", c.operation, shorten(c.body), answer.status, difference(before, after))
			s.settle()
			before = s.stored()
		}
	}
}

// checkAccepted makes the calls, which must succeed.
func (s *badShop) checkAccepted(calls []accepted) {
	s.t.Helper()
	for _, c := range calls {
		s.cases++
		before := s.ends()
		answer := s.call(c.operation, c.body)
		if answer.status != http.StatusOK {
			s.t.Errorf("%s %s: status %d: %s", c.operation, shorten(c.body), answer.status, answer.body)
		} else if isPath(c.operation) {
			if n := s.ends() - before; n != int64(c.records) {
				s.t.Errorf("%s %s: stored %d records, not %d", c.operation, shorten(c.body), n, c.records)
			}
		}
	}
	s.settle()
}

func isPath(operation string) bool { return strings.HasPrefix(operation, "/") }

// checkRefusal holds an answer to how its protocol writes a refusal.
func (s *badShop) checkRefusal(call string, rest bool, answer answer, code string, mentions []string) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Errorf("%s: %s\n\tstatus %d, %s", call, fmt.Sprintf(format, args...), answer.status, shorten(string(answer.body)))
	}
	if want := statusOf(code, rest); answer.status != want {
		fail("status is not %d (%s)", want, code)
		return
	}
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer.body, &said); err != nil {
		fail("the body is not JSON: %v", err)
		return
	}
	contentType := "application/x-amz-json-1.1"
	if rest {
		contentType = "application/json"
	}
	switch {
	case !rest && said.Type != code:
		fail("__type is not %s", code)
	case rest && answer.header.Get("X-Amzn-Errortype") != code:
		fail("x-amzn-ErrorType is %q, not %s", answer.header.Get("X-Amzn-Errortype"), code)
	case answer.header.Get("Content-Type") != contentType:
		fail("Content-Type is %q", answer.header.Get("Content-Type"))
	case answer.header.Get("X-Amzn-Requestid") == "":
		fail("there is no x-amzn-RequestId")
	case len(said.Message) > 2048:
		fail("the message has %d bytes", len(said.Message))
	}
	for _, mention := range mentions {
		if !strings.Contains(said.Message, mention) {
			fail("the message does not mention %q", mention)
		}
	}
}

// statusOf is what the protocols say: every exception of the control plane is a 400, the REST services' have their own.
func statusOf(code string, rest bool) int {
	switch code {
	case "MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException":
		return http.StatusForbidden
	case "RequestEntityTooLargeException":
		return http.StatusRequestEntityTooLarge
	}
	if rest {
		switch code {
		case "ResourceNotFoundException", "UnknownOperationException":
			return http.StatusNotFound
		case "ResourceInUseException":
			return http.StatusConflict
		}
	}
	return http.StatusBadRequest
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) members() map[string]any {
	var members map[string]any
	_ = json.Unmarshal(a.body, &members)
	return members
}

// call sends a signed call.
func (s *badShop) call(operation, body string) answer {
	s.t.Helper()
	return s.do(s.request(operation, body))
}

// request makes a signed request with a body as it stands.
func (s *badShop) request(operation, body string) *http.Request {
	s.t.Helper()
	path := "/"
	if isPath(operation) {
		path = operation
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Endpoints["http"]+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if !isPath(operation) {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonPersonalize."+operation)
	}
	sign(req, body)
	return req
}

func sign(req *http.Request, body string) {
	awsapi.Sign(req, []byte(body), penchanttest.Credential, "us-east-1")
}

// patience is how long any answer may take: more is a hang.
const patience = 10 * time.Second

var rawClient = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}, Timeout: patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (s *badShop) do(req *http.Request) answer {
	s.t.Helper()
	started := time.Now()
	resp, err := rawClient.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: no answer: %v", req.Method, req.URL.Path, err)
		return answer{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Errorf("%s %s: reading the answer: %v", req.Method, req.URL.Path, err)
	}
	s.slowest = max(s.slowest, time.Since(started))
	if resp.StatusCode >= 500 {
		s.failures++
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// stored is a fingerprint of all that calls could leave behind: the catalog's objects, and the ends of all topics that
// hold records or jobs.
func (s *badShop) stored() map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for info, err := range s.objects.List(s.t.Context(), "catalog/") {
		if err != nil {
			s.t.Fatal(err)
		}
		found[info.Key] = info.ETag
	}
	found["records"] = strconv.FormatInt(s.ends(), 10)
	return found
}

// ends adds up the ends of the shop's topics.
func (s *badShop) ends() (sum int64) {
	s.t.Helper()
	key := s.group.GroupKey()
	offsets, err := s.log.Offsets(s.t.Context(), schema.Interactions.Topic(key), schema.Items.Topic(key), schema.Users.Topic(key), bus.JobsTopic)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range offsets {
		sum += r.End
	}
	return sum
}

// settle waits until nothing changes any more: what was created becomes ACTIVE by itself.
func (s *badShop) settle() {
	s.t.Helper()
	last := s.stored()
	quietSince := time.Now()
	eventually.Succeeds(s.t, "what was created settles", func() error {
		now := s.stored()
		if !maps.Equal(last, now) {
			last, quietSince = now, time.Now()
		}
		if quiet := time.Since(quietSince); quiet < 300*time.Millisecond {
			return fmt.Errorf("there was a change %s ago", quiet)
		}
		return s.unsettled(now)
	})
}

// unsettled says which resource is on its way to another status: a busy machine may let it wait there for a while.
func (s *badShop) unsettled(stored map[string]string) error {
	for key := range stored {
		if !strings.HasPrefix(key, "catalog/") {
			continue
		}
		document, _, err := s.objects.Get(s.t.Context(), key)
		if err != nil {
			return err
		}
		var resource struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(document, &resource); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if strings.HasSuffix(resource.Status, "PENDING") || strings.HasSuffix(resource.Status, "IN_PROGRESS") {
			return fmt.Errorf("%s is %s", key, resource.Status)
		}
	}
	return nil
}

func difference(before, after map[string]string) (changed []string) {
	for key, value := range after {
		if before[key] != value {
			changed = append(changed, key)
		}
	}
	for key := range before {
		if _, still := after[key]; !still {
			changed = append(changed, key+" (gone)")
		}
	}
	slices.Sort(changed)
	return changed
}

// checkHealthy asks whether the process is ready and no handler panicked.
func checkHealthy(t *testing.T, p *penchanttest.Process) {
	t.Helper()
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
	if strings.Contains(p.Output(), "panicked") {
		t.Error("a handler panicked")
	}
}

func (s *badShop) upload(key, content string) {
	s.t.Helper()
	if _, err := s.uploads.Put(s.t.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// goodCSV is a file of interactions from which every recipe can be trained.
func goodCSV(rows int) string {
	var csv strings.Builder
	csv.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,NUM_RATINGS,PRICE,GIFT,DEVICE\n")
	for n := range rows {
		fmt.Fprintf(&csv, "user-%d,item-%d,%d,view,,,,,\n", n%20, (n*7)%30, 1_700_000_000+n)
	}
	return csv.String()
}

func importBody(job, dataset, file, members string) string {
	return `{"jobName":"` + job + `","datasetArn":"` + dataset + `","dataSource":{"dataLocation":"s3://uploads/` + file +
		`"},"roleArn":"` + roleARN + `"` + members + `}`
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text) // strings always encode
	return string(encoded)
}

func shorten(text string) string {
	if len(text) > 300 {
		text = text[:200] + "…" + text[len(text)-60:]
	}
	return text
}

// with is a JSON object with one member changed; "" takes it away.
func with(object, member, value string) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		panic(err) // a good body of this test is bad
	}
	parent, child, nested := strings.Cut(member, ".")
	switch {
	case nested:
		members[parent] = json.RawMessage(with(string(members[parent]), child, value))
	case value == "":
		delete(members, member)
	default:
		members[member] = json.RawMessage(value)
	}
	var text strings.Builder
	text.WriteByte('{')
	for i, name := range slices.SortedFunc(maps.Keys(members), cmp.Compare) {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(quoted(name) + ":" + string(members[name]))
	}
	return text.String() + "}"
}

// long says whether the cases that take minutes are wanted.
func long() bool { return os.Getenv("PENCHANT_TEST_LONG") != "" }
