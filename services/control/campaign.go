package control

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func (s *Service) createCampaign(ctx context.Context, req *personalize.CreateCampaignRequest) (*personalize.CreateCampaignResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	version, solution, err := s.servedVersion(ctx, *req.SolutionVersionArn)
	if err != nil {
		return nil, err
	}
	group, err := s.store.DatasetGroups.Get(ctx, solution.DatasetGroupARN)
	if err != nil {
		return nil, err
	}
	arn := beside(solution.ARN, resource.Campaign, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, func(g *catalog.DatasetGroup) error {
		return within(g.Children.Count(resource.Campaign, arn), s.quotas.CampaignsPerGroup, inAnyState)
	})
	if err != nil {
		return nil, err
	}
	underSolution, err := place(ctx, s, solution, mustBeActiveSolution)
	if err != nil {
		return nil, err
	}
	if err := mustBeTrained(version, solution.ARN); err != nil {
		return nil, err
	}
	if err := s.checkCampaignConfig(ctx, req.CampaignConfig, *req.SolutionVersionArn, version); err != nil {
		return nil, err
	}
	campaign := &catalog.Campaign{
		Metadata:        pending(arn, *req.Name, tags),
		DatasetGroupARN: group.ARN, SolutionVersionARN: version.ARN, MinProvisionedTPS: 1, Config: req.CampaignConfig,
	}
	if req.MinProvisionedTPS != nil {
		campaign.MinProvisionedTPS = *req.MinProvisionedTPS
	}
	if err := createUnder(ctx, s, campaign, underGroup, underSolution); err != nil {
		return nil, err
	}
	return &personalize.CreateCampaignResponse{CampaignArn: &arn}, nil
}

func mustBeActiveSolution(r *catalog.Solution) error { return mustBeActive(r) }

// servedVersion is what a campaign's solutionVersionArn stands for: the version it names, or with $LATEST the newest ACTIVE one, nil
// if there is none.
func (s *Service) servedVersion(ctx context.Context, arn string) (*catalog.SolutionVersion, *catalog.Solution, error) {
	if resource.IsLatest(arn) {
		solution, err := find[*catalog.Solution](ctx, s, "solutionVersionArn", resource.SolutionARN(arn), resource.Solution)
		if err != nil {
			return nil, nil, err
		}
		version, err := s.newestActive(ctx, solution.ARN)
		return version, solution, err
	}
	version, err := findVersion(ctx, s, arn)
	if err != nil {
		return nil, nil, err
	}
	solution, err := find[*catalog.Solution](ctx, s, "solutionVersionArn", version.SolutionARN, resource.Solution)
	return version, solution, err
}

// newestActive is the newest ACTIVE version of a solution, or nil.
func (s *Service) newestActive(ctx context.Context, solutionARN string) (*catalog.SolutionVersion, error) {
	versions := s.versionsOf(solutionARN)
	for i := len(versions) - 1; i >= 0; i-- {
		v := versions[i]
		if !v.Finished() {
			// The view may be a moment behind, and a client who saw it ACTIVE expects it to be used.
			read, err := s.store.SolutionVersions.Get(ctx, v.ARN)
			if err != nil {
				return nil, err
			}
			v = read
		}
		if v.Status == status.Active {
			return v, nil
		}
	}
	return nil, nil
}

func mustBeTrained(version *catalog.SolutionVersion, solutionARN string) error {
	if version == nil {
		return awsapi.ResourceInUse("Solution %s has no ACTIVE solution version", solutionARN)
	}
	return mustBeActive(version)
}

// checkCampaignConfig looks at the exploration settings, and at $LATEST, which goes together with following. version is what the
// campaign is to serve, named by versionARN.
func (s *Service) checkCampaignConfig(ctx context.Context, config *personalize.CampaignConfig, versionARN string, version *catalog.SolutionVersion) error {
	if config == nil {
		config = &personalize.CampaignConfig{}
	}
	if flag(config.SyncWithLatestSolutionVersion) != resource.IsLatest(versionARN) {
		return awsapi.InvalidInput("syncWithLatestSolutionVersion must be true exactly when solutionVersionArn is <solution ARN>/%s", resource.Latest)
	}
	return s.checkExploration(ctx, config.ItemExplorationConfig, version.RecipeARN, version.DatasetGroupARN)
}

func (s *Service) describeCampaign(ctx context.Context, req *personalize.DescribeCampaignRequest) (*personalize.DescribeCampaignResponse, error) {
	c, err := find[*catalog.Campaign](ctx, s, "campaignArn", *req.CampaignArn, resource.Campaign)
	if err != nil {
		return nil, err
	}
	described := &personalize.Campaign{
		Name: &c.Name, CampaignArn: &c.ARN, SolutionVersionArn: &c.SolutionVersionARN, MinProvisionedTPS: &c.MinProvisionedTPS, CampaignConfig: c.Config,
		Status: &c.Status, FailureReason: awsapi.Present(c.FailureReason),
		CreationDateTime: awsapi.At(c.CreatedAt), LastUpdatedDateTime: awsapi.At(c.UpdatedAt),
	}
	if u := c.LatestUpdate; u != nil {
		described.LatestCampaignUpdate = &personalize.CampaignUpdateSummary{
			SolutionVersionArn: &u.SolutionVersionARN, MinProvisionedTPS: &u.MinProvisionedTPS, CampaignConfig: u.Config,
			Status: &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	return &personalize.DescribeCampaignResponse{Campaign: described}, nil
}

func (s *Service) listCampaigns(_ context.Context, req *personalize.ListCampaignsRequest) (*personalize.ListCampaignsResponse, error) {
	solution := awsapi.Text(req.SolutionArn)
	campaigns, next, err := list(s, page{"ListCampaigns " + solution, req.NextToken, req.MaxResults},
		func(c *catalog.Campaign) bool {
			return solution == "" || resource.SolutionARN(c.SolutionVersionARN) == solution
		},
		func(c *catalog.Campaign) personalize.CampaignSummary {
			return personalize.CampaignSummary{
				Name: &c.Name, CampaignArn: &c.ARN, Status: &c.Status, FailureReason: awsapi.Present(c.FailureReason),
				CreationDateTime: awsapi.At(c.CreatedAt), LastUpdatedDateTime: awsapi.At(c.UpdatedAt),
			}
		})
	return &personalize.ListCampaignsResponse{Campaigns: campaigns, NextToken: next}, err
}

// updateCampaign records the change; the reconciler carries it out, and the campaign serves as before meanwhile.
func (s *Service) updateCampaign(ctx context.Context, req *personalize.UpdateCampaignRequest) (*personalize.UpdateCampaignResponse, error) {
	campaign, err := find[*catalog.Campaign](ctx, s, "campaignArn", *req.CampaignArn, resource.Campaign)
	if err != nil {
		return nil, err
	}
	update := newCampaignUpdate(campaign, req)
	version, solution, err := s.servedVersion(ctx, update.SolutionVersionARN)
	if err != nil {
		return nil, err
	}
	if err := mustTakeUpdates(campaign); err != nil {
		return nil, err
	}
	if err := mustBeTrained(version, solution.ARN); err != nil {
		return nil, err
	}
	if solution.DatasetGroupARN != campaign.DatasetGroupARN {
		return nil, awsapi.InvalidInput("Solution version %s belongs to another dataset group", version.ARN)
	}
	if err := s.checkCampaignConfig(ctx, update.Config, update.SolutionVersionARN, version); err != nil {
		return nil, err
	}
	update.SolutionVersionARN = version.ARN
	// A version of another solution: that one must not be deleted under the campaign. The reconciler gives the old one back.
	if err := s.attachTo(ctx, campaign, solution.ARN); err != nil {
		return nil, err
	}
	_, err = s.store.Campaigns.Update(ctx, campaign.ARN, func(c *catalog.Campaign) error {
		if err := mustTakeUpdates(c); err != nil {
			return err
		}
		addParent(c, solution.ARN)
		c.LatestUpdate = update
		return nil
	})
	return &personalize.UpdateCampaignResponse{CampaignArn: &campaign.ARN}, err
}

func mustTakeUpdates(c *catalog.Campaign) error {
	switch {
	case c.Status != status.Active && c.Status != status.CreateFailed:
		return awsapi.ResourceInUse("Campaign %s is %s, it must be ACTIVE or CREATE FAILED", c.ARN, c.Status)
	case c.LatestUpdate.Pending():
		return awsapi.ResourceInUse("Campaign %s is being updated", c.ARN)
	}
	return nil
}

// newCampaignUpdate is the campaign as the request wants it: what it does not name stays. A campaign that followed its solution and is
// given a certain version without a new configuration stops following.
func newCampaignUpdate(c *catalog.Campaign, req *personalize.UpdateCampaignRequest) *catalog.CampaignUpdate {
	now := time.Now().UTC()
	update := &catalog.CampaignUpdate{
		SolutionVersionARN: c.SolutionVersionARN, MinProvisionedTPS: c.MinProvisionedTPS, Config: c.Config,
		Status: status.CreatePending, CreatedAt: now, UpdatedAt: now,
	}
	if req.CampaignConfig != nil {
		update.Config = req.CampaignConfig
	}
	if req.MinProvisionedTPS != nil {
		update.MinProvisionedTPS = *req.MinProvisionedTPS
	}
	switch {
	case req.SolutionVersionArn == nil && c.FollowsLatest() && req.CampaignConfig == nil:
		update.SolutionVersionARN = resource.SolutionARN(c.SolutionVersionARN) + "/" + resource.Latest
	case req.SolutionVersionArn == nil:
	default:
		update.SolutionVersionARN = *req.SolutionVersionArn
		if c.FollowsLatest() && req.CampaignConfig == nil && !resource.IsLatest(*req.SolutionVersionArn) {
			config := *c.Config
			config.SyncWithLatestSolutionVersion = nil
			update.Config = &config
		}
	}
	return update
}

func (s *Service) deleteCampaign(ctx context.Context, req *personalize.DeleteCampaignRequest) (*awsapi.Empty, error) {
	return nil, markDeleting(ctx, s, "campaignArn", *req.CampaignArn, resource.Campaign, func(c *catalog.Campaign) error {
		if c.LatestUpdate.Pending() {
			return awsapi.ResourceInUse("Campaign %s is being updated", c.ARN)
		}
		return nil
	})
}
