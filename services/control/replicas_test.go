package control

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// replica runs a second control plane on the same servers, which drives the same resources.
func (i *installation) replica() {
	i.t.Helper()
	log := zaptest.NewLogger(i.t).Named("replica")
	store := catalog.NewStore(i.bucket, catalog.BusNotifier(i.bus), catalog.WithLog(log))
	view := catalog.NewView(store, i.bus, log)
	service := must(New(Config{
		Bus: i.bus, Bucket: i.bucket, Store: store, View: view, Region: "us-east-1", Log: log,
		Options: Options{AccountID: "000000000000"},
	}))(i.t)
	run(i.t, view.Run, service.Run)
	must(0, view.WaitReady(i.t.Context()))(i.t)
}

// Names are made, deleted and made again while two replicas drive every resource: what was deleted is gone, what was made again stays.
func TestReplicasDoNotDisturbEachOther(t *testing.T) {
	i := install(t, crud.Quotas{})
	i.replica()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			name := fmt.Sprint("g", n)
			for range 3 {
				group := i.group(name)
				solution := i.solution(group, name, "aws-sims")
				campaign := i.campaign(name, i.version(solution))
				must(i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaign}))(t)
				disappears(t, func() error {
					_, err := i.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: &campaign})
					return err
				})
				must(i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &solution}))(t)
				disappears(t, func() error {
					_, err := i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &solution})
					return err
				})
				must(i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group}))(t)
				disappears(t, func() error {
					_, err := i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: &group})
					return err
				})
			}
			i.group(name)
		})
	}
	wg.Wait()
	groups := must(i.ListDatasetGroups(&personalize.ListDatasetGroupsInput{}))(t).DatasetGroups
	if len(groups) != 4 {
		t.Errorf("%d groups: %v", len(groups), groups)
	}
	if left := must(i.store.Solutions.List(t.Context()))(t); len(left) != 0 {
		t.Errorf("solutions left: %v", aws.String(left[0].ARN))
	}
}

// A topic that somebody deleted comes back, under another identity, while its group is in use.
func TestADeletedTopicIsMadeAgain(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.group("used")
	group := must(i.store.DatasetGroups.Get(t.Context(), arn))(t)
	topic := schema.Interactions.Topic(group.GroupKey())
	before := must(i.bus.Topics(t.Context(), topic))(t)[topic]
	must(0, i.bus.DeleteTopics(t.Context(), topic))(t)
	reaches(t, "made again", func() (string, error) {
		topics, err := i.bus.Topics(t.Context(), topic)
		if now, ok := topics[topic]; ok && now.ID != before.ID {
			return "made again", err
		}
		return "missing", err
	})
}
