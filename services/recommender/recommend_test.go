package recommender

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	sdk "github.com/aws/aws-sdk-go/service/personalizeruntime"
	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/model/coldstart"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const (
	personal   = "aws-user-personalization"
	ranker     = "aws-personalized-ranking"
	related    = "aws-sims"
	popularity = "aws-popularity-count"
)

// checkScores holds a full list to the rule of scores: each in [0,1], descending, all of them summing to 1.
func checkScores(t *testing.T, items []personalizeruntime.PredictedItem) {
	t.Helper()
	sum, last := 0.0, 1.0
	for _, item := range items {
		if item.Score == nil || *item.Score < 0 || *item.Score > last {
			t.Fatalf("score %v of %s after %v", item.Score, *item.ItemId, last)
		}
		sum, last = sum+*item.Score, *item.Score
	}
	if math.Abs(sum-1) > 1e-4 {
		t.Errorf("scores sum to %v", sum)
	}
}

func count(list []string, colour string, top int) int {
	n := 0
	for _, id := range list[:top] {
		if strings.HasPrefix(id, colour) {
			n++
		}
	}
	return n
}

func TestRecommendationsFollowTheUser(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	for _, fold := range []bool{true, false} {
		user := map[bool]string{true: "folded", false: "not-folded"}[fold]
		s.sees(user, fold, "blue1", "blue2", "blue5")
		resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": user})
		s.must(err)
		if len(resp.ItemList) != 24 {
			t.Errorf("%s: %d items of a catalogue of 24", user, len(resp.ItemList))
		}
		checkScores(t, resp.ItemList)
		if n := count(ids(resp.ItemList), "blue", 8); n < 6 {
			t.Errorf("%s: %d of the first 8 are blue: %v", user, n, ids(resp.ItemList))
		}
	}
	folded, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "folded"})
	s.must(err)
	onRead, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "not-folded"})
	s.must(err)
	if diff := cmp.Diff(folded.ItemList, onRead.ItemList); diff != "" {
		t.Errorf("a stored vector and one folded on read recommend differently:\n%s", diff)
	}
	if *folded.RecommendationId == *onRead.RecommendationId || !strings.HasPrefix(*folded.RecommendationId, "RID-") || len(*folded.RecommendationId) > 40 {
		t.Errorf("recommendation ids %s and %s", *folded.RecommendationId, *onRead.RecommendationId)
	}
}

func TestStrangersGetWhatIsPopular(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	popular, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity), "numResults": 500})
	s.must(err)
	if popular.ItemList[0].Score != nil || *popular.ItemList[0].ItemId != "red0" || len(popular.ItemList) != 24 {
		t.Errorf("popularity: %v", ids(popular.ItemList))
	}
	for name, req := range map[string]map[string]any{
		"unknown user":             {"campaignArn": campaignARN(personal), "userId": "stranger", "numResults": 500},
		"itemId without a meaning": {"campaignArn": campaignARN(personal), "userId": "stranger", "itemId": "red3", "numResults": 500},
		"unknown item":             {"campaignArn": campaignARN(related), "itemId": "no-such-item", "numResults": 500},
		"context":                  {"campaignArn": campaignARN(personal), "userId": "stranger", "numResults": 500, "context": map[string]string{"DEVICE": "phone"}},
	} {
		resp, err := s.recommendations(req)
		s.must(err)
		if diff := cmp.Diff(ids(popular.ItemList), ids(resp.ItemList)); diff != "" {
			t.Errorf("%s is not answered by popularity:\n%s", name, diff)
		}
	}
}

func TestRelatedItems(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(related), "itemId": "blue3", "numResults": 6})
	s.must(err)
	list := ids(resp.ItemList)
	if len(list) != 6 || slices.Contains(list, "blue3") || count(list, "blue", 6) < 5 || resp.ItemList[0].Score != nil {
		t.Errorf("related to blue3: %v", list)
	}
}

func TestNumResults(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	for asked, want := range map[int]int{0: 24, 1: 1, 5: 5, 500: 24} {
		resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity), "numResults": asked})
		s.must(err)
		if len(resp.ItemList) != want {
			t.Errorf("%d asked for, %d answered", asked, len(resp.ItemList))
		}
	}
}

func TestRankingOrdersTheList(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	s.sees("reader", false, "blue1", "blue2", "blue5")
	resp, err := s.ranking(map[string]any{
		"campaignArn": campaignARN(ranker), "userId": "reader",
		"inputList": []string{"red2", "nowhere2", "blue4", "red2", "nowhere1", "blue3", "nowhere2", "red7"},
	})
	s.must(err)
	list := resp.PersonalizedRanking
	if len(list) != 6 {
		t.Fatalf("ranked %v", ids(list))
	}
	checkScores(t, list[:4])
	// The two campaigns' models are the same, and so is the order.
	recommended, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "reader"})
	s.must(err)
	order := slices.DeleteFunc(ids(recommended.ItemList), func(id string) bool { return !slices.Contains([]string{"red2", "blue4", "blue3", "red7"}, id) })
	if diff := cmp.Diff(order, ids(list[:4])); diff != "" {
		t.Errorf("ranked otherwise than recommended: %s", diff)
	}
	if diff := cmp.Diff([]string{"nowhere2", "nowhere1"}, ids(list[4:])); diff != "" || list[4].Score != nil || list[5].Score != nil {
		t.Errorf("unknown items: %s", diff)
	}
	only, err := s.ranking(map[string]any{"campaignArn": campaignARN(ranker), "userId": "stranger", "inputList": []string{"nowhere"}})
	s.must(err)
	if diff := cmp.Diff([]string{"nowhere"}, ids(only.PersonalizedRanking)); diff != "" {
		t.Errorf("a list of unknown items: %s", diff)
	}
	popular, err := s.ranking(map[string]any{"campaignArn": campaignARN(ranker), "userId": "stranger", "inputList": []string{"blue3", "red0"}})
	s.must(err)
	if diff := cmp.Diff([]string{"red0", "blue3"}, ids(popular.PersonalizedRanking)); diff != "" {
		t.Errorf("a stranger's ranking is not by popularity: %s", diff)
	}
}

func TestAnswersToTheSDK(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	sess, err := session.NewSession(&aws.Config{
		Endpoint: &s.endpoint, Region: aws.String("eu-west-1"), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentials(credential.AccessKeyID, credential.SecretKey, ""),
	})
	s.must(err)
	client := sdk.New(sess)
	got, err := client.GetRecommendations(&sdk.GetRecommendationsInput{CampaignArn: aws.String(campaignARN(personal)), UserId: aws.String("u1"), NumResults: aws.Int64(3)})
	s.must(err)
	if len(got.ItemList) != 3 || *got.ItemList[0].Score <= 0 || got.RecommendationId == nil {
		t.Errorf("recommended %v", got)
	}
	ranked, err := client.GetPersonalizedRanking(&sdk.GetPersonalizedRankingInput{
		CampaignArn: aws.String(campaignARN(ranker)), UserId: aws.String("u1"), InputList: aws.StringSlice([]string{"red1", "blue1"}),
	})
	s.must(err)
	if len(ranked.PersonalizedRanking) != 2 {
		t.Errorf("ranked %v", ranked)
	}
	_, err = client.GetRecommendations(&sdk.GetRecommendationsInput{CampaignArn: aws.String(campaignARN("none")), UserId: aws.String("u1")})
	if absent := new(sdk.ResourceNotFoundException); !errors.As(err, &absent) {
		t.Errorf("an absent campaign: %v", err)
	}
}

func TestNewcomersAreKnownByTheirAttributes(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.datasets()
	r, _ := recipe.ByName(personal)
	// Grown-ups like red items, children blue ones.
	ages := []int64{30, 8}
	s.campaign(r, trainOn(t, r, func(b *trainingset.Builder) {
		taste(b)
		for user := range 60 {
			b.AddUser(reco.Entity{ID: fmt.Sprintf("u%d", user), Properties: map[string]any{"AGE": ages[user%2]}})
		}
	}))
	s.put(schema.Users.Topic(groupKey), reco.Entity{ID: "grown", Properties: map[string]any{"AGE": ages[0]}}, reco.Entity{ID: "child", Properties: map[string]any{"AGE": ages[1]}})
	first := func(user string) []string {
		resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": user, "numResults": 8})
		if err != nil {
			return nil // the model is being loaded
		}
		return ids(resp.ItemList)
	}
	all := func(list []string, colour string) bool {
		return len(list) == 8 && !slices.ContainsFunc(list[1:], func(id string) bool { return !strings.HasPrefix(id, colour) }) // red0 is what everybody likes
	}
	eventually.True(s, "attributes count", func() bool { return all(first("grown"), "red") && all(first("child"), "blue") })
	// From the first event on, the history decides.
	s.sees("child", true, "red1", "red2")
	if list := first("child"); !all(list, "red") {
		t.Errorf("a child who looked at red items is recommended %v", list)
	}
	stranger := first("nobody")
	if all(stranger, "red") || all(stranger, "blue") {
		t.Errorf("somebody of whom nothing is known is recommended %v", stranger)
	}
	// What the attributes added is explained.
	var told Explanation
	s.must(s.client.Post(t.Context(), ExplainPath, map[string]any{"campaignArn": campaignARN(personal), "userId": "grown"}, &told))
	for _, c := range told.Contributions[:4] {
		if !slices.ContainsFunc(c.Terms, func(term Contribution) bool { return term.Name == coldstart.Attributes }) {
			t.Errorf("the terms of %s for a newcomer are %v", c.ItemID, c.Terms)
		}
	}
}
