package recommender

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/userstate"
)

const (
	account  = "arn:aws:personalize:us-east-1:000000000000:"
	groupKey = "shop-1a2b"
)

var credential = awsapi.Credential{AccessKeyID: "shop", SecretKey: "shop-secret"}

// shop is a running recommender with a campaign on each recipe, named after it, and some visitors.
type shop struct {
	testing.TB
	service  *Service
	users    *userstate.Store
	bus      *bus.Client
	store    *catalog.Store
	bucket   *blob.Bucket
	models   *modelstore.Registry
	view     *catalog.View
	metrics  *prometheus.Registry
	router   *awsapi.Router
	endpoint string
	client   *awsapi.Client
}

func open(t testing.TB) *shop {
	t.Helper()
	return openWith(t, func(*Config) {})
}

// openWith is open with a changed configuration.
func openWith(t testing.TB, change func(*Config)) *shop {
	t.Helper()
	e := embeddedtest.Servers(t)
	s := &shop{TB: t, metrics: prometheus.NewRegistry()}
	objects, err := blob.Open(e.S3)
	s.must(err)
	t.Cleanup(objects.Close)
	s.bucket = objects.Bucket(e.Bucket)
	s.bus, err = bus.Open(t.Context(), bus.Config{Brokers: e.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 2, ReplicationFactor: 1, MinInSyncReplicas: 1}})
	s.must(err)
	t.Cleanup(s.bus.Close)
	s.users, err = userstate.Open(t.Context(), e.RedisURL, userstate.Options{})
	s.must(err)
	t.Cleanup(func() { s.must(s.users.Close()) })
	s.must(s.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: schema.Interactions.Topic(groupKey)}, bus.TopicSpec{Name: bus.RecommendationsTopic(groupKey)}))
	s.healthy()

	s.store = catalog.NewStore(s.bucket, nil)
	s.must(s.store.Create(t.Context(), &catalog.DatasetGroup{Metadata: active("dataset-group/shop", "shop"), ShortID: "1a2b"}))
	view := catalog.NewView(s.store, nil, nil)
	s.view = view
	s.models = modelstore.NewRegistry(view, s.bucket, t.TempDir(), zap.NewNop(), prometheus.NewRegistry())
	config := Config{
		Models: s.models, View: view, Bucket: s.bucket, Users: s.users, Bus: s.bus, UserStateTimeout: 2 * time.Second, Log: zap.NewNop(), Registerer: s.metrics,
	}
	change(&config)
	s.service, err = New(config)
	s.must(err)
	s.background(view.Run, s.models.Run, s.service.Run)

	s.router = awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{credential}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	s.service.Register(s.router)
	server := httptest.NewServer(s.router)
	t.Cleanup(server.Close)
	s.endpoint = server.URL
	s.client = awsapi.NewClient(server.URL, credential, "us-east-1")
	t.Cleanup(s.client.Close)
	return s
}

// openTrained is open with a campaign on one recipe of each type that recommends or ranks items, all models loaded.
func openTrained(t testing.TB) *shop {
	t.Helper()
	s := open(t)
	trained := []string{personal, ranker, related, popularity}
	for _, name := range trained {
		r, _ := recipe.ByName(name)
		s.campaign(r, trainOn(t, r, taste))
	}
	eventually.True(s, "all models are loaded", func() bool { return s.models.Ready() == nil && len(s.models.All()) == len(trained) })
	return s
}

func active(arn, name string) catalog.Metadata {
	return catalog.Metadata{ARN: account + arn, Name: name, Status: status.Active}
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) background(run ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(run))
	for _, f := range run {
		go func() { done <- f(ctx) }()
	}
	s.Cleanup(func() {
		cancel()
		for range run {
			if err := <-done; err != nil {
				s.Error(err)
			}
		}
	})
}

// healthy says that the visitors' states are complete, as the session-updater does when it has folded everything.
func (s *shop) healthy() {
	s.Helper()
	topics, err := s.bus.Topics(s.Context(), schema.Interactions.Topic(groupKey))
	s.must(err)
	for p := range int32(2) {
		log := userstate.Log{TopicID: topics[schema.Interactions.Topic(groupKey)].ID, Partition: p, Type: schema.Interactions}
		s.must(s.users.Reset(s.Context(), groupKey, log, userstate.Start, false))
		s.must(s.users.SetRebuilt(s.Context(), groupKey, log))
	}
}

// campaign publishes a model and makes an ACTIVE campaign on it, named after the recipe.
func (s *shop) campaign(r *recipe.Recipe, m model.Model) {
	s.Helper()
	version := s.version(r, m)
	s.must(s.store.Create(s.Context(), &catalog.Campaign{
		Metadata: active("campaign/"+r.Name, r.Name), DatasetGroupARN: version.DatasetGroupARN, SolutionVersionARN: version.ARN,
	}))
}

// version publishes a model.
func (s *shop) version(r *recipe.Recipe, m model.Model) *catalog.SolutionVersion {
	s.Helper()
	version := &catalog.SolutionVersion{Metadata: active("solution/"+r.Name+"/00000001", ""), DatasetGroupARN: account + "dataset-group/shop"}
	var err error
	version.ManifestKey, version.ModelID, err = modelstore.Publish(s.Context(), s.bucket, version.ARN, r.Name, m, modelstore.Meta{Trained: time.Now()})
	s.must(err)
	s.must(s.store.Create(s.Context(), version))
	return version
}

func trainOn(t testing.TB, r *recipe.Recipe, history func(*trainingset.Builder)) model.Model {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{})
	history(b)
	set, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Train(t.Context(), set, params, recipe.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// taste is a history in which half of the users like red items and half like blue ones, after red0, the most popular
// item.
func taste(b *trainingset.Builder) {
	for user := range 60 {
		for event := range 8 {
			colour := []string{"red", "blue"}[user%2]
			b.Add(interaction(fmt.Sprintf("u%d", user), fmt.Sprintf("%s%d", colour, (user/2+event*event)%12), event))
		}
		b.Add(interaction(fmt.Sprintf("u%d", user), "red0", -1))
	}
}

func interaction(user, item string, second int) *reco.Interaction {
	return &reco.Interaction{
		EventID: fmt.Sprintf("%s-%d", user, second), UserID: user, SessionID: "s-" + user, ItemID: item, EventType: "click", TimestampMS: int64(1000 * second),
	}
}

// sees lets a user look at items, as the session-updater would write it down; fold keeps his vectors too.
func (s *shop) sees(user string, fold bool, items ...string) {
	s.Helper()
	states, err := s.users.Load(s.Context(), groupKey, []string{user})
	s.must(err)
	for n, item := range items {
		states[0].Apply(schema.Interactions, interaction(user, item, n))
	}
	if fold {
		var models []userstate.Model
		for _, l := range s.models.Group(groupKey) {
			models = append(models, userstate.Model{ID: l.ModelID, Folder: l.Folder()})
		}
		states[0].Fold(models)
	}
	conflicts, err := s.users.Save(s.Context(), groupKey, states)
	s.must(err)
	if len(conflicts) > 0 {
		s.Fatal("a state was written by somebody else")
	}
}

func (s *shop) recommendations(req map[string]any) (*personalizeruntime.GetRecommendationsResponse, error) {
	var resp personalizeruntime.GetRecommendationsResponse
	err := s.client.Post(s.Context(), "/recommendations", req, &resp)
	return &resp, err
}

func (s *shop) ranking(req map[string]any) (*personalizeruntime.GetPersonalizedRankingResponse, error) {
	var resp personalizeruntime.GetPersonalizedRankingResponse
	err := s.client.Post(s.Context(), "/personalize-ranking", req, &resp)
	return &resp, err
}

func campaignARN(recipeName string) string { return account + "campaign/" + recipeName }

func ids(items []personalizeruntime.PredictedItem) []string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = *item.ItemId
	}
	return list
}
