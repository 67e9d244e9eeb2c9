package solutions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// campaigns serve recommendations from a solution version.
type campaigns struct{ *crud.Env }

func (s campaigns) row() crud.Row {
	return crud.Kind[*catalog.Campaign]{
		Taggable:   true,
		Pending:    s.pending,
		Reconcile:  s.reconcile,
		Dependents: s.dependents,
		Operations: []crud.Operation{
			crud.Handle("CreateCampaign", s.create),
			crud.Handle("DescribeCampaign", s.describe),
			crud.Handle("ListCampaigns", s.list),
			crud.Handle("UpdateCampaign", s.update),
			crud.Handle("DeleteCampaign", s.delete),
		},
	}.Row()
}

func (s campaigns) create(
	ctx context.Context, req *personalize.CreateCampaignRequest,
) (*personalize.CreateCampaignResponse, error) {
	var version *catalog.SolutionVersion
	var solution *catalog.Solution
	var group *catalog.DatasetGroup
	campaign, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Campaign]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			if version, solution, err = s.servedVersion(ctx, *req.SolutionVersionArn); err != nil {
				return err
			}
			group, err = s.Store.DatasetGroups.Get(ctx, solution.DatasetGroupARN)
			return err
		},
		ARN: func() string { return crud.SiblingARN(solution.ARN, resource.Campaign, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{
				crud.Under(group, crud.Limit[*catalog.DatasetGroup](arn, s.Quotas.CampaignsPerGroup)),
				crud.Under(solution, crud.ValidateActive),
			}
		},
		Build: func(m catalog.Metadata) (*catalog.Campaign, error) {
			if err := validateTrained(version, solution.ARN); err != nil {
				return nil, err
			}
			if err := s.validateConfig(ctx, req.CampaignConfig, *req.SolutionVersionArn, version); err != nil {
				return nil, err
			}
			campaign := &catalog.Campaign{
				Metadata: m, DatasetGroupARN: group.ARN, SolutionVersionARN: version.ARN,
				MinProvisionedTPS: 1, Config: req.CampaignConfig,
			}
			if req.MinProvisionedTPS != nil {
				campaign.MinProvisionedTPS = *req.MinProvisionedTPS
			}
			return campaign, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateCampaignResponse{CampaignArn: &campaign.ARN}, nil
}

func (s campaigns) pending(c *catalog.Campaign) bool {
	return c.Status == status.CreatePending || c.LatestUpdate.Pending() || s.outdated(c)
}

// servedVersion resolves a campaign's solutionVersionArn: to the version it names, or for $LATEST the newest
// ACTIVE one, nil if there is none.
func (s campaigns) servedVersion(ctx context.Context, arn string) (*catalog.SolutionVersion, *catalog.Solution, error) {
	if resource.IsLatest(arn) {
		solution, err := crud.Find[*catalog.Solution](ctx, s.Env, "solutionVersionArn", resource.SolutionARN(arn))
		if err != nil {
			return nil, nil, err
		}
		version, err := newestActive(ctx, s.Env, solution.ARN)
		return version, solution, err
	}
	version, err := findVersion(ctx, s.Env, arn)
	if err != nil {
		return nil, nil, err
	}
	solution, err := crud.Find[*catalog.Solution](ctx, s.Env, "solutionVersionArn", version.SolutionARN)
	return version, solution, err
}

func validateTrained(version *catalog.SolutionVersion, solutionARN string) error {
	if version == nil {
		return awsapi.ResourceInUse("Solution %s has no ACTIVE solution version", solutionARN)
	}
	return crud.ValidateActive(version)
}

// validateConfig looks at the exploration settings, and at $LATEST, which goes together with following. version is what
// the campaign is to serve, named by versionARN.
func (s campaigns) validateConfig(
	ctx context.Context, config *personalize.CampaignConfig, versionARN string, version *catalog.SolutionVersion,
) error {
	if config == nil {
		config = &personalize.CampaignConfig{}
	}
	if flag(config.SyncWithLatestSolutionVersion) != resource.IsLatest(versionARN) {
		return awsapi.InvalidInput(
			"syncWithLatestSolutionVersion must be true exactly when solutionVersionArn is <solution ARN>/%s",
			resource.Latest,
		)
	}
	return validateExploration(ctx, s.Env, config.ItemExplorationConfig, version.RecipeARN, version.DatasetGroupARN)
}

func (s campaigns) describe(
	ctx context.Context, req *personalize.DescribeCampaignRequest,
) (*personalize.DescribeCampaignResponse, error) {
	c, err := crud.Find[*catalog.Campaign](ctx, s.Env, "campaignArn", *req.CampaignArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.Campaign{
		Name: &c.Name, CampaignArn: &c.ARN, SolutionVersionArn: &c.SolutionVersionARN,
		MinProvisionedTPS: &c.MinProvisionedTPS, CampaignConfig: c.Config,
		Status: &c.Status, FailureReason: awsapi.Present(c.FailureReason),
		CreationDateTime: awsapi.At(c.CreatedAt), LastUpdatedDateTime: awsapi.At(c.UpdatedAt),
	}
	if u := c.LatestUpdate; u != nil {
		described.LatestCampaignUpdate = &personalize.CampaignUpdateSummary{
			SolutionVersionArn: &u.SolutionVersionARN, MinProvisionedTPS: &u.MinProvisionedTPS,
			CampaignConfig: u.Config,
			Status:         &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	return &personalize.DescribeCampaignResponse{Campaign: described}, nil
}

func (s campaigns) list(
	_ context.Context, req *personalize.ListCampaignsRequest,
) (*personalize.ListCampaignsResponse, error) {
	solution := awsapi.Text(req.SolutionArn)
	campaigns, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListCampaigns " + solution, Token: req.NextToken, Size: req.MaxResults},
		func(c *catalog.Campaign) bool {
			return solution == "" || resource.SolutionARN(c.SolutionVersionARN) == solution
		},
		func(c *catalog.Campaign) personalize.CampaignSummary {
			return personalize.CampaignSummary{
				Name: &c.Name, CampaignArn: &c.ARN, Status: &c.Status, FailureReason: awsapi.Present(c.FailureReason),
				CreationDateTime: awsapi.At(c.CreatedAt), LastUpdatedDateTime: awsapi.At(c.UpdatedAt),
			}
		},
	)
	return &personalize.ListCampaignsResponse{Campaigns: campaigns, NextToken: next}, err
}

// update records the change; the reconciler carries it out, and the campaign serves as before meanwhile.
func (s campaigns) update(
	ctx context.Context, req *personalize.UpdateCampaignRequest,
) (*personalize.UpdateCampaignResponse, error) {
	campaign, err := crud.Find[*catalog.Campaign](ctx, s.Env, "campaignArn", *req.CampaignArn)
	if err != nil {
		return nil, err
	}
	update := newCampaignUpdate(campaign, req)
	version, solution, err := s.servedVersion(ctx, update.SolutionVersionARN)
	if err != nil {
		return nil, err
	}
	if err := validateUpdatable(campaign); err != nil {
		return nil, err
	}
	if err := validateTrained(version, solution.ARN); err != nil {
		return nil, err
	}
	if solution.DatasetGroupARN != campaign.DatasetGroupARN {
		return nil, awsapi.InvalidInput("Solution version %s belongs to another dataset group", version.ARN)
	}
	if err := s.validateConfig(ctx, update.Config, update.SolutionVersionARN, version); err != nil {
		return nil, err
	}
	update.SolutionVersionARN = version.ARN
	// A version of another solution: that one must not be deleted under the campaign. The reconciler gives the old one
	// back.
	if err := s.attachTo(ctx, campaign, solution.ARN); err != nil {
		return nil, err
	}
	_, err = s.Store.Campaigns.Update(ctx, campaign.ARN, func(c *catalog.Campaign) error {
		if err := validateUpdatable(c); err != nil {
			return err
		}
		addParent(c, solution.ARN)
		c.LatestUpdate = update
		return nil
	})
	return &personalize.UpdateCampaignResponse{CampaignArn: &campaign.ARN}, err
}

func validateUpdatable(c *catalog.Campaign) error {
	switch {
	case c.Status != status.Active && c.Status != status.CreateFailed:
		return awsapi.ResourceInUse("Campaign %s is %s, it must be ACTIVE or CREATE FAILED", c.ARN, c.Status)
	case c.LatestUpdate.Pending():
		return awsapi.ResourceInUse("Campaign %s is being updated", c.ARN)
	}
	return nil
}

// newCampaignUpdate returns the campaign as requested: members that are absent keep their values. A campaign that
// followed its solution and is given a certain version without a new configuration stops following.
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

func (s campaigns) delete(ctx context.Context, req *personalize.DeleteCampaignRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting(ctx, s.Env, "campaignArn", *req.CampaignArn, func(c *catalog.Campaign) error {
		if c.LatestUpdate.Pending() {
			return awsapi.ResourceInUse("Campaign %s is being updated", c.ARN)
		}
		return nil
	})
}

func (s campaigns) reconcile(ctx context.Context, c *catalog.Campaign) error {
	switch {
	case c.Status == status.CreatePending:
		return crud.Activate(ctx, s.Env, c)
	case c.LatestUpdate.Pending():
		return s.applyUpdate(ctx, c)
	case s.outdated(c):
		return s.moveToNewest(ctx, c)
	}
	return nil
}

// outdated reports whether a campaign follows its solution and there is a newer version than the one it serves.
func (s campaigns) outdated(c *catalog.Campaign) bool {
	if !c.FollowsLatest() || c.Status != status.Active || c.LatestUpdate.Pending() {
		return false
	}
	newest := newestSeen(s.View, resource.SolutionARN(c.SolutionVersionARN))
	return newest != nil && newest.ARN != c.SolutionVersionARN
}

// applyUpdate makes the campaign what its update says, or fails the update if its version is no longer there.
func (s campaigns) applyUpdate(ctx context.Context, c *catalog.Campaign) error {
	wanted := c.LatestUpdate.SolutionVersionARN
	err := s.checkServable(ctx, c, wanted)
	if err != nil && !errors.Is(err, errCannotServe) {
		return err
	}
	_, updateErr := s.Store.Campaigns.Update(ctx, c.ARN, func(current *catalog.Campaign) error {
		u := current.LatestUpdate
		if !u.Pending() || current.ID != c.ID || u.SolutionVersionARN != wanted {
			return crud.ErrOvertaken
		}
		u.UpdatedAt = time.Now().UTC()
		if err != nil {
			u.Status, u.FailureReason = status.CreateFailed, err.Error()
			return nil
		}
		u.Status = status.Active
		current.Status, current.FailureReason = status.Active, ""
		current.SolutionVersionARN, current.MinProvisionedTPS, current.Config = u.SolutionVersionARN, u.MinProvisionedTPS, u.Config
		current.Parents = []string{current.DatasetGroupARN, resource.SolutionARN(u.SolutionVersionARN)}
		return nil
	})
	return crud.IgnoreOvertaken(updateErr)
}

// errCannotServe becomes the failure reason of an update.
var errCannotServe = errors.New("the solution version cannot serve")

// checkServable checks a version, after it made sure that its solution cannot be deleted under the campaign.
func (s campaigns) checkServable(ctx context.Context, c *catalog.Campaign, versionARN string) error {
	err := s.Store.Attach(
		ctx, c.Meta(), catalog.Under(resource.SolutionARN(versionARN), crud.ValidateActive[*catalog.Solution]),
	)
	if err == nil {
		var version *catalog.SolutionVersion
		if version, err = s.Store.SolutionVersions.Get(ctx, versionARN); err == nil {
			err = crud.ValidateActive(version)
		}
	}
	if err = crud.ToAPIError(err); crud.IsRefusal(err) {
		return fmt.Errorf("%w: %s", errCannotServe, versionARN)
	}
	return err
}

// moveToNewest lets a campaign that follows its solution serve the newest version.
func (s campaigns) moveToNewest(ctx context.Context, c *catalog.Campaign) error {
	newest := newestSeen(s.View, resource.SolutionARN(c.SolutionVersionARN))
	_, err := s.Store.Campaigns.Update(ctx, c.ARN, func(current *catalog.Campaign) error {
		if newest == nil || !s.outdated(current) || current.ID != c.ID {
			return crud.ErrOvertaken
		}
		current.SolutionVersionARN = newest.ARN
		return nil
	})
	return crud.IgnoreOvertaken(err)
}

// attachTo reserves a solution for a campaign that is to serve one of its versions.
func (s campaigns) attachTo(ctx context.Context, c *catalog.Campaign, solutionARN string) error {
	if slices.Contains(c.Parents, solutionARN) {
		return nil
	}
	return s.Store.Attach(ctx, c.Meta(), catalog.Under(solutionARN, crud.ValidateActive[*catalog.Solution]))
}

func addParent(c *catalog.Campaign, arn string) {
	if !slices.Contains(c.Parents, arn) {
		c.Parents = append(c.Parents, arn)
	}
}

// dependents returns the campaigns that a changed solution version may be for.
func (s campaigns) dependents(changedARN string) []string {
	solution := resource.SolutionARN(changedARN)
	if solution == "" {
		return nil
	}
	var arns []string
	for _, c := range catalog.All[*catalog.Campaign](s.View) {
		if c.FollowsLatest() && resource.SolutionARN(c.SolutionVersionARN) == solution {
			arns = append(arns, c.ARN)
		}
	}
	return arns
}
