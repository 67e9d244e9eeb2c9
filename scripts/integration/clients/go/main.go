// Program go checks what the AWS SDK for Go does around its calls: paginators, modelled exceptions, times, retries. It
// is run by test_sdks.py.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeevents"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"
)

const schema = `{"type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
	"fields": [{"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"}, {"name": "TIMESTAMP", "type": "long"}]}`

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name, trackingID string) error {
	sdk := session.Must(session.NewSession(aws.NewConfig().WithEndpoint(os.Getenv("AWS_ENDPOINT_URL_PERSONALIZE"))))
	control, events, runtime := personalize.New(sdk), personalizeevents.New(sdk), personalizeruntime.New(sdk)

	var want []string
	for n := range 5 {
		want = append(want, fmt.Sprintf("%s-%d", name, n))
		if _, err := control.CreateSchema(&personalize.CreateSchemaInput{Name: &want[n], Schema: aws.String(schema)}); err != nil {
			return err
		}
	}
	var found []string
	var made time.Time
	err := control.ListSchemasPages(&personalize.ListSchemasInput{MaxResults: aws.Int64(2)}, func(page *personalize.ListSchemasOutput, _ bool) bool {
		for _, s := range page.Schemas {
			if strings.HasPrefix(*s.Name, name+"-") {
				found, made = append(found, *s.Name), *s.CreationDateTime
			}
		}
		return true
	})
	slices.Sort(found)
	if err != nil || !slices.Equal(found, want) || time.Since(made).Abs() > 5*time.Minute {
		return fmt.Errorf("pages: %v, the last made at %s, %w", found, made, err)
	}

	absent := aws.String("arn:aws:personalize:us-east-1:000000000000:campaign/absent")
	_, taken := control.CreateSchema(&personalize.CreateSchemaInput{Name: &want[0], Schema: aws.String(schema)})
	_, missing := control.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: absent})
	_, invalid := control.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("no spaces"), Schema: aws.String(schema)})
	_, token := control.ListSchemas(&personalize.ListSchemasInput{NextToken: aws.String("none-of-ours")})
	_, campaign := runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{CampaignArn: absent, UserId: aws.String("ada")})
	event := &personalizeevents.PutEventsInput{TrackingId: &trackingID, SessionId: aws.String("s"), UserId: aws.String("ada")}
	event.EventList = []*personalizeevents.Event{{
		EventType: aws.String("view"), ItemId: aws.String(strings.Repeat("long", 65)), SentAt: aws.Time(time.Unix(0, 0)),
	}}
	_, long := events.PutEvents(event)
	err = errors.Join(
		refused[*personalize.ResourceAlreadyExistsException](taken), refused[*personalize.ResourceNotFoundException](missing),
		refused[*personalize.InvalidInputException](invalid), refused[*personalize.InvalidNextTokenException](token),
		refused[*personalizeruntime.ResourceNotFoundException](campaign), refused[*personalizeevents.InvalidInputException](long),
	)
	if err != nil {
		return err
	}

	event.EventList = []*personalizeevents.Event{{
		EventId: &name, EventType: aws.String("view"), ItemId: aws.String(`Über & "Bücher" 漢字`), EventValue: aws.Float64(0.5),
		SentAt: aws.Time(time.Date(2024, time.February, 29, 12, 34, 56, 789e6, time.UTC)),
	}}
	_, err = events.PutEvents(event)
	return err
}

// refused says what is wrong with err as an exception of type E.
func refused[E awserr.RequestFailure](err error) error {
	var exception E
	if !errors.As(err, &exception) || exception.Message() == "" || exception.RequestID() == "" {
		return fmt.Errorf("%w (%T) is no whole %T", err, err, exception)
	}
	return nil
}
