package recommender

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// ask has a router answer a request and returns the fallback header of its answer, which must be 200.
func (s *shop) ask(router http.Handler, req map[string]any) string {
	s.Helper()
	body, err := json.Marshal(req)
	s.must(err)
	r := httptest.NewRequest(http.MethodPost, "/recommendations", bytes.NewReader(body))
	awsapi.Sign(r, body, credential, "us-east-1")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Header().Get(fallbackHeader)
}

func TestAnswersWithoutRedis(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	req := map[string]any{"campaignArn": campaignARN(personal), "userId": "u"}
	eventually.True(s, "states are known to be complete", func() bool { return s.ask(s.router, req) == "" })

	away, err := userstate.Open(t.Context(), "redis://127.0.0.1:1", userstate.Options{})
	s.must(err)
	t.Cleanup(func() { s.must(away.Close()) })
	service, err := New(Config{Models: s.models, View: s.view, Bucket: s.bucket, Users: away, Bus: s.bus, Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	s.must(err)
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{credential}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	service.Register(router)
	got := s.ask(router, req)
	if got != fallbackUnavailable && got != fallbackTimeout {
		t.Errorf("without Redis the fallback is %q", got)
	}
	if n := testutil.ToFloat64(service.metrics.fallbacks.WithLabelValues(got)); n != 1 {
		t.Errorf("%v fallbacks are counted", n)
	}
	if got := s.ask(router, map[string]any{"campaignArn": campaignARN(related), "itemId": "red1"}); got != "" {
		t.Errorf("related items need no user state, and fell back: %q", got)
	}
	s.must(service.Ready(t.Context()))
}

func TestAnswersWhileRedisIsRebuilt(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	topics, err := s.bus.Topics(t.Context(), schema.Interactions.Topic(groupKey))
	s.must(err)
	log := userstate.Log{TopicID: topics[schema.Interactions.Topic(groupKey)].ID, Partition: 1, Type: schema.Interactions}
	s.must(s.users.Reset(t.Context(), groupKey, log, userstate.Start, true))
	req := map[string]any{"campaignArn": campaignARN(personal), "userId": "u"}
	eventually.True(s, "the rebuild is told", func() bool { return s.ask(s.router, req) == fallbackRebuilding })
	s.must(s.users.SetRebuilt(t.Context(), groupKey, log))
	eventually.True(s, "the rebuild is over", func() bool { return s.ask(s.router, req) == "" })
}

func TestShownRecommendationsAreTold(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "u1", "numResults": 3})
	s.must(err)
	topic := bus.RecommendationsTopic(groupKey)
	var record bus.Record
	eventually.True(s, "the answer stands in the log", func() bool {
		offsets, err := s.bus.Offsets(t.Context(), topic)
		s.must(err)
		for place, held := range offsets {
			s.must(s.bus.ReadRange(t.Context(), topic, map[int32]bus.OffsetRange{place.Partition: held}, func(records []bus.Record) error {
				record = records[0]
				return nil
			}))
		}
		return record.Value != nil
	})
	var shown penchantv1.RecommendationShown
	s.must(proto.Unmarshal(record.Value, &shown))
	if shown.RecommendationId != *resp.RecommendationId || string(record.Key) != *resp.RecommendationId || shown.UserId != "u1" ||
		shown.CampaignArn != campaignARN(personal) || len(shown.ItemIds) != 3 || shown.ItemIds[0] != *resp.ItemList[0].ItemId || shown.ModelId == "" {
		t.Errorf("told %v of the answer %v", &shown, ids(resp.ItemList))
	}
}

func TestAnswersDoNotWaitForTheLog(t *testing.T) {
	t.Parallel()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := &shown{log: zap.NewNop(), metrics: m, now: time.Now, queue: make(chan *answer, 2)}
	for range 5 { // nobody publishes
		s.offer(&answer{req: &request{}})
	}
	if dropped := testutil.ToFloat64(m.shown.WithLabelValues("dropped")); dropped != 3 {
		t.Errorf("%v answers were dropped", dropped)
	}
}
