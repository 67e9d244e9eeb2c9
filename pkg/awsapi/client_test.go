package awsapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	sdkpersonalize "github.com/aws/aws-sdk-go/service/personalize"
	sdkevents "github.com/aws/aws-sdk-go/service/personalizeevents"
	sdkruntime "github.com/aws/aws-sdk-go/service/personalizeruntime"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
)

func TestClient(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	client := awsapi.NewClient(s.URL+"/", key, "us-east-1")
	t.Cleanup(client.Close)
	ctx := context.Background()

	var created personalize.CreateSchemaResponse
	if err := client.Call(ctx, "CreateSchema", personalize.CreateSchemaRequest{Name: aws.String("s"), Schema: aws.String("{}")}, &created); err != nil {
		t.Fatal(err)
	}
	if *created.SchemaArn != "arn:aws:personalize:::schema/s" {
		t.Errorf("created %s", *created.SchemaArn)
	}
	if err := client.Post(ctx, "/events", map[string]any{}, nil); err == nil {
		t.Error("an empty PutEvents was accepted")
	}
	s.recommend = func(context.Context, *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
		return nil, awsapi.ServiceUnavailable("full")
	}
	var refusal *awsapi.Error
	err := client.Post(ctx, "/recommendations", map[string]string{"userId": "u"}, nil)
	if !errors.As(err, &refusal) || refusal.Code != "ServiceUnavailable" || refusal.Status != 503 || refusal.Message != "full" || refusal.RetryAfter != time.Second {
		t.Errorf("refusal %#v", err)
	}
}

// The AWS SDK for Go speaks to the Router as to AWS.
func TestSDK(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	sent := time.UnixMilli(1700000000500).UTC()
	s.putEvents = func(_ context.Context, req *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
		event := req.EventList[0]
		if *event.Properties != `{"device":"phone"}` || !event.SentAt.Time().Equal(sent) || *event.EventValue != 2.5 {
			return nil, awsapi.InvalidInput("got %v %v %v", *event.Properties, event.SentAt.Time(), *event.EventValue)
		}
		return nil, nil
	}
	s.recommend = func(_ context.Context, req *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
		if *req.UserId == "nobody" {
			return nil, awsapi.ResourceNotFound("no campaign")
		}
		score := 0.25
		return &personalizeruntime.GetRecommendationsResponse{
			ItemList:         []personalizeruntime.PredictedItem{{ItemId: aws.String("a"), Score: &score}},
			RecommendationId: aws.String("RID-1"),
		}, nil
	}
	sess := session.Must(session.NewSession(&aws.Config{
		Endpoint: &s.URL, Region: aws.String("us-east-1"), MaxRetries: aws.Int(0),
		Credentials: credentials.NewStaticCredentials(key.AccessKeyID, key.SecretKey, ""),
	}))

	created, err := sdkpersonalize.New(sess).CreateSchema(&sdkpersonalize.CreateSchemaInput{Name: aws.String("s"), Schema: aws.String("{}")})
	if err != nil || *created.SchemaArn != "arn:aws:personalize:::schema/s" {
		t.Errorf("CreateSchema: %v %v", created, err)
	}
	_, err = sdkpersonalize.New(sess).DeleteSchema(&sdkpersonalize.DeleteSchemaInput{SchemaArn: aws.String("arn:aws:personalize:::schema/s")})
	var coded awserr.Error
	if !errors.As(err, &coded) || coded.Code() != "UnknownOperationException" {
		t.Errorf("DeleteSchema: %v", err)
	}
	_, err = sdkevents.New(sess).PutEvents(&sdkevents.PutEventsInput{
		TrackingId: aws.String("t"), SessionId: aws.String("s"),
		EventList: []*sdkevents.Event{{EventType: aws.String("click"), ItemId: aws.String("i"), SentAt: &sent, EventValue: aws.Float64(2.5), Properties: aws.JSONValue{"device": "phone"}}},
	})
	if err != nil {
		t.Errorf("PutEvents: %v", err)
	}
	runtime := sdkruntime.New(sess)
	answer, err := runtime.GetRecommendations(&sdkruntime.GetRecommendationsInput{UserId: aws.String("u")})
	if err != nil || len(answer.ItemList) != 1 || *answer.ItemList[0].Score != 0.25 || *answer.RecommendationId != "RID-1" {
		t.Errorf("GetRecommendations: %v %v", answer, err)
	}
	_, err = runtime.GetRecommendations(&sdkruntime.GetRecommendationsInput{UserId: aws.String("nobody")})
	var notFound *sdkruntime.ResourceNotFoundException
	if !errors.As(err, &notFound) || notFound.StatusCode() != 404 || notFound.Message() != "no campaign" {
		t.Errorf("GetRecommendations of nobody: %v", err)
	}
}
